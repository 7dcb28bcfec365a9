"""Versions of a dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from dsgctl.core import buckets, datasets, validation
from dsgctl.core.change import Change, difference
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.rules.references import MAIN_BRANCH
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import MAX_NUMBER, Dataset, Version


@dataclass(frozen=True, slots=True)
class Position:
    """Where a version is in the history of its dataset.

    Attributes:
        ordinal: its place among the versions of the branch, which no other has; None for one outside their order.
    """

    branch: str = MAIN_BRANCH
    ordinal: int | None = None


class VersionRow(TypedDict):
    """A row of `list_versions`."""

    id: int
    name: str
    public: bool
    branch: str
    ordinal: int | None


class VersionHoldings(TypedDict):
    """How many grants, locations, terms and names of services are deleted with a version."""

    grants: int
    locations: int
    terms: int
    translations: int


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


def find_position(database: Database, dataset_name: str, name: str) -> Position:
    """The position of a version; of one that does not exist, that of a new one.

    Raises:
        NotFound: there is no such dataset.
    """
    version = find_by_name(database, datasets.find(database, dataset_name), name)
    return position_of(version) if version is not None else Position()


def position_of(version: Version) -> Position:
    return Position(version.branch, version.ordinal)


def add(
    change: Change,
    dataset_name: str,
    name: str,
    *,
    public: bool = False,
    position: Position | None = None,
    imported_id: int | None = None,
) -> bool:
    """Add a version, or change whether it is public, and its position.

    Args:
        position: None leaves that of an existing version unchanged.
        imported_id: the version's id in another system, which it keeps if no version here has it.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such dataset.
        Conflict: another version has this position.
        Invalid: the position is malformed, or it is a new version, and the name is not a single line.
    """
    dataset = datasets.find(change.database, dataset_name)
    version = find_by_name(change.database, dataset, name)
    if version is not None:
        return _set_attributes(change, dataset, version, public, position or position_of(version))
    validation.single_line(name, "version name")
    position = position or Position()
    require_free(change.database, dataset, position)
    if imported_id is not None and change.database.first(Version.select().where(Version.id == imported_id)) is not None:
        imported_id = None
    values = _build_values(public, position)
    change.database.run(Version.insert(id=imported_id, dataset=dataset.id, name=name, **values))
    change.record("dataset.version.add", _format_target(dataset, name), after=_describe(public, position))
    return True


def set_attributes(
    change: Change, dataset_name: str, name: str, *, public: bool | None = None, position: Position | None = None
) -> bool:
    """Change whether a version is public, or its position; None leaves a value unchanged.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such dataset or version.
        Conflict: another version has this position.
        Invalid: the position is malformed.
    """
    dataset = datasets.find(change.database, dataset_name)
    version = find(change.database, dataset, name)
    return _set_attributes(
        change, dataset, version, version.public if public is None else public, position or position_of(version)
    )


def _set_attributes(change: Change, dataset: Dataset, version: Version, public: bool, position: Position) -> bool:
    before, after = difference(
        _build_values(version.public, position_of(version)), new_values := _build_values(public, position)
    )
    if not after:
        return False
    if position != position_of(version):
        require_free(change.database, dataset, position)
    change.database.run(Version.update(**new_values).where(Version.id == version.id))
    change.record("dataset.version.set", _format_target(dataset, version.name), before, after)
    return True


def _build_values(public: bool, position: Position) -> dict[str, bool | str | int | None]:
    return {"public": public, "branch": position.branch, "ordinal": position.ordinal}


def _describe(public: bool, position: Position) -> dict[str, bool | str | int | None]:
    """The state in an audit record: a position only if there is something to say about it."""
    return {"public": public} if position == Position() else _build_values(public, position)


def validate_position(position: Position) -> None:
    """Raises:
    Invalid: the position is malformed.
    """
    validation.single_line(position.branch, "branch")
    if position.ordinal is not None and not 0 <= position.ordinal <= MAX_NUMBER:
        raise Invalid(f"{position.ordinal} is not an ordinal", "an ordinal is a whole number from 0 to 2^63-1")


def require_free(database: Database, dataset: Dataset, position: Position) -> None:
    """Raises:
    Invalid: the position is malformed.
    Conflict: another version of the dataset has it.
    """
    validate_position(position)
    if position.ordinal is None:
        return
    condition = (Version.branch == position.branch) & (Version.ordinal == position.ordinal)
    other = database.first(Version.select().where(Version.dataset == dataset.id, condition))
    if other is not None:
        raise Conflict(
            f"version {validation.quote(other.name)} of {dataset.name} has ordinal {position.ordinal} on branch "
            f"{validation.quote(position.branch)} already",
            f"choose another; dsgctl dataset version list {dataset.name}",
        )


def remove(change: Change, dataset_name: str, name: str) -> VersionHoldings:
    """Delete a version, with its grants, locations, terms and the names that services have for it.

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
    before = {**_describe(version.public, position_of(version)), **holdings}
    change.record("dataset.version.remove", _format_target(dataset, name), before)
    return holdings


def list_holdings(database: Database, version: Version) -> VersionHoldings:
    """What would be deleted with a version."""

    def count(table: type[m.Grant | m.Location | m.Terms | m.Translation]) -> int:
        return database.count(table.select().where(table.version == version.id))

    return {
        "grants": count(m.Grant),
        "locations": count(m.Location),
        "terms": count(m.Terms),
        "translations": count(m.Translation),
    }


def list_versions(database: Database, dataset_name: str) -> Iterator[VersionRow]:
    """The versions of a dataset, in the order in which they were added.

    Raises:
        NotFound: there is no such dataset.
    """
    dataset = datasets.find(database, dataset_name)
    query = Version.select(Version.id, Version.name, Version.public, Version.branch, Version.ordinal)
    return database.rows(query.where(Version.dataset == dataset.id).order_by(Version.id), VersionRow)


def _format_target(dataset: Dataset, name: str) -> str:
    return f"dataset:{dataset.name} version:{name}"
