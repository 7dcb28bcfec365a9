"""Datasets: each of them.

The list of all is in dataset_list.py, versions are in versions.py, locations in locations.py, grants in grants.py.
"""

from datetime import datetime
from typing import TypedDict

from dsgctl.core import buckets, validation
from dsgctl.core.change import Change, difference
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Dataset
from dsgctl.store.queries import JOIN, fn
from dsgctl.wording import format_grant


class DatasetHoldings(TypedDict):
    """What is deleted with a dataset.

    ``versions`` are names, ``locations`` URLs. The others are in words: ``view ada@example.org`` for a grant,
    ``3 Fly terms`` for terms, ``datastack fish2_v1`` for a service table, ``neuprint pisces r1`` for a translation.
    """

    versions: list[str]
    locations: list[str]
    grants: list[str]
    terms: list[str]
    service_tables: list[str]
    translations: list[str]


class DatasetDetails(DatasetHoldings):
    """The answer of `show`; ``own_terms`` is the id of the dataset's own terms."""

    id: int
    name: str
    description: str
    access: str
    own_terms: int | None
    created: datetime


def find_by_name(database: Database, name: str) -> Dataset | None:
    return database.first(Dataset.select().where(Dataset.name == name)) if validation.is_storable(name) else None


def find_by_id(database: Database, dataset_id: int) -> Dataset | None:
    return database.first(Dataset.select().where(Dataset.id == dataset_id))


def find(database: Database, name: str) -> Dataset:
    """The dataset of exactly this name.

    Raises:
        NotFound: there is none.
    """
    dataset = find_by_name(database, name)
    if dataset is None:
        raise no_such_dataset(name)
    return dataset


def no_such_dataset(name: str) -> NotFound:
    return NotFound(f"there is no dataset {validation.quote(name)}", "dsgctl dataset list")


def add(
    change: Change, name: str, *, description: str = "", public: bool = False, imported_id: int | None = None
) -> tuple[Dataset, bool]:
    """Add a dataset. If there is one of this name, description and access mode, nothing changes.

    The form of a name is checked for a new dataset only: those of other systems may have other names.

    Args:
        imported_id: the dataset's id in another system; None for a new id.

    Returns:
        The dataset, and whether it is new.

    Raises:
        Invalid: the name is malformed, or the description is too long.
        Conflict: the dataset of this name has another description or access mode.
    """
    values = {"description": validation.multiline(description, "description"), "access": _access_mode(public)}
    dataset = find_by_name(change.database, name)
    if dataset is not None:
        if others := [key for key, value in values.items() if getattr(dataset, key) != value]:
            raise Conflict(
                f"dataset {name} exists, with another {' and '.join(others)}", f"dsgctl dataset set {name} ..."
            )
        return dataset, False
    validation.slug(name, "dataset")
    row = {"name": name, "created": change.at, **values}
    dataset = Dataset(id=change.database.run(Dataset.insert(id=imported_id, **row)), **row)
    change.record("dataset.add", f"dataset:{name}", after=values)
    return dataset, True


def _access_mode(public: bool) -> str:
    return "public" if public else "closed"


def set_attributes(change: Change, name: str, *, description: str | None = None, public: bool | None = None) -> bool:
    """Change the description or the access mode of a dataset; None leaves a value unchanged.

    Returns:
        Whether anything changed.

    Raises:
        Invalid: the description is too long.
        NotFound: there is no such dataset.
    """
    new: dict[str, str] = {}
    if description is not None:
        new["description"] = validation.multiline(description, "description")
    if public is not None:
        new["access"] = _access_mode(public)
    dataset = find(change.database, name)
    before, after = difference({key: getattr(dataset, key) for key in new}, new)
    if not after:
        return False
    change.database.run(Dataset.update(**after).where(Dataset.id == dataset.id))
    change.record("dataset.set", f"dataset:{name}", before, after)
    return True


