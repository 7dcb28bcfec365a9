"""The import of every release of the original's database: what older and newer ones have, and what is not known."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import clients, grants, locations, snapshots, token_checks, translations, users
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import principal_subject
from dsgctl.core.token_checks import PresentedToken
from dsgctl.importers import datasetgateway
from dsgctl.importers.engine.report import Report
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.importers.datasetgateway.original import (
    ANSWERED,
    ANSWERS,
    as_sets,
    ids,
    query_original,
    spoil,
)
from tests.dsgctl.importers.datasetgateway.release_sources import NUMBERS, make_source, migration_rows
from tests.level_table import leave_out_unrecorded


@pytest.mark.parametrize("answer", ANSWERS, ids=ids())
@pytest.mark.parametrize("service", ["", "celltyping", "nosuch"])
def test_the_newest_release_gives_the_answers_of_the_original(
    newest_database: Database, answer: dict[str, Any], service: str
) -> None:
    expected = answer["responses"][service]
    token = token_checks.check(newest_database, PresentedToken(answer["token"]), ANSWERED)
    assert (token.problem is None) == (expected["status"] == 200)
    if expected["status"] == 200:
        assert token.principal is not None
        principal_snapshot = snapshots.read_principal(newest_database, token.principal, service=service or None)
        body = json.loads(json.dumps(build_user_cache(principal_snapshot, ANSWERED)))
        if answer["kind"] == "service-account":
            body["id"] = expected["json"]["id"]
        # The newest release has no children of users any more; the recorded answers are of one that had.
        if expected["json"]["parent_id"] is None:
            assert as_sets(leave_out_unrecorded(body)) == as_sets(expected["json"])


# What each release adds to those before it: what a database here must have of it.


def _read_older(database: Database, source: Path) -> None:
    bucketed = query_original("SELECT count(*) FROM dataset_version WHERE gcs_bucket <> ''", source)[0][0]
    names = [name for (name,) in query_original("SELECT name FROM dataset", source)]
    rows = [row for name in names for row in locations.list_locations(database, name)]
    assert len(rows) == bucketed > 0
    assert None not in {row["version"] for row in rows}


def _read_services_facts(database: Database) -> None:
    versions = database.tuples(
        m.Version.select(m.Version.id, m.Version.branch, m.Version.ordinal).where(m.Version.ordinal.is_null(False))
    )
    assert sorted(versions) == [(2, "main", 1), (3, "dev /2", 1), (4, "main", 1)]
    modes = dict(database.tuples(m.Service.select(m.Service.name, m.Service.mode)))
    assert modes == {"celltyping": "linear", "neuprint": "linear", "clio": "dag"}
    of_service = (
        m.Grant.select(m.Principal.id, m.Group.id, m.Dataset.name, m.Service.name, m.Principal.kind)
        .join_from(m.Grant, m.Service)
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Principal, "LEFT OUTER JOIN", on=(m.Grant.principal == m.Principal.id))
        .join_from(m.Grant, m.Group, "LEFT OUTER JOIN", on=(m.Grant.group == m.Group.id))
    )
    rows = {(dataset, service, kind or "group") for _, _, dataset, service, kind in database.tuples(of_service)}
    assert rows == {
        ("fish11", "neuprint", "user"),
        ("fish1", "celltyping", "group"),
        ("fish17", "clio", "service_account"),
    }
    assert [
        (row["service"], row["name"], row["name_version"], row["dataset"], row["version"])
        for row in translations.list_translations(database)
    ] == [
        ("celltyping", "fish1", None, "fish2", "v2"),
        ("neuprint", "hemi brain:v1", None, "fish2", None),
        ("neuprint", "hemi brain:v1", "1.2", "fish2", "v1"),
    ]
    of_whole_dataset = principal_subject(users.find(database, "First.Last+0@Example.ORG"))
    assert ("fly-15_x", "view") in {
        (row["dataset"], row["permission"]) for row in grants.list_grants(database, subject=of_whole_dataset)
    }


def _read_clients_facts(database: Database) -> None:
    day = datetime(2026, 10, 1, 12, tzinfo=UTC)
    atlas, other = (clients.show(database, name, ANSWERED) for name in ("Atlas", "Other"))
    assert (atlas["origin"], atlas["owner"], atlas["active"], atlas["created"]) == (
        "https://a.example",
        "user2@example.org",
        True,
        day,
    )
    assert (other["origin"], other["active"], other["consents"]) == ("https://b.example", False, [])
    assert (atlas["consents"], atlas["app_urls"]) == (["user3@example.org"], [])
    key = token_checks.check(database, PresentedToken("KeyOfAnAdminThatAtlasWasHanded"), ANSWERED)
    assert key.problem is None and key.token is not None and key.principal is not None
    assert (key.token.kind, key.token.id in atlas["keys"]) == ("delegated", True)
    assert (key.principal.email, key.principal.admin) == ("user34@example.org", False)
    assert users.find(database, "user34@example.org").admin


@pytest.mark.parametrize("number", NUMBERS)
def test_each_release_is_read_with_everything_that_it_can_have(run: Run, tmp_path: Path, number: int) -> None:
    make_source(source := tmp_path / "db.sqlite3", number)
    before = _count_rows(source)
    report = run(datasetgateway.Importer().run, source)
    assert not report.left_out
    assert report.added["users"] == 43
    assert report.added["grants"] >= query_original('SELECT count(*) FROM "grant"', source)[0][0]
    if number < 4:
        _read_older(run.database, source)
    if number >= 10:
        _read_services_facts(run.database)
        assert (report.added["translations"], report.added["services"]) == (3, 3)
    if number >= 16:
        _read_clients_facts(run.database)
        assert (report.added["clients"], report.added["consents"]) == (2, 1)
    bindings = [line for line in report.noted if "bucket_iam_binding" in line]
    assert bindings == (
        ["bucket_name of 1 row of bucket_iam_binding: there is no place for it here"] if 11 <= number < 17 else []
    )
    content = run.content()
    second: Report = run(datasetgateway.Importer().run, source)
    assert (second.changed, run.content()) == (False, content)
    assert _nonzero(second.unchanged) == _nonzero(report.added)
    assert _count_rows(source) == before


def _nonzero(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in counts.items() if count}


def _count_rows(source: Path) -> dict[str, int]:
    tables = [name for (name,) in query_original("SELECT name FROM sqlite_schema WHERE type = 'table'", source)]
    return {table: query_original(f'SELECT count(*) FROM "{table}"', source)[0][0] for table in tables}


def test_the_first_release_had_administrators_of_datasets(run: Run, tmp_path: Path) -> None:
    make_source(source := tmp_path / "db.sqlite3", 3)
    spoil(
        source,
        "DELETE FROM django_migrations WHERE app = 'core'",
        *migration_rows(1, 2),
        "INSERT INTO django_migrations (app, name, applied) VALUES ('core', '0003_grant_group_fk', '2026-02-23')",
        "CREATE TABLE dataset_admin (id integer PRIMARY KEY, dataset_id bigint REFERENCES dataset(id),"
        " user_id bigint REFERENCES dsg_user(id))",
        "INSERT INTO dataset_admin VALUES (1, 3, 4)",
    )
    run(datasetgateway.Importer().run, source)
    subject = principal_subject(users.find(run.database, "user3@example.org"))
    assert ("fish2", "admin") in {
        (row["dataset"], row["permission"]) for row in grants.list_grants(run.database, subject=subject)
    }


# What is not known: what is done to the database, and what the error says.
UNKNOWN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a later migration": (
        ("INSERT INTO django_migrations (app, name, applied) VALUES ('core', '0018_grant_expiry', '2026-12-01')",),
        ("has had the migration 0018_grant_expiry", "newer release"),
    ),
    "another migration of a known number": (
        ("INSERT INTO django_migrations (app, name, applied) VALUES ('core', '0013_grant_expiry', '2026-12-01')",),
        ("0013_grant_expiry",),
    ),
    "no migration": (("DELETE FROM django_migrations WHERE app = 'core'",), ("no migration of core",)),
    "no table of migrations": (("DROP TABLE django_migrations",), ("no table django_migrations",)),
    "a column": (('ALTER TABLE "grant" ADD COLUMN expires_at datetime',), ("table grant has a column expires_at",)),
    "columns": (
        ("ALTER TABLE api_key ADD COLUMN scopes text", "ALTER TABLE api_key ADD COLUMN read_only bool"),
        ("table api_key has columns scopes, read_only that are not known here",),
    ),
    "a column that is computed": (
        ("ALTER TABLE permission ADD COLUMN ends text AS (name) VIRTUAL",),
        ("permission has a column ends",),
    ),
    "a column of a new table": (
        ("ALTER TABLE grant_buckets ADD COLUMN prefix text",),
        ("grant_buckets has a column prefix",),
    ),
    "a table that narrows grants": (
        ('CREATE TABLE grant_prefixes (id integer PRIMARY KEY, grant_id bigint REFERENCES "grant"(id))',),
        ("table grant_prefixes that is not known here and refers to grant",),
    ),
    "a column that its migration made is missing": (
        (*migration_rows(10), "ALTER TABLE dataset_version DROP COLUMN branch"),
        ("dataset_version has no column branch",),
    ),
    "a table that its migration made is missing": (
        (*migration_rows(10), "DROP TABLE grant_buckets"),
        ("no table grant_buckets, which its migrations made",),
    ),
    "a virtual table": (
        ("DROP TABLE dsg_cache_table", "DROP TABLE public_root", "CREATE VIRTUAL TABLE public_root USING fts5(id)"),
        ("no table public_root",),
    ),
}


@pytest.mark.parametrize(("sql", "parts"), UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("skip_conflicts", [False, True])
def test_an_unknown_table_or_column_is_refused_by_its_name(
    run: Run, newest_source: Path, sql: tuple[str, ...], parts: tuple[str, ...], skip_conflicts: bool
) -> None:
    spoil(newest_source, *sql)
    before = run.content()
    with refused(Invalid, "db.sqlite3", *parts):
        run(datasetgateway.Importer().run, newest_source, skip_conflicts=skip_conflicts)
    assert run.content() == before
