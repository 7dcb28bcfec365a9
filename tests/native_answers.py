"""What a DatasetGateway answered to its native API, recorded, and the data that it answered from.

``tests/fixtures/native``: ``facts.json`` has the rows of its tables, ``routes.json`` requests with the recorded
answers, and ``cases.json`` answers that its source and tests promise.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.core.rules.references import Catalogue, Translation, Version, VersionedDataset
from dsgctl.core.rules.terms import Terms

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