def list_public_without_terms(database: Database, name: str | None = None) -> list[str]:
    """The names of the public datasets that have no terms of their own.

    A public dataset gives ``view`` to those who accept its terms. Without terms, nobody can view it without a grant.

    Args:
        name: only this dataset.
    """
    query = Dataset.select(Dataset.name).where(Dataset.access == "public", Dataset.own_terms_id.is_null())
    if name is not None:
        query = query.where(Dataset.name == name)
    return [dataset for (dataset,) in database.tuples(query.order_by(Dataset.name))]


def remove(change: Change, name: str) -> DatasetHoldings:
    """Delete a dataset and everything that belongs to it. The objects in its buckets are not touched.

    Returns:
        What was deleted with it.

    Raises:
        NotFound: there is no such dataset.
        Conflict: its terms are another dataset's own terms too; without them, that dataset would be open.
    """
    dataset = find(change.database, name)
    _require_terms_not_shared(change.database, dataset)
    holdings = list_holdings(change.database, dataset)
    names = buckets.list_names(change.database, m.Location.dataset == dataset.id)
    change.database.run(Dataset.delete().where(Dataset.id == dataset.id))
    buckets.release(change, names)
    change.record("dataset.remove", f"dataset:{name}", {"id": dataset.id, **holdings})
    return holdings


def _require_terms_not_shared(database: Database, dataset: Dataset) -> None:
    query = (
        Dataset.select(Dataset.name, m.Terms.id)
        .join(m.Terms, on=(Dataset.own_terms_id == m.Terms.id))
        .where(m.Terms.dataset == dataset.id, Dataset.id != dataset.id)
    )
    for other, terms_id in database.tuples(query):
        raise Conflict(
            f"terms {terms_id} of {dataset.name} are {other}'s own terms too, and would be deleted",
            f"give {other} terms of its own first: dsgctl terms add",
        )


def list_holdings(database: Database, dataset: Dataset) -> DatasetHoldings:
    """What would be deleted with a dataset."""
    versions = m.Version.select(m.Version.name).where(m.Version.dataset == dataset.id).order_by(m.Version.id)
    locations = m.Location.select(m.Location.bucket, m.Location.prefix).where(m.Location.dataset == dataset.id)
    grants = (
        m.Grant.select(
            m.Grant.permission, fn.coalesce(m.Principal.email, m.Principal.slug, m.Group.name), m.Service.name
        )
        .join_from(m.Grant, m.Principal, JOIN.LEFT_OUTER)
        .join_from(m.Grant, m.Group, JOIN.LEFT_OUTER, on=(m.Grant.group == m.Group.id))
        .join_from(m.Grant, m.Service, JOIN.LEFT_OUTER)
        .where(m.Grant.dataset == dataset.id)
        .order_by(m.Grant.id)
    )
    terms = m.Terms.select(m.Terms.id, m.Terms.name).where(m.Terms.dataset == dataset.id).order_by(m.Terms.id)
    tables = m.ServiceTable.select(m.ServiceTable.service, m.ServiceTable.name)
    translations = m.Translation.select(m.Service.name, m.Translation.client_name, m.Translation.client_version)
    return {
        "versions": [name for (name,) in database.tuples(versions)],
        "locations": [
            f"gs://{bucket}/{prefix}" for bucket, prefix in database.tuples(locations.order_by(m.Location.id))
        ],
        "grants": [format_grant(*words, service=service) for *words, service in database.tuples(grants)],
        "terms": [f"{terms_id} {name}" for terms_id, name in database.tuples(terms)],
        "service_tables": [
            f"{service} {name}" for service, name in database.tuples(tables.where(m.ServiceTable.dataset == dataset.id))
        ],
        "translations": [
            " ".join(filter(None, row))
            for row in database.tuples(
                translations.join(m.Service).where(m.Translation.dataset == dataset.id).order_by(m.Translation.id)
            )
        ],
    }


def show(database: Database, name: str) -> DatasetDetails:
    """A dataset with everything that belongs to it.

    Raises:
        NotFound: there is no such dataset.
    """
    with database.snapshot():
        dataset = find(database, name)
        return {
            "id": dataset.id,
            "name": dataset.name,
            "description": dataset.description,
            "access": dataset.access,
            "own_terms": dataset.own_terms_id,
            "created": dataset.created,
            **list_holdings(database, dataset),
        }
