"""The parts of the wire contract (dsgserve/contract.md) that the server sends and ``dsgctl`` shows too."""

from datetime import datetime
from typing import NotRequired, TypedDict

from dsgctl.core.rules import access, levels
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.terms import Terms
from dsgctl.core.validation import SERVICE_ACCOUNT_DOMAIN


class MissingTos(TypedDict):
    """Terms that the user has yet to accept; ``service`` is there for terms of a service."""

    dataset_id: int
    dataset_name: str
    tos_id: int
    tos_name: str
    service: NotRequired[str]


class UserCache(TypedDict):
    """The body of ``GET /api/v1/user/cache``."""

    id: int
    parent_id: int | None
    service_account: bool
    name: str
    email: str
    admin: bool
    pi: str
    picture_url: str
    affiliations: list[str]
    groups: list[str]
    groups_admin: list[str]
    permissions: dict[str, int]
    permissions_v2: dict[str, list[str]]
    permissions_v2_ignore_tos: dict[str, list[str]]
    missing_tos: list[MissingTos]
    datasets_admin: list[str]


def build_user_cache(snapshot: PrincipalSnapshot, at: datetime) -> UserCache:
    """The body of ``GET /api/v1/user/cache`` (contract.md, "GET /api/v1/user/cache").

    Lists are sorted, so that the same snapshot gives the same bytes.
    """
    granted = access.granted_permissions(snapshot, at)
    granted = {name: granted[name] for name in sorted(granted)}
    effective = access.effective_permissions(snapshot, at, granted)
    # There are many datasets, and few sets of permissions.
    names = {permissions: sorted(permissions) for permissions in set(granted.values())}
    numbers = {permissions: max(map(levels.find_wire_number, permissions)) for permissions in names}
    return {
        "id": snapshot.id,
        "parent_id": snapshot.parent_id,
        "service_account": snapshot.service_account or snapshot.parent_id is not None,
        "name": snapshot.public_name,
        "email": public_email(snapshot),
        "admin": snapshot.admin,
        "pi": snapshot.pi,
        "picture_url": snapshot.picture_url,
        "affiliations": sorted(snapshot.affiliations),
        "groups": sorted(snapshot.groups),
        "groups_admin": sorted(snapshot.leads),
        "permissions": {name: numbers[permissions] for name, permissions in effective.items()},
        "permissions_v2": {name: names[permissions] for name, permissions in effective.items()},
        "permissions_v2_ignore_tos": {name: names[permissions] for name, permissions in granted.items()},
        "missing_tos": _list_missing_tos(snapshot, access.list_missing_terms(snapshot, at, granted)),
        "datasets_admin": access.list_administered(snapshot, at),
    }


class NativeUser(TypedDict):
    """The body of ``GET /api/dsg/v1/user``."""

    id: int
    email: str
    name: str
    picture_url: str | None
    admin: bool
    service_account: bool
    groups: list[str]


def build_native_user(snapshot: PrincipalSnapshot) -> NativeUser:
    """The body of ``GET /api/dsg/v1/user`` (contract-services.md, "User"); the groups are sorted."""
    return {
        "id": snapshot.id,
        "email": public_email(snapshot),
        "name": snapshot.label if snapshot.service_account else snapshot.name,
        "picture_url": None if snapshot.service_account else snapshot.picture_url,
        "admin": snapshot.admin,
        "service_account": snapshot.service_account or snapshot.parent_id is not None,
        "groups": sorted(snapshot.groups),
    }


def public_email(snapshot: PrincipalSnapshot) -> str:
    """The email of a user; for a service account, an address that no user can have."""
    return f"{snapshot.label}@{SERVICE_ACCOUNT_DOMAIN}" if snapshot.service_account else snapshot.label


def _list_missing_tos(snapshot: PrincipalSnapshot, missing: list[Terms]) -> list[MissingTos]:
    entries: list[MissingTos] = []
    for terms in missing:
        entry: MissingTos = {
            "dataset_id": snapshot.datasets[terms.dataset].id,
            "dataset_name": terms.dataset,
            "tos_id": terms.id,
            "tos_name": terms.name,
        }
        if terms.service is not None:
            entry["service"] = terms.service
        entries.append(entry)
    return entries


def accept_path(terms_id: int) -> str:
    """The path on the server at which a person reads and accepts terms (contract.md, "Terms pages")."""
    return f"/api/v1/tos/{terms_id}/accept"
