"""Services that use the gateway."""

from collections.abc import Iterator
from typing import Literal, TypedDict, get_args

from dsgctl.core import validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Service
from dsgctl.store.queries import JOIN, fn

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
