"""Registered clients: web applications, each of one exact origin, that may be handed a key of a person.

The keys are in delegated_keys.py.
"""

import shlex
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypedDict

from dsgctl.core import tokens, users, validation, web_origins
from dsgctl.core.change import Change, difference
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store.models import Client, ClientAppUrl, ClientConsent, Principal, Token
from dsgctl.store.queries import JOIN


class ClientRow(TypedDict):
    """A row of ``client list``; ``owner`` is an email, None if the sqlite3 shell deleted that user."""

    id: int
    name: str
    origin: str
    owner: str | None
    active: bool
    created: datetime


class ClientHoldings(TypedDict):
    """What ends with a client: the ids of its valid keys, and the emails of those who are not asked again."""

    keys: list[int]
    consents: list[str]


class ClientDetails(ClientRow):
    """The answer of ``client show``."""

    app_urls: list[str]
    keys: list[int]
    consents: list[str]


def find_by_name(database: Database, name: str) -> Client | None:
    return database.first(Client.select().where(Client.name == name)) if validation.is_storable(name) else None


def find(database: Database, name: str) -> Client:
    """The client of exactly this name.

    Raises:
        NotFound: there is none.
    """
    client = find_by_name(database, name)
    if client is None:
        raise NotFound(f"there is no client {validation.quote(name)}", "dsgctl client list")
    return client


def find_owner(database: Database, client: Client) -> str | None:
    """The email of the user who is responsible for a client; None if the sqlite3 shell deleted that user."""
    owner = database.first(Principal.select().where(Principal.id == client.owner_id))
    return owner.email if owner is not None else None


def add(
    change: Change, name: str, *, origin: str, owner: str, app_urls: Iterable[str] = (), created: datetime | None = None
) -> tuple[Client, bool]:
    """Register a client; succeeds without a change if the same one is already there.

    Args:
        origin: of its pages.
        owner: the email of the user who is responsible for it.
        app_urls: the origins of the servers to which it may send its keys.
        created: the time that an importer keeps from another system.

    Returns:
        The client, and whether it is new.

    Raises:
        Invalid: a value is malformed.
        NotFound: there is no such user.
        Conflict: the client of this name differs, or another client has the origin.
    """
    web_origins.require_canonical(origin)
    urls = _check_app_urls(app_urls)
    responsible = users.find(change.database, owner)
    client = find_by_name(change.database, name)
    if client is not None:
        same = (client.origin, client.owner_id) == (origin, responsible.id)
        if not same or list_app_urls(change.database, client) != urls:
            raise Conflict(f"client {name} exists, with another origin, owner or app URLs", _show(client))
        return client, False
    validation.single_line(name, "client name")
    _require_free(change.database, origin)
    client = Client(name=name, owner=responsible.id, origin=origin, created=created or change.at)
    client.id = change.database.run(Client.insert(**client.__data__))
    change.database.insert_many(ClientAppUrl, [{"client": client.id, "url": url} for url in urls])
    after = {"origin": origin, "owner": responsible.email, "app_urls": urls}
    change.record("client.add", f"client:{name}", after=after)
    return client, True


def set_attributes(
    change: Change,
    name: str,
    *,
    origin: str | None = None,
    owner: str | None = None,
    app_urls: Iterable[str] | None = None,
) -> bool:
    """Change a client; None leaves a value unchanged.

    People agreed to an application of this origin and this owner. So if one of these changes, everybody is asked again:
    a trigger of the schema deletes their consents.

    Args:
        app_urls: replace all present ones.

    Returns:
        Whether anything changed.

    Raises:
        Invalid: a value is malformed.
        NotFound: there is no such client, or user.
        Conflict: another client has the origin.
    """
    client = find(change.database, name)
    responsible = users.find(change.database, owner) if owner is not None else None
    urls = _check_app_urls(app_urls) if app_urls is not None else None
    columns: dict[str, str | int] = {}
    if origin is not None and web_origins.require_canonical(origin) != client.origin:
        _require_free(change.database, origin)
        columns["origin"] = origin
    if responsible is not None and responsible.id != client.owner_id:
        columns["owner"] = responsible.id
    old = {
        "origin": client.origin,
        "owner": find_owner(change.database, client),
        "app_urls": list_app_urls(change.database, client),
    }
    new = {"origin": origin, "owner": responsible and responsible.email, "app_urls": urls}
    before, after = difference(old, {key: value for key, value in new.items() if value is not None})
    if not after:
        return False
    if columns:
        change.database.run(Client.update(**columns).where(Client.id == client.id))
    if urls is not None:
        change.database.run(ClientAppUrl.delete().where(ClientAppUrl.client == client.id))
        change.database.insert_many(ClientAppUrl, [{"client": client.id, "url": url} for url in urls])
    change.record("client.set", f"client:{name}", before, after)
    return True


