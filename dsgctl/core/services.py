"""Services that use the gateway, the service tables of CAVE, and the public roots in these tables."""

from collections.abc import Iterable, Iterator
from typing import Literal, TypedDict, get_args

from dsgctl.core import datasets, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import PublicRoot, Service, ServiceTable
from dsgctl.store.queries import JOIN, fn

MAX_ROOT = 2**63 - 1

# dag: of a service that compares versions of several branches itself.
Mode = Literal["linear", "dag"]
MODES: tuple[Mode, ...] = get_args(Mode)


class ServiceRow(TypedDict):
    """A row of `list_services`."""

    id: int
    name: str
    display_name: str
    url: str
    mode: Mode


class ServiceHoldings(TypedDict):
    """How many terms, grants and names of datasets are deleted with a service."""

    terms: int
    grants: int
    translations: int


class TableRow(TypedDict):
    """A row of `list_tables`; ``service`` and ``table`` are CAVE's names, ``dataset`` is a dataset's name."""

    id: int
    service: str
    table: str
    dataset: str


class RootRow(TypedDict):
    """A row of `list_roots`."""

    root_id: int


def find_by_name(database: Database, name: str) -> Service | None:
    return database.first(Service.select().where(Service.name == name)) if validation.is_storable(name) else None


def find(database: Database, name: str) -> Service:
    """The service of exactly this name, as in ``?service=``.

    Raises:
        NotFound: there is none.
    """
    service = find_by_name(database, name)
    if service is None:
        raise NotFound(f"there is no service {validation.quote(name)}", "dsgctl service list")
    return service


def add(
    change: Change, name: str, *, display_name: str = "", url: str = "", mode: Mode = "linear"
) -> tuple[Service, bool]:
    """Add a service. If there is one of this name, display name and URL, nothing changes.

    The form of a name is checked for a new service only: those of other systems may have other names.

    Args:
        mode: of a new service.

    Returns:
        The service, and whether it is new.

    Raises:
        Invalid: a value is malformed.
        Conflict: the service of this name has another display name or URL.
    """
    values = {
        "display_name": validation.single_line(display_name, "display name", empty=True),
        "url": validation.url(url),
    }
    service = find_by_name(change.database, name)
    if service is not None:
        if any(getattr(service, key) != value for key, value in values.items()):
            raise Conflict(f"service {name} exists, with another name or URL", f"dsgctl service remove {name}")
        return service, False
    validation.slug(name, "service")
    row = {"name": name, "mode": mode, **values}
    service = Service(id=change.database.run(Service.insert(**row)), **row)
    change.record("service.add", f"service:{name}", after=values if mode == "linear" else {**values, "mode": mode})
    return service, True


def set_mode(change: Change, name: str, mode: Mode) -> bool:
    """Say whether a service compares versions of several branches itself.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such service.
    """
    service = find(change.database, name)
    if service.mode == mode:
        return False
    change.database.run(Service.update(mode=mode).where(Service.id == service.id))
    change.record("service.set", f"service:{name}", {"mode": service.mode}, {"mode": mode})
    return True


def remove(change: Change, name: str) -> ServiceHoldings:
    """Delete a service, with its terms, the grants for it alone and its names of datasets.

    Returns:
        What was deleted with it.

    Raises:
        NotFound: there is no such service.
    """
    service = find(change.database, name)
    holdings = list_holdings(change.database, service)
    change.database.run(Service.delete().where(Service.id == service.id))
    before = {"display_name": service.display_name, "url": service.url, "mode": service.mode, **holdings}
    change.record("service.remove", f"service:{name}", before)
    return holdings


def list_holdings(database: Database, service: Service) -> ServiceHoldings:
    """What would be deleted with a service."""

    def count(table: type[m.Terms | m.Grant | m.Translation]) -> int:
        return database.count(table.select().where(table.service == service.id))

    return {"terms": count(m.Terms), "grants": count(m.Grant), "translations": count(m.Translation)}


def list_services(database: Database) -> Iterator[ServiceRow]:
    """Every service, by name."""
    query = Service.select(Service.id, Service.name, Service.display_name, Service.url, Service.mode)
    return database.rows(query.order_by(Service.name), ServiceRow)


class ServiceDetails(ServiceRow):
    """The answer of `show`: terms and grants for this service alone, and its names of datasets.

    In words: ``3 Fly terms``, ``fish2 view ada@example.org``, and ``pisces r1`` for name and version.
    """

    terms: list[str]
    grants: list[str]
    translations: list[str]


def show(database: Database, name: str) -> ServiceDetails:
    """A service with everything that is for it alone.

    Raises:
        NotFound: there is no such service.
    """
    with database.snapshot():
        service = find(database, name)
        terms = m.Terms.select(m.Terms.id, m.Terms.name).where(m.Terms.service == service.id).order_by(m.Terms.id)
        grants = (
            m.Grant.select(
                m.Dataset.name, m.Grant.permission, fn.coalesce(m.Principal.email, m.Principal.slug, m.Group.name)
            )
            .join_from(m.Grant, m.Dataset)
            .join_from(m.Grant, m.Principal, JOIN.LEFT_OUTER)
            .join_from(m.Grant, m.Group, JOIN.LEFT_OUTER, on=(m.Grant.group == m.Group.id))
            .where(m.Grant.service == service.id)
            .order_by(m.Dataset.name, m.Grant.id)
        )
        names = m.Translation.select(m.Translation.client_name, m.Translation.client_version)
        return {
            **next(row for row in list_services(database) if row["id"] == service.id),
            "terms": [f"{terms_id} {title}" for terms_id, title in database.tuples(terms)],
            "grants": [" ".join(row) for row in database.tuples(grants)],
            "translations": sorted(
                " ".join(filter(None, row)) for row in database.tuples(names.where(m.Translation.service == service.id))
            ),
        }


# Service tables


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
