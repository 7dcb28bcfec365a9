"""What a DatasetGateway answered to its native API, recorded, and the data that it answered from.

``tests/fixtures/native``: ``facts.json`` has the rows of its tables, ``routes.json`` requests with the recorded
answers, and ``cases.json`` answers that its source and tests promise.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from dsgctl.core import token_format
from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.core.rules.references import Catalogue, Translation, Version, VersionedDataset
from dsgctl.core.rules.terms import Terms
from dsgctl.store import Database
from dsgctl.store import models as m

_FIXTURES = Path(__file__).parent / "fixtures" / "native"
AUTHORIZE = "/api/dsg/v1/authorize"

Row = Mapping[str, Any]


@cache
def _read(name: str) -> Any:
    return json.loads((_FIXTURES / name).read_text(encoding="utf-8"))


def rows(table: str) -> list[Row]:
    """The rows of a table of the original."""
    return _read("facts.json")[table]  # type: ignore[no-any-return]


def names(table: str, column: str = "name") -> dict[int, str]:
    """A column of a table, by id."""
    return {row["id"]: row[column] for row in rows(table)}


@dataclass(frozen=True)
class Recording:
    """A request and its answer.

    Attributes:
        id: its place in routes.json.
        token_kind: whose token it has, as ``ada`` for ``tok-ada``; ``none`` for no token.
        superseded: the places of the entries that newer releases of the original answer with ``allow``.
    """

    id: int
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str | None
    token: str | None
    token_kind: str
    status: int
    json: Any
    superseded: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.id} {self.method} {self.path} {self.token_kind}"


@cache
def recordings() -> tuple[Recording, ...]:
    return tuple(
        Recording(
            number,
            row["method"],
            row["path"],
            row["query"],
            row["headers"],
            row["body"],
            row["token"],
            row["token_kind"],
            row["status"],
            row.get("body_json"),
            tuple(row.get("superseded_entries", ())),
        )
        for number, row in enumerate(_read("routes.json"))
    )


def cases() -> list[Row]:
    """What the original's source promises: ``request``, ``facts``, ``expect``."""
    return _read("cases.json")  # type: ignore[no-any-return]


# The same data as the rules see them.


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _build_terms(service: str | None) -> Iterator[tuple[Row, Terms]]:
    """The terms of no service, and those of the one that asks."""
    services, datasets, versions = names("Service"), names("Dataset"), names("DatasetVersion", "version")
    datasets_of_versions = names("DatasetVersion", "dataset_id")
    own = {row["tos_id"] for row in rows("Dataset")}
    for row in rows("TOSDocument"):
        of_service = services.get(row["service_id"])
        if of_service in (None, service):
            version_id = row["dataset_version_id"]
            dataset_id = row["dataset_id"] if version_id is None else datasets_of_versions[version_id]
            effective = datetime.fromisoformat(row["effective_date"])
            yield (
                row,
                Terms(
                    row["id"],
                    row["name"],
                    effective,
                    _moment(row["retired_date"]),
                    datasets[dataset_id],
                    row["id"] in own,
                    versions.get(version_id),
                    of_service,
                ),
            )


def build_catalogue(service: object) -> Catalogue:
    """All datasets, as the rules see them for a service; for an unknown one, as for none."""
    return _build_catalogue(next((row["id"] for row in rows("Service") if row["name"] == service), None))


