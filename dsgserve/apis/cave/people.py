"""Who somebody is: the accounts, names, groups and permissions that CAVE's services and clients look up."""

import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any, NotRequired, TypedDict

from dsgctl.core import clock, people, snapshots
from dsgctl.core.people import MAX_ID, AdministeredDataset
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.store.models import Principal
from dsgctl.wire_contract import build_user_cache, public_email
from dsgserve.apis.cave.admission import Asker, require_some_admin, require_token
from dsgserve.gateway import Gateway
from dsgserve.http.ascii_text import is_number, number, trim
from dsgserve.http.requests import query_values
from dsgserve.http.responses import NO_STORE, Refusal, json_reply
from dsgserve.http.route import Answer, Endpoint, Guard, Request, Route
from dsgserve.login.authentication import Login

_NO_USER = Refusal(404, "not_found", "there is no such user, or you may not look them up")
_NO_GROUP = Refusal(404, "not_found", "the id of a group is a number")
_NO_IDS = Refusal(400, "invalid", "ids are whole numbers, separated by commas")


class Affiliation(TypedDict):
    """Where somebody works."""

    name: str


class User(TypedDict):
    """A user of middle_auth. ``affiliations`` is a list in a list; admins and service accounts see all keys."""

    id: int
    name: str
    pi: str
    service_account: bool
    created: str
    affiliations: list[list[Affiliation]]
    email: NotRequired[str]
    admin: NotRequired[bool]
    gdpr_consent: NotRequired[bool]
    admin_datasets: NotRequired[list[AdministeredDataset]]
    parent_id: NotRequired[int | None]
    parent: NotRequired["User | None"]


def show_user(gateway: Gateway, request: Request[Login]) -> Answer:
    """GET user/N: a user, no service account."""
    account = people.find_account(gateway.reader, _read_id(request.names["user"]))
    if account is None:
        return _NO_USER
    login, at = request.caller, clock.now()
    whole = login.principal.admin or people.is_service_account(login.principal)
    (user,) = _build_users(gateway, [account], at, whole=whole)
    return json_reply(user, headers=NO_STORE)


def show_permissions(gateway: Gateway, request: Request[Asker]) -> Answer:
    """GET user/N/permissions: the user/cache of a user, no service account."""
    at = clock.now()
    with gateway.reader.snapshot():
        condition = request.caller.viewer.condition(at)
        account = people.find_account(gateway.reader, _read_id(request.names["user"]), condition)
        if account is None:
            return _NO_USER
        snapshot = snapshots.read_principal(gateway.reader, account)
    return json_reply(build_user_cache(snapshot, at), headers=NO_STORE)


def list_users(gateway: Gateway, request: Request[Asker]) -> Answer:
    """GET user?id=1,2 or user?email=X: the accounts with these ids or this address that the caller may look up."""
    at, viewer = clock.now(), request.caller.viewer
    condition = viewer.condition(at)
    if ids := _first_value(request, "id"):
        accounts = people.list_accounts(gateway.reader, _read_ids(ids), condition)
    elif email := _first_value(request, "email"):
        accounts = people.find_by_email(gateway.reader, email, condition)
    else:
        accounts = []
    return json_reply(_build_users(gateway, accounts, at, whole=viewer.sees_everybody), headers=NO_STORE)


def list_names(gateway: Gateway, request: Request[Login]) -> Answer:
    """GET username?id=1,2: the names of these accounts, each once, of service accounts too."""
    parts = [trim(part) for part in (_first_value(request, "id") or "").split(",")]
    if not all(_NUMBER.fullmatch(part) for part in parts if part):
        return _NO_IDS
    ids = [_read_id(part) for part in parts if is_number(part)]  # there are no negative ones
    names = [
        {"id": account.id, "name": people.public_name(account)} for account in people.list_accounts(gateway.reader, ids)
    ]
    return json_reply(names, headers=NO_STORE)


def list_members(gateway: Gateway, request: Request[Asker]) -> Answer:
    """GET group/N/user: the people in a group that the caller may look up."""
    if not is_number(request.names["group"]):
        return _NO_GROUP
    condition = request.caller.viewer.condition(clock.now())
    members = people.list_members(gateway.reader, _read_id(request.names["group"]), condition)
    return json_reply(list(members), headers=NO_STORE)


def _build_users(gateway: Gateway, accounts: Sequence[Principal], at: datetime, *, whole: bool) -> list[User]:
    """Users, with a number of queries that does not grow with theirs.

    Args:
        whole: with the keys for admins and service accounts.
    """
    with gateway.reader.snapshot():
        above = {account.parent_id for account in accounts if whole and account.parent_id is not None}
        parents = {parent.id: parent for parent in people.list_accounts(gateway.reader, above)}
        every_account = {account.id: account for account in (*accounts, *parents.values())}
        described = snapshots.read_people(gateway.reader, list(every_account.values()))
        administered = people.list_administered(gateway.reader, described, at) if whole else {}
    users = []
    for account in accounts:
        user = _build_user(account, described[account.id])
        if whole:
            user["email"] = public_email(described[account.id])
            user["admin"] = account.admin
            user["gdpr_consent"] = False  # nothing records it
            user["admin_datasets"] = administered[account.id]
            if people.is_service_account(account):
                parent = parents.get(account.parent_id or 0)
                user["parent_id"] = account.parent_id
                user["parent"] = _build_user(parent, described[parent.id]) if parent is not None else None
        users.append(user)
    return users


def _build_user(account: Principal, snapshot: PrincipalSnapshot) -> User:
    return {
        "id": account.id,
        "name": snapshot.public_name,
        "pi": account.pi,
        "service_account": people.is_service_account(account),
        "created": format_datetime(account.created, usegmt=True),
        "affiliations": [[{"name": name} for name in sorted(snapshot.affiliations)]],
    }


def _first_value(request: Request[Any], name: str) -> str | None:
    values = query_values(request.http, name)
    return values[0] if values else None


_NUMBER = re.compile(r"-?[0-9]+")


def _read_ids(text: str) -> list[int]:
    """The ids in a list that commas separate; what is no id is left out."""
    return [_read_id(part) for part in text.split(",") if is_number(part)]


def _read_id(text: str) -> int:
    """The number of an id; one that no account has if it is too large, or none."""
    value = number(text.lstrip("0") or "0", most=MAX_ID)
    return -1 if value is None else value


def _make_route(path: str, handler: Any, admits: Any, *carries: str) -> Route:
    return Route(path, (Endpoint("GET", handler, admits, Guard.HARMLESS, carries=carries),))


ROUTES = (
    _make_route("/api/v1/user/<user>/permissions", show_permissions, require_some_admin),
    _make_route("/api/v1/user", list_users, require_some_admin, "id", "email"),
    _make_route("/api/v1/user/<user>", show_user, require_token),
    _make_route("/api/v1/username", list_names, require_token, "id"),
    _make_route("/api/v1/group/<group>/user", list_members, require_some_admin),
)
