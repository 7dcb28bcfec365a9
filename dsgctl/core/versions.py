"""Versions of a dataset."""

from collections.abc import Iterator
from typing import TypedDict

from dsgctl.core import buckets, datasets, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Dataset, Version


class VersionRow(TypedDict):
    """A row of `list_versions`."""

    id: int
    name: str
    public: bool


class VersionHoldings(TypedDict):
    """How many grants, locations and terms are deleted with a version."""

    grants: int
    locations: int
    terms: int


def find_by_name(database: Database, dataset: Dataset, name: str) -> Version | None:
    if not validation.is_storable(name):
        return None
    return database.first(Version.select().where(Version.dataset == dataset.id, Version.name == name))


def find(database: Database, dataset: Dataset, name: str) -> Version:
    """A version of this dataset.

    Raises:
        NotFound: it has no version of this name.
    """
    version = find_by_name(database, dataset, name)
    if version is None:
        raise NotFound(
            f"dataset {dataset.name} has no version {validation.quote(name)}",
            f"dsgctl dataset version list {dataset.name}",
        )
    return version


def add(change: Change, dataset_name: str, name: str, *, public: bool = False, imported_id: int | None = None) -> bool:
    """Add a version, or change whether it is public.

    Args:
        imported_id: the version's id in another system, which it keeps if no version here has it.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such dataset.
        Invalid: it is a new version, and the name is not a single line.
    """
    dataset = datasets.find(change.database, dataset_name)
    version = find_by_name(change.database, dataset, name)
    if version is not None:
        return _set_public(change, dataset, version, public)
    validation.single_line(name, "version name")
    if imported_id is not None and change.database.first(Version.select().where(Version.id == imported_id)) is not None:
        imported_id = None
    change.database.run(Version.insert(id=imported_id, dataset=dataset.id, name=name, public=public))
    change.record("dataset.version.add", _format_target(dataset, name), after={"public": public})
    return True


def _set_public(change: Change, dataset: Dataset, version: Version, public: bool) -> bool:
    if version.public == public:
        return False
    change.database.run(Version.update(public=public).where(Version.id == version.id))
    target = _format_target(dataset, version.name)
    change.record("dataset.version.set", target, {"public": version.public}, {"public": public})
    return True


def remove(change: Change, dataset_name: str, name: str) -> VersionHoldings:
    """Delete a version, with its grants, locations and terms.

    Returns:
        What was deleted with it.

    Raises:
        NotFound: there is no such dataset or version.
    """
    dataset = datasets.find(change.database, dataset_name)
    version = find(change.database, dataset, name)
    holdings = list_holdings(change.database, version)
    names = buckets.list_names(change.database, m.Location.version == version.id)
    change.database.run(Version.delete().where(Version.id == version.id))
    buckets.release(change, names)
    change.record("dataset.version.remove", _format_target(dataset, name), {"public": version.public, **holdings})
    return holdings


def list_holdings(database: Database, version: Version) -> VersionHoldings:
    """What would be deleted with a version."""

    def count(table: type[m.Grant | m.Location | m.Terms]) -> int:
        return database.count(table.select().where(table.version == version.id))

    return {"grants": count(m.Grant), "locations": count(m.Location), "terms": count(m.Terms)}


def list_versions(database: Database, dataset_name: str) -> Iterator[VersionRow]:
    """The versions of a dataset, in the order in which they were added.

    Raises:
        NotFound: there is no such dataset.
    """
    dataset = datasets.find(database, dataset_name)
    query = Version.select(Version.id, Version.name, Version.public).where(Version.dataset == dataset.id)
    return database.rows(query.order_by(Version.id), VersionRow)


def _format_target(dataset: Dataset, name: str) -> str:
    return f"dataset:{dataset.name} version:{name}"