@cache
def _build_catalogue(service_id: int | None) -> Catalogue:
    name = names("Service").get(service_id or 0)
    terms = list(_build_terms(name))
    datasets, versions = names("Dataset"), names("DatasetVersion", "version")

    def build_version(row: Row) -> Version:
        own = tuple(document for cells, document in terms if cells["dataset_version_id"] == row["id"])
        return Version(row["version"], row["branch"], row["ordinal"], row["is_public"], own)

    def build_dataset(row: Row) -> VersionedDataset:
        of_dataset = tuple(document for cells, document in terms if cells["dataset_id"] == row["id"])
        return VersionedDataset(
            row["name"],
            row["access_mode"] == "public",
            tuple(document for document in of_dataset if document.own or document.service),
            {
                cells["version"]: build_version(cells)
                for cells in rows("DatasetVersion")
                if cells["dataset_id"] == row["id"]
            },
        )

    translations = {
        (row["client_name"], row["client_version"]): Translation(
            datasets[row["dataset_id"]], versions.get(row["dataset_version_id"])
        )
        for row in rows("DatasetTranslation")
        if row["service_id"] == service_id
    }
    is_dag = names("Service", "version_eval_mode").get(service_id or 0) == "dag"
    return Catalogue(name, is_dag, translations, {row["name"]: build_dataset(row) for row in rows("Dataset")})


@cache
def build_principal(token: str) -> PrincipalSnapshot:
    """The owner of a token, as the rules see them."""
    for row in rows("ServiceAccountToken"):
        if row["key"] == token:
            account = next(it for it in rows("ServiceAccount") if it["id"] == row["service_account_id"])
            grants = [it for it in rows("ServiceAccountGrant") if it["service_account_id"] == account["id"]]
            return _build_snapshot(account["name"], account, grants, service_account=True)
    user_id = next(row["user_id"] for row in rows("APIKey") if row["key"] == token)
    user = next(it for it in rows("User") if it["id"] == user_id)
    groups = {it["group_id"] for it in rows("UserGroup") if it["user_id"] == user_id}
    grants = [it for it in rows("Grant") if it["user_id"] == user_id]
    grants += [it for it in rows("GroupDatasetPermission") if it["group_id"] in groups]
    return _build_snapshot(user["email"], user, grants)


def _build_snapshot(label: str, account: Row, grants: list[Row], *, service_account: bool = False) -> PrincipalSnapshot:
    datasets, versions, services = names("Dataset"), names("DatasetVersion", "version"), names("Service")
    permissions, groups = names("Permission"), names("Group")
    built = [
        Grant(
            row["id"],
            datasets[row["dataset_id"]],
            permissions[row["permission_id"]],
            groups.get(row.get("group_id")) if "user_id" not in row else None,
            versions.get(row.get("dataset_version_id")),
            service=services.get(row["service_id"]),
        )
        for row in grants
    ]
    accepted = {
        row["tos_document_id"]: datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        for row in rows("TOSAcceptance")
        if row["user_id"] == account["id"] and not service_account
    }
    return PrincipalSnapshot(
        account["id"],
        service_account,
        label,
        ended_by=None if account["is_active"] else label,
        admin=account.get("admin", False),
        read_only=account.get("read_only", False),
        grants=tuple(grant for grant in built if grant.service is None),
        service_grants=tuple(grant for grant in built if grant.service is not None),
        accepted=accepted,
    )


# The same data in a database of ours.

SERVICE_ACCOUNT_IDS = 1000  # added to the ids of service accounts, which share an id space with users here


_AT = datetime(2026, 1, 1, tzinfo=UTC)
Insert = tuple[type[Any], dict[str, Any]]


def fill(database: Database) -> None:
    """Write the rows into an empty database."""
    with database.transaction():
        for model, cells in (*_list_accounts(), *_list_datasets(), *_list_grants(), *_list_terms(), *_list_tokens()):
            database.run(model.insert(**cells))
        for row in rows("Dataset"):
            database.run(m.Dataset.update(own_terms_id=row["tos_id"]).where(m.Dataset.id == row["id"]))


