"""Services that ask the gateway, CAVE's service tables, and the public roots in them."""

from collections.abc import Iterable, Iterator
from typing import Any

from dsgctl.core import datasets, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import PublicRoot, Service, ServiceTable

_MAX_ROOT = 2**63 - 1


def by_name(database: Database, name: str) -> Service | None:
    return database.first(Service.select().where(Service.name == name)) if validation.is_storable(name) else None


def find(database: Database, name: str) -> Service:
    """The service of exactly this name, as in ``?service=``.

    Raises:
        NotFound: there is none.
    """
    service = by_name(database, name)
    if service is None:
        raise NotFound(f"there is no service {validation.quoted(name)}", "dsgctl service list")
    return service


def add(change: Change, name: str, *, display_name: str = "", url: str = "") -> tuple[Service, bool]:
    values = {
        "display_name": validation.single_line(display_name, "display name", empty=True),
        "url": validation.url(url),
    }
    known = by_name(change.database, name)
    if known is not None:
        if any(getattr(known, key) != value for key, value in values.items()):
            raise Conflict(f"service {name} exists, with another name or URL", f"dsgctl service remove {name}")
        return known, False
    validation.slug(name, "service")
    change.database.run(Service.insert(name=name, **values))
    change.record("service.add", f"service:{name}", after=values)
    return find(change.database, name), True


def remove(change: Change, name: str) -> int:
    """Delete a service and its terms. Returns how many terms went."""
    service = find(change.database, name)
    terms = change.database.count(m.Terms.select().where(m.Terms.service == service.id))
    change.database.run(Service.delete().where(Service.id == service.id))
    change.record(
        "service.remove",
        f"service:{name}",
        {"display_name": service.display_name, "url": service.url, "terms": terms},
    )
    return terms


def list_services(database: Database) -> Iterator[dict[str, Any]]:
    return database.rows(
        Service.select(Service.id, Service.name, Service.display_name, Service.url).order_by(Service.name)
    )


# Service tables


def _table(database: Database, service: str, table: str) -> ServiceTable | None:
    if not (validation.is_storable(service) and validation.is_storable(table)):
        return None
    return database.first(ServiceTable.select().where(ServiceTable.service == service, ServiceTable.name == table))


def find_table(database: Database, service: str, table: str) -> ServiceTable:
    found = _table(database, service, table)
    if found is None:
        raise NotFound(
            f"there is no table {validation.quoted(table)} of {validation.quoted(service)}", "dsgctl service table list"
        )
    return found


def add_table(change: Change, service: str, table: str, dataset_name: str) -> bool:
    """Say which dataset a table of a service belongs to. Returns whether anything changed.

    Raises:
        Conflict: it is mapped to another dataset.
    """
    dataset = datasets.find(change.database, dataset_name)
    known = _table(change.database, service, table)
    if known is not None:
        if known.dataset_id != dataset.id:
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
    """Forget a table and its public roots. Returns how many roots went."""
    found = find_table(change.database, service, table)
    roots = change.database.count(PublicRoot.select().where(PublicRoot.service_table == found.id))
    change.database.run(ServiceTable.delete().where(ServiceTable.id == found.id))
    change.record(
        "service.table.remove", f"table:{service}/{table}", {"dataset": found.dataset_id, "public_roots": roots}
    )
    return roots


def list_tables(database: Database, service: str | None = None) -> Iterator[dict[str, Any]]:
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
    return database.rows(query.where(ServiceTable.service == service) if service is not None else query)


# Public roots


def parse_root_id(number: int) -> int:
    """A number that a root may have."""
    if not 0 <= number <= _MAX_ROOT:
        raise Invalid(f"{number} is not a root id", "a root id is a whole number from 0 to 2^63-1")
    return number


def add_root(change: Change, service: str, table: str, number: int) -> bool:
    """Mark a root as open to all. Returns whether it is new."""
    return bool(add_roots(change, service, table, [number]))


def add_roots(change: Change, service: str, table: str, numbers: Iterable[int]) -> int:
    """Mark roots as open to all; at most some thousands at once. Returns how many are new."""
    wanted = dict.fromkeys(parse_root_id(number) for number in numbers)
    found = find_table(change.database, service, table)
    query = PublicRoot.select(PublicRoot.root_id).where(PublicRoot.service_table == found.id)
    there = {number for (number,) in change.database.tuples(query.where(PublicRoot.root_id.in_(list(wanted))))}
    new = [number for number in wanted if number not in there]
    change.database.insert_many(PublicRoot, [{"service_table": found.id, "root_id": number} for number in new])
    for number in new:
        change.record("service.root.add", f"table:{service}/{table} root:{number}")
    return len(new)


def remove_root(change: Change, service: str, table: str, root_id: int) -> None:
    found = find_table(change.database, service, table)
    where = (PublicRoot.service_table == found.id) & (PublicRoot.root_id == root_id)
    if not change.database.run(PublicRoot.delete().where(where)):
        raise NotFound(
            f"{root_id} is not a public root of {service} {table}",
            f"dsgctl service root list {service} {table}",
        )
    change.record("service.root.remove", f"table:{service}/{table} root:{root_id}")


def list_roots(database: Database, service: str, table: str) -> Iterator[dict[str, Any]]:
    found = find_table(database, service, table)
    query = PublicRoot.select(PublicRoot.root_id).where(PublicRoot.service_table == found.id)
    return database.rows(query.order_by(PublicRoot.root_id))
