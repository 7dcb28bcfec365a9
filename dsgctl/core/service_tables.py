"""The service tables of CAVE, and the public roots in them. Services themselves are in services.py."""

from collections.abc import Iterable, Iterator
from typing import TypedDict

from dsgctl.core import datasets, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import PublicRoot, ServiceTable

MAX_ROOT = 2**63 - 1


class TableRow(TypedDict):
    """A row of `list_tables`; ``service`` and ``table`` are CAVE's names, ``dataset`` is a dataset's name."""

    id: int
    service: str
    table: str
    dataset: str


class RootRow(TypedDict):
    """A row of `list_roots`."""

    root_id: int


def _find_table_by_name(database: Database, service: str, table: str) -> ServiceTable | None:
    if not (validation.is_storable(service) and validation.is_storable(table)):
        return None
    return database.first(ServiceTable.select().where(ServiceTable.service == service, ServiceTable.name == table))


def find_table(database: Database, service: str, table: str) -> ServiceTable:
    """A table of a service.

    Raises:
        NotFound: there is no such table.
    """
    row = _find_table_by_name(database, service, table)
    if row is None:
        raise NotFound(
            f"there is no table {validation.quote(table)} of {validation.quote(service)}", "dsgctl service table list"
        )
    return row


def add_table(change: Change, service: str, table: str, dataset_name: str) -> bool:
    """Assign a table of a service to a dataset.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such dataset.
        Conflict: the table belongs to another dataset.
        Invalid: the service or the table is new, and its name is not a single line.
    """
    dataset = datasets.find(change.database, dataset_name)
    row = _find_table_by_name(change.database, service, table)
    if row is not None:
        if row.dataset_id != dataset.id:
            raise Conflict(
                f"table {table} of {service} belongs to another dataset",
                f"dsgctl service table remove {service} {table}",
            )
        return False
    validation.single_line(service, "service name")
    validation.single_line(table, "table name")
    change.database.run(ServiceTable.insert(service=service, name=table, dataset=dataset.id))
    change.record("service.table.add", f"table:{service}/{table} dataset:{dataset_name}")
    return True


def remove_table(change: Change, service: str, table: str) -> int:
    """Delete a table and its public roots.

    Returns:
        How many roots were deleted.

    Raises:
        NotFound: there is no such table.
    """
    row = find_table(change.database, service, table)
    roots = change.database.count(PublicRoot.select().where(PublicRoot.service_table == row.id))
    change.database.run(ServiceTable.delete().where(ServiceTable.id == row.id))
    before = {"dataset": row.dataset_id, "public_roots": roots}
    change.record("service.table.remove", f"table:{service}/{table}", before)
    return roots


def list_tables(database: Database, service: str | None = None) -> Iterator[TableRow]:
    """The tables of a service, or of all services, by service and name."""
    query = (
        ServiceTable.select(
            ServiceTable.id,
            ServiceTable.service,
            ServiceTable.name.alias("table"),
            m.Dataset.name.alias("dataset"),
        )
        .join(m.Dataset)
        .order_by(ServiceTable.service, ServiceTable.name)
    )
    return database.rows(query.where(ServiceTable.service == service) if service is not None else query, TableRow)


# Public roots


def parse_root_id(number: int) -> int:
    """Return the number if it can be the id of a root.

    Raises:
        Invalid: it cannot.
    """
    if not 0 <= number <= MAX_ROOT:
        raise Invalid(f"{number} is not a root id", "a root id is a whole number from 0 to 2^63-1")
    return number


def add_root(change: Change, service: str, table: str, number: int) -> bool:
    """Make a root public. Returns whether it was not before.

    Raises:
        Invalid, NotFound: as `add_roots`.
    """
    return bool(add_roots(change, service, table, [number]))


def add_roots(change: Change, service: str, table: str, numbers: Iterable[int]) -> int:
    """Make roots public, at most a few thousand in one call.

    Returns:
        How many were not before.

    Raises:
        Invalid: a number cannot be the id of a root.
        NotFound: there is no such table.
    """
    root_ids = dict.fromkeys(parse_root_id(number) for number in numbers)
    row = find_table(change.database, service, table)
    query = PublicRoot.select(PublicRoot.root_id).where(PublicRoot.service_table == row.id)
    public = {root_id for (root_id,) in change.database.tuples(query.where(PublicRoot.root_id.in_(list(root_ids))))}
    new = [root_id for root_id in root_ids if root_id not in public]
    change.database.insert_many(PublicRoot, [{"service_table": row.id, "root_id": root_id} for root_id in new])
    for root_id in new:
        change.record("service.root.add", f"table:{service}/{table} root:{root_id}")
    return len(new)


def remove_root(change: Change, service: str, table: str, root_id: int) -> None:
    """Make a root private again.

    Raises:
        NotFound: there is no such table, or the root is not public.
    """
    row = find_table(change.database, service, table)
    condition = (PublicRoot.service_table == row.id) & (PublicRoot.root_id == root_id)
    if not change.database.run(PublicRoot.delete().where(condition)):
        raise NotFound(
            f"{root_id} is not a public root of {service} {table}", f"dsgctl service root list {service} {table}"
        )
    change.record("service.root.remove", f"table:{service}/{table} root:{root_id}")


def list_roots(database: Database, service: str, table: str) -> Iterator[RootRow]:
    """The public roots of a table, by id.

    Raises:
        NotFound: there is no such table.
    """
    row = find_table(database, service, table)
    query = PublicRoot.select(PublicRoot.root_id).where(PublicRoot.service_table == row.id)
    return database.rows(query.order_by(PublicRoot.root_id), RootRow)