def _list_accounts() -> Iterator[Insert]:
    columns = ("id", "email", "name", "display_name", "admin", "pi", "read_only", "notes", "picture_url")
    by = {"created": _AT, "created_by": "os:test"}
    for row in rows("User"):
        cells = {column: row[column] for column in columns}
        yield m.Principal, {"kind": "user", "slug": None, "active": row["is_active"], **cells, **by}
    for row in rows("ServiceAccount"):
        cells = {"id": SERVICE_ACCOUNT_IDS + row["id"], "slug": row["name"], "email": None}
        yield m.Principal, {"kind": "service_account", "active": row["is_active"], **cells, **by}
    for row in rows("Group"):
        yield m.Group, {"id": row["id"], "name": row["name"], "created": _AT}
    for row in rows("UserGroup"):
        yield m.Membership, {"principal": row["user_id"], "group": row["group_id"], "leads": row["is_admin"]}


def _list_datasets() -> Iterator[Insert]:
    for row in rows("Dataset"):
        yield m.Dataset, {"id": row["id"], "name": row["name"], "access": row["access_mode"], "created": _AT}
    for row in rows("DatasetVersion"):
        cells = {"branch": row["branch"], "ordinal": row["ordinal"], "public": row["is_public"]}
        yield m.Version, {"id": row["id"], "dataset": row["dataset_id"], "name": row["version"], **cells}
    for row in rows("Service"):
        yield m.Service, {"id": row["id"], "name": row["name"], "mode": row["version_eval_mode"]}
    for row in rows("DatasetTranslation"):
        cells = {"client_name": row["client_name"], "client_version": row["client_version"]}
        target = {"dataset": row["dataset_id"], "version": row["dataset_version_id"]}
        yield m.Translation, {"id": row["id"], "service": row["service_id"], **cells, **target}
    for row in rows("ServiceTable"):
        cells = {"service": row["service_name"], "name": row["table_name"]}
        yield m.ServiceTable, {"id": row["id"], "dataset": row["dataset_id"], **cells}
    for row in rows("PublicRoot"):
        yield m.PublicRoot, {"service_table": row["service_table_id"], "root_id": row["root_id"]}


def _list_grants() -> Iterator[Insert]:
    permissions = names("Permission")
    subjects = [({"principal": row["user_id"]}, row) for row in rows("Grant")]
    subjects += [({"group": row["group_id"]}, row) for row in rows("GroupDatasetPermission")]
    subjects += [
        ({"principal": SERVICE_ACCOUNT_IDS + row["service_account_id"]}, row) for row in rows("ServiceAccountGrant")
    ]
    for subject, row in subjects:
        target = {"dataset": row["dataset_id"], "version": row.get("dataset_version_id"), "service": row["service_id"]}
        by = {"created": _AT, "granted_by": "os:test", "source": "manual"}
        yield m.Grant, {"permission": permissions[row["permission_id"]], **subject, **target, **by}


def _list_terms() -> Iterator[Insert]:
    for row in rows("TOSDocument"):
        cells = {"id": row["id"], "name": row["name"], "text": row["text"], "invite_token": f"invite-{row['id']}"}
        dates = {"effective": _moment(row["effective_date"]), "retired": _moment(row["retired_date"])}
        version_id = row["dataset_version_id"]  # with its dataset, as core writes terms of a version
        dataset_id = row["dataset_id"] or names("DatasetVersion", "dataset_id")[version_id]
        target = {"dataset": dataset_id, "version": version_id, "service": row["service_id"]}
        yield m.Terms, {**cells, **dates, **target}
    for row in rows("TOSAcceptance"):
        by = {"accepted": _AT, "recorded_by": "os:test"}
        yield m.Acceptance, {"principal": row["user_id"], "terms": row["tos_document_id"], **by}


def _list_tokens() -> Iterator[Insert]:
    owners = [(row["user_id"], row) for row in rows("APIKey")]
    owners += [(SERVICE_ACCOUNT_IDS + row["service_account_id"], row) for row in rows("ServiceAccountToken")]
    for owner, row in owners:
        cells = {"hash": token_format.digest(row["key"]), "prefix": "", "expires": _moment(row.get("expires_at"))}
        kind = "login" if "login" in row["description"] else "api"
        yield m.Token, {"principal": owner, "kind": kind, "created": _AT, **cells}