def set_active(change: Change, name: str, active: bool) -> bool:
    """Enable or disable a client. A disabled one gets no new key; the keys that it has end at their own time.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such client.
    """
    client = find(change.database, name)
    if client.active == active:
        return False
    change.database.run(Client.update(active=active).where(Client.id == client.id))
    action = "client.enable" if active else "client.disable"
    change.record(action, f"client:{name}", {"active": not active}, {"active": active})
    return True


def remove(change: Change, name: str) -> ClientHoldings:
    """Delete a client. Its keys are revoked: without the client, nobody could say what they are for.

    Returns:
        What ended with it.

    Raises:
        NotFound: there is no such client.
    """
    client = find(change.database, name)
    holdings = list_holdings(change.database, client, change.at)
    for token_id in holdings["keys"]:
        tokens.revoke(change, token_id)
    change.database.run(Client.delete().where(Client.id == client.id))
    change.record("client.remove", f"client:{name}", {"origin": client.origin, **holdings})
    return holdings


def list_holdings(database: Database, client: Client, at: datetime) -> ClientHoldings:
    """What ends with a client that is removed at this moment."""
    keys = Token.select(Token.id).where(Token.client == client.id, tokens.is_live(at)).order_by(Token.id)
    consents = ClientConsent.select(Principal.email).join(Principal).where(ClientConsent.client == client.id)
    return {
        "keys": [token_id for (token_id,) in database.tuples(keys)],
        "consents": sorted(email for (email,) in database.tuples(consents)),
    }


def list_clients(database: Database) -> Iterator[ClientRow]:
    """Every client, by name."""
    query = (
        Client.select(
            Client.id, Client.name, Client.origin, Principal.email.alias("owner"), Client.active, Client.created
        )
        .join(Principal, JOIN.LEFT_OUTER, on=(Client.owner == Principal.id))
        .order_by(Client.name)
    )
    return database.rows(query, ClientRow)


def show(database: Database, name: str, at: datetime) -> ClientDetails:
    """Everything that is recorded about a client.

    Raises:
        NotFound: there is none of this name.
    """
    with database.snapshot():
        client = find(database, name)
        return {
            "id": client.id,
            "name": client.name,
            "origin": client.origin,
            "owner": find_owner(database, client),
            "active": client.active,
            "created": client.created,
            "app_urls": list_app_urls(database, client),
            **list_holdings(database, client, at),
        }


def list_app_urls(database: Database, client: Client) -> list[str]:
    """The origins of the servers to which a client may send its keys, sorted."""
    query = ClientAppUrl.select(ClientAppUrl.url).where(ClientAppUrl.client == client.id)
    return sorted(url for (url,) in database.tuples(query))


def have_any(database: Database) -> bool:
    """Whether any client is registered, enabled or not."""
    return bool(database.count(Client.select()))


def list_active(database: Database) -> list[Client]:
    """The clients that are enabled and have an owner, by name."""
    query = Client.select().join(Principal, on=(Client.owner == Principal.id))
    return database.objects(query.where(Client.active == True).order_by(Client.name))


def find_active(database: Database, origin: str) -> Client | None:
    """The enabled client of exactly this origin."""
    return next((client for client in list_active(database) if client.origin == origin), None)


def _check_app_urls(urls: Iterable[str]) -> list[str]:
    return sorted({web_origins.require_canonical(url) for url in urls})


def _show(client: Client) -> str:
    return f"dsgctl client show {shlex.quote(client.name)}"


def _require_free(database: Database, origin: str) -> None:
    """Raises:
    Conflict: a client has this origin.
    """
    other = database.first(Client.select().where(Client.origin == origin))
    if other is not None:
        raise Conflict(f"{origin} is the origin of client {other.name}", _show(other))
