"""The import of every release of the original's database: what older and newer ones have, and what is never widened."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import (
    audit_chain,
    datasets,
    grants,
    locations,
    services,
    snapshots,
    token_checks,
    users,
    versions,
)
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import principal_subject
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.importers import datasetgateway
from dsgctl.importers.datasetgateway import releases
from dsgctl.importers.engine.report import BadRows, Report
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgctl.wire_contract import build_user_cache
from tests.conftest import FIXTURES
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.importers.datasetgateway.original import (
    ANSWERED,
    ANSWERS,
    ORIGINAL,
    as_sets,
    ids,
    query_original,
    spoil,
)
from tests.level_table import leave_out_unrecorded

NEWEST = FIXTURES / "datasetgateway-newest.sqlite3"
MIGRATIONS = {number: name for name, number in releases._MIGRATIONS.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    copy = tmp_path / "db.sqlite3"
    shutil.copyfile(NEWEST, copy)
    return copy


def migration_rows(*numbers: int) -> list[str]:
    """Statements that say that these migrations were applied."""
    return [
        f"INSERT INTO django_migrations (app, name, applied) VALUES ('core', '{MIGRATIONS[number]}', '2026-10-01')"
        for number in numbers
    ]


@pytest.fixture(scope="module")
def imported_database(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("newest") / "dsg.sqlite3"
    shutil.copyfile(empty_database, path)
    database = open_current(path)
    report: Report = Run(database)(datasetgateway.Importer().run, NEWEST)
    assert not report.left_out
    yield database
    database.close()


@pytest.fixture(scope="module")
def reach_of_whole(imported_database: Database) -> set[tuple[Any, ...]]:
    return _reach(Run(imported_database))


@pytest.mark.parametrize("answer", ANSWERS, ids=ids())
@pytest.mark.parametrize("service", ["", "celltyping", "nosuch"])
def test_the_newest_release_gives_the_answers_of_the_original(
    imported_database: Database, answer: dict[str, Any], service: str
) -> None:
    expected = answer["responses"][service]
    token = token_checks.check(imported_database, PresentedToken(answer["token"]), ANSWERED)
    assert (token.problem is None) == (expected["status"] == 200)
    if expected["status"] == 200:
        assert token.principal is not None
        principal_snapshot = snapshots.read_principal(imported_database, token.principal, service=service or None)
        body = json.loads(json.dumps(build_user_cache(principal_snapshot, ANSWERED)))
        if answer["kind"] == "service-account":
            body["id"] = expected["json"]["id"]
        # The newest release has no children of users any more; the recorded answers are of one that had.
        if expected["json"]["parent_id"] is None:
            assert as_sets(leave_out_unrecorded(body)) == as_sets(expected["json"])


def make_older_source(source: Path, number: int) -> None:
    """Undo the migrations above a number in a database of migration 9, as far as tables and columns go."""
    shutil.copyfile(ORIGINAL, source)
    spoil(source, f"DELETE FROM django_migrations WHERE app = 'core' AND CAST(name AS INTEGER) > {number}")
    undo: dict[int, tuple[str, ...]] = {
        9: ("DROP TABLE service_account_grant", "DROP TABLE service_account_token", "DROP TABLE service_account"),
        8: ("ALTER TABLE api_key DROP COLUMN expires_at",),
        7: ("ALTER TABLE dsg_user DROP COLUMN picture_url",),
        6: ("DROP TABLE affiliation", "ALTER TABLE dsg_user DROP COLUMN notes"),
        5: (
            "DROP INDEX IF EXISTS tos_document_service_id_a1ff0f63",
            "UPDATE tos_document SET service_id = NULL",
            "CREATE TABLE t AS SELECT id, name, text, invite_token, effective_date, retired_date, dataset_id,"
            " dataset_version_id FROM tos_document",
            "DROP TABLE tos_document",
            "CREATE TABLE tos_document (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, name varchar(255) NOT NULL,"
            " text text NOT NULL, invite_token varchar(64) NOT NULL UNIQUE, effective_date datetime NOT NULL,"
            " retired_date datetime NULL, dataset_id bigint NULL, dataset_version_id bigint NULL)",
            "INSERT INTO tos_document SELECT * FROM t",
            "DROP TABLE t",
            "DROP TABLE service",
        ),
        4: (
            "ALTER TABLE dataset_version ADD COLUMN gcs_bucket varchar(255) NOT NULL DEFAULT ''",
            "UPDATE dataset_version SET gcs_bucket = coalesce((SELECT b.name FROM dataset_version_buckets l"
            " JOIN dataset_bucket b ON b.id = datasetbucket_id WHERE datasetversion_id = dataset_version.id), '')",
            "DROP TABLE dataset_version_buckets",
            "DROP TABLE dataset_bucket",
        ),
    }
    for step in range(9, number, -1):
        spoil(source, *undo.get(step, ()))


@pytest.mark.parametrize("number", range(1, 10))
def test_each_older_release_is_read(run: Run, source: Path, number: int) -> None:
    make_older_source(source, number)
    report = run(datasetgateway.Importer().run, source)
    assert not report.left_out
    rows = query_original('SELECT count(*) FROM "grant"', source)[0][0]
    assert report.added["grants"] >= rows
    assert report.added["users"] == 43
    if number < 4:
        bucketed = query_original("SELECT count(*) FROM dataset_version WHERE gcs_bucket <> ''", source)[0][0]
        assert report.added["locations"] == bucketed > 0
        assert {
            row["version"] is None
            for name in query_original("SELECT name FROM dataset", source)
            for row in locations.list_locations(run.database, name[0])
        } == {False}
    assert not run(datasetgateway.Importer().run, source).changed


def test_the_first_release_had_administrators_of_datasets(run: Run, source: Path) -> None:
    make_older_source(source, 3)
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


@pytest.mark.parametrize("upto", range(10, 18))
def test_each_newer_release_is_read(run: Run, source: Path, upto: int) -> None:
    undo = {
        17: (
            "CREATE TABLE bucket_iam_binding (id integer PRIMARY KEY, bucket_name text, email text, created datetime)",
            "INSERT INTO bucket_iam_binding VALUES (1, 'b', 'a@example.org', '2026-10-01')",
        ),
        16: (
            "DROP TABLE core_clientconsent",
            "ALTER TABLE api_key DROP COLUMN delegated_client_id",
            "DROP TABLE core_registeredclient",
        ),
        15: ("DROP TABLE dsg_cache_table",),
        14: ("ALTER TABLE dataset_translation RENAME TO dataset_alias",),
        12: ("ALTER TABLE dsg_user ADD COLUMN parent_id bigint REFERENCES dsg_user(id)",),
        11: ("DROP TABLE bucket_iam_binding",),
    }
    for step in range(17, upto, -1):
        spoil(source, *undo.get(step, ()))
    spoil(source, *migration_rows(*range(10, upto + 1)))
    report = run(datasetgateway.Importer().run, source)
    assert not report.left_out
    assert report.added["users"] == 43
    iam = [line for line in report.noted if "bucket_iam_binding" in line]
    assert iam == (
        ["bucket_name of 1 row of bucket_iam_binding: there is no place for it here"] if 11 <= upto < 17 else []
    )


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
    run: Run, source: Path, sql: tuple[str, ...], parts: tuple[str, ...], skip_conflicts: bool
) -> None:
    spoil(source, *sql)
    before = run.content()
    with refused(Invalid, "db.sqlite3", *parts):
        run(datasetgateway.Importer().run, source, skip_conflicts=skip_conflicts)
    assert run.content() == before


Check = Callable[[Run], object]


def _grant_columns(run: Run, *columns: str) -> set[tuple[str | None, ...]]:
    return {tuple(row[key] for key in columns) for row in grants.list_grants(run.database)}


CLIENT = "INSERT INTO core_registeredclient VALUES (1, 'https://a.example', 'A', 'o', 1, '[]', '2026-10-01')"
# A fact of a newer release: statements, the row that is refused and why, and what must not be here without it.
NARROWING: dict[str, tuple[tuple[str, ...], tuple[str, ...], Check]] = {
    "a grant for one service": (
        ('UPDATE "grant" SET service_id = 1 WHERE id = 1',),
        ("grant row 1: the grant counts for service row 1 alone",),
        lambda run: len([row for row in grants.list_grants(run.database) if row["user"]]) == 106,
    ),
    "a group's grant for one service": (
        ("UPDATE group_dataset_permission SET service_id = 1 WHERE id = 1",),
        ("group_dataset_permission row 1:",),
        lambda run: len([row for row in grants.list_grants(run.database) if row["group"]]) == 19,
    ),
    "a service account's grant for one service": (
        ("UPDATE service_account_grant SET service_id = 1 WHERE id = 1",),
        ("service_account_grant row 1:",),
        lambda run: len([row for row in grants.list_grants(run.database) if row["service_account"]]) == 8,
    ),
    "a grant for some buckets": (
        ("INSERT INTO grant_buckets (grant_id, datasetbucket_id) VALUES (1, 1), (1, 2)",),
        ("grant row 1: the grant reaches 2 buckets alone",),
        lambda run: len([row for row in grants.list_grants(run.database) if row["user"]]) == 106,
    ),
    "a version of a branch": (
        ("UPDATE dataset_version SET branch = 'dev'",),
        ("dataset_version row 1:", "is on the branch 'dev'"),
        lambda run: not _grant_columns(run, "version") - {(None,)},
    ),
    "a version with an ordinal": (
        ("UPDATE dataset_version SET ordinal = id",),
        ("dataset_version row 3:", "has the ordinal 3"),
        lambda run: not _grant_columns(run, "version") - {(None,)},
    ),
    "a translation": (
        ("INSERT INTO dataset_translation (client_name, dataset_id, service_id) VALUES ('fish', 1, 1)",),
        ("dataset_translation row 1: it translates the name 'fish' of a service",),
        lambda run: datasets.find_by_name(run.database, "fish") is None,
    ),
    "a registered client": (
        (CLIENT, "INSERT INTO core_clientconsent VALUES (1, '2026-10-01', 3, 1)"),
        ("core_registeredclient row 1: 'https://a.example' is a registered client",),
        lambda run: services.find_by_name(run.database, "A") is None,
    ),
    "a delegated key": (
        (CLIENT, "UPDATE api_key SET delegated_client_id = 1 WHERE id = 1"),
        ("api_key row 1: the token was given to the registered client of row 1",),
        lambda run: (
            token_checks.check(
                run.database,
                PresentedToken(query_original("SELECT key FROM api_key WHERE id = 1", NEWEST)[0][0]),
                ANSWERED,
            ).problem
            is TokenError.UNKNOWN
        ),
    ),
}


@pytest.mark.parametrize(("sql", "parts", "holds"), NARROWING.values(), ids=NARROWING)
def test_what_has_no_place_here_is_refused_or_left_out_and_never_widened(
    run: Run,
    source: Path,
    reach_of_whole: set[tuple[Any, ...]],
    sql: tuple[str, ...],
    parts: tuple[str, ...],
    holds: Check,
) -> None:
    spoil(source, *sql)
    before = run.content()
    with refused(BadRows, "for which this release has no place", "--skip-conflicts to leave them out", *parts):
        run(datasetgateway.Importer().run, source)
    assert run.content() == before
    report = run(datasetgateway.Importer().run, source, skip_conflicts=True)
    assert [line for line in report.left_out if all(part in line for part in parts)], report.left_out
    assert holds(run)
    assert _reach(run) <= reach_of_whole
    assert audit_chain.verify(run.database) is None
    assert not run(datasetgateway.Importer().run, source, skip_conflicts=True).changed


def _reach(run: Run) -> set[tuple[Any, ...]]:
    """Whatever gives anything: grants, public datasets and versions, and where what lies."""
    reach = {
        (
            "grant",
            *(row[key] for key in ("dataset", "version", "permission", "user", "service_account", "group", "scope")),
        )
        for row in grants.list_grants(run.database)
    }
    for dataset in list(datasets.list_datasets(run.database)):
        name = dataset["name"]
        reach |= {("public", name)} if dataset["access"] == "public" else set()
        reach |= {("public", name, row["name"]) for row in versions.list_versions(run.database, name) if row["public"]}
        reach |= {
            ("location", name, row["location"], row["version"]) for row in locations.list_locations(run.database, name)
        }
    return reach


class TestTerms:
    """Terms that cannot be taken over take with them what would be open without them."""

    def test_of_a_dataset(self, run: Run, source: Path) -> None:
        number, name = query_original("SELECT tos_id, name FROM dataset WHERE tos_id IS NOT NULL LIMIT 1", source)[0]
        spoil(source, f"UPDATE tos_document SET text = 'a' || char(1) WHERE id = {number}")
        report = run(datasetgateway.Importer().run, source, skip_conflicts=True)
        assert datasets.find_by_name(run.database, name) is None
        assert [line for line in report.left_out if f"'{name}' goes with its terms, tos_document row {number}" in line]
        assert not [row for row in grants.list_grants(run.database) if row["dataset"] == name]

    def test_of_a_service_on_a_dataset(self, run: Run, source: Path) -> None:
        number, dataset = query_original(
            "SELECT t.id, d.name FROM tos_document t JOIN dataset d ON d.id = t.dataset_id"
            " WHERE service_id IS NOT NULL AND dataset_version_id IS NULL LIMIT 1",
            source,
        )[0]
        spoil(
            source, f"UPDATE service SET name = '' WHERE id = (SELECT service_id FROM tos_document WHERE id = {number})"
        )
        run(datasetgateway.Importer().run, source, skip_conflicts=True)
        assert datasets.find_by_name(run.database, dataset) is None

    def test_of_a_version(self, run: Run, source: Path) -> None:
        spoil(
            source,
            "UPDATE tos_document SET dataset_version_id = 3, name = char(10),"
            " dataset_id = (SELECT dataset_id FROM dataset_version WHERE id = 3) WHERE id = 5",
            "UPDATE dataset SET tos_id = NULL WHERE tos_id = 5",
        )
        name, version = query_original(
            "SELECT d.name, v.version FROM dataset_version v JOIN dataset d ON d.id = dataset_id WHERE v.id = 3", source
        )[0]
        run(datasetgateway.Importer().run, source, skip_conflicts=True)
        assert datasets.find_by_name(run.database, name) is not None
        assert version not in {row["name"] for row in versions.list_versions(run.database, name)}

    def test_a_bucket_of_a_version_that_was_left_out_is_not_one_of_the_whole_dataset(
        self, run: Run, source: Path
    ) -> None:
        bucket, dataset = query_original(
            "SELECT b.name, d.name FROM dataset_version_buckets l JOIN dataset_bucket b ON b.id = l.datasetbucket_id"
            " JOIN dataset d ON d.id = b.dataset_id LIMIT 1",
            source,
        )[0]
        spoil(source, "UPDATE dataset_version SET ordinal = id")
        run(datasetgateway.Importer().run, source, skip_conflicts=True)
        assert not [
            row for row in locations.list_locations(run.database, dataset) if f"gs://{bucket}/" in row["location"]
        ]


HOSTILE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text in a column of numbers": (
        ("UPDATE dataset_version SET ordinal = 'x' || char(27) WHERE id = 1",),
        ("ordinal is not a number",),
    ),
    "a float in a column of numbers": (("UPDATE dataset_version SET ordinal = 1.5 WHERE id = 1",), ("not a number",)),
    "a number beyond 2^63": (
        ("UPDATE public_root SET root_id = 9223372036854775808 WHERE id = 1",),
        ("public_root row 1", "not a number"),
    ),
    "an id beyond 2^53": (
        ("INSERT INTO dsg_group (id, name) VALUES (9007199254740993, 'g')",),
        ("cannot be an id here",),
    ),
    "an id below zero": (("INSERT INTO dsg_group (id, name) VALUES (-1, 'g')",), ("-1 cannot be an id here",)),
    "a long value": (
        ("UPDATE tos_document SET text = zeroblob(20000000) WHERE id = 2",),
        ("tos_document", "a value of more than 16777216 bytes"),
    ),
    "a flag that is text": (("UPDATE dsg_user SET admin = 'yes' WHERE id = 3",), ("admin is neither true nor false",)),
    "a flag that is a float": (("UPDATE dsg_user SET admin = 0.5 WHERE id = 3",), ("admin is neither",)),
}


@pytest.mark.parametrize(("sql", "parts"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("skip_conflicts", [False, True])
def test_a_hostile_value_is_refused_whatever_is_skipped(
    run: Run, source: Path, sql: tuple[str, ...], parts: tuple[str, ...], skip_conflicts: bool
) -> None:
    spoil(source, *sql)
    before = run.content()
    with refused(Invalid, "db.sqlite3", *parts):
        run(datasetgateway.Importer().run, source, skip_conflicts=skip_conflicts)
    assert run.content() == before


def test_triggers_of_the_source_do_nothing(run: Run, source: Path) -> None:
    spoil(source, "CREATE TRIGGER t AFTER INSERT ON dsg_user BEGIN UPDATE dsg_user SET admin = 1; END")
    before = source.read_bytes()
    run(datasetgateway.Importer().run, source)
    assert source.read_bytes() == before
