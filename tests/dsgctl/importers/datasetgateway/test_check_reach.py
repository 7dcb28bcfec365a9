"""What has no place here is refused or left out, and nothing gains a wider reach by that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import (
    audit_chain,
    clients,
    dataset_list,
    datasets,
    grants,
    locations,
    services,
    token_checks,
    translations,
    versions,
)
from dsgctl.core.errors import DsgError
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.importers import datasetgateway
from dsgctl.store import Database
from dsgctl.store import models as m
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.importers.datasetgateway.original import ANSWERED, query_original, spoil
from tests.dsgctl.importers.datasetgateway.release_sources import CLIENT, NEWEST


@pytest.fixture(scope="module")
def reach_of_whole(newest_database: Database) -> set[tuple[Any, ...]]:
    return _reach(newest_database)


Check = Callable[[Run], object]


def _has_no_client(run: Run) -> bool:
    return not list(clients.list_clients(run.database))


def _count_user_grants(run: Run) -> int:
    return len([row for row in grants.list_grants(run.database) if row["user"]])


def _lacks_version(run: Run) -> bool:
    return "v2" not in {row["name"] for row in versions.list_versions(run.database, "fish2")}


KEY = "UPDATE api_key SET delegated_client_id = 1 WHERE id = 1"
# Statements, the row that is refused and why, and what must not be here without it.
NARROWING: dict[str, tuple[tuple[str, ...], tuple[str, ...], Check]] = {
    "a grant for some buckets of its dataset": (
        ("INSERT INTO grant_buckets (grant_id, datasetbucket_id) VALUES (3, 20)",),
        ("grant row 3: the grant reaches 1 bucket alone, for which this release has no place",),
        lambda run: _count_user_grants(run) == 106,
    ),
    "a grant for buckets of another dataset": (
        ("INSERT INTO grant_buckets (grant_id, datasetbucket_id) VALUES (1, 1), (1, 2)",),
        ("grant row 1: the grant reaches 2 buckets alone",),
        lambda run: _count_user_grants(run) == 106,
    ),
    "a grant for some buckets of its version": (
        ("INSERT INTO grant_buckets (grant_id, datasetbucket_id) VALUES (75, 15)",),
        ("grant row 75: the grant reaches 1 bucket alone",),
        lambda run: _count_user_grants(run) == 106,
    ),
    "a grant of a version without buckets": (
        ("INSERT INTO grant_buckets (grant_id, datasetbucket_id) VALUES (7, 8)",),
        ("grant row 7: the grant reaches 1 bucket alone",),
        lambda run: _count_user_grants(run) == 106,
    ),
    "a service of an unknown mode": (
        ("UPDATE service SET version_eval_mode = 'tree' WHERE id = 3",),
        ("service row 3: it compares versions in the mode 'tree', for which this release has no place",),
        lambda run: services.find_by_name(run.database, "clio") is None,
    ),
    "a grant for a service that is left out": (
        (
            "UPDATE service SET version_eval_mode = 'tree' WHERE id = 3",
            'UPDATE "grant" SET service_id = 3 WHERE id = 1',
        ),
        ("service row 3:",),
        lambda run: (
            not [
                row
                for row in grants.list_grants(run.database)
                if row["dataset"] == "fish11"
                and row["user"] == "First.Last+0@Example.ORG"
                and row["permission"] == "edit"
            ]
        ),
    ),
    "an ordinal below zero": (
        ("UPDATE dataset_version SET ordinal = -1 WHERE id = 3",),
        ("dataset_version row 3: -1 is not an ordinal",),
        _lacks_version,
    ),
    "a branch that cannot be stored": (
        ("UPDATE dataset_version SET branch = 'a' || char(10) WHERE id = 3",),
        ("dataset_version row 3:", "is not a branch"),
        _lacks_version,
    ),
    "a branch of no name": (
        ("UPDATE dataset_version SET branch = '' WHERE id = 3",),
        ("dataset_version row 3: '' is not a branch",),
        _lacks_version,
    ),
    "an ordinal of two versions": (
        ("UPDATE dataset_version SET ordinal = 7 WHERE dataset_id = 3",),
        ("dataset_version row 3: dataset_version row 2 has the same branch and ordinal",),
        _lacks_version,
    ),
    "a translation that cannot be stored": (
        ("INSERT INTO dataset_translation (client_name, dataset_id, service_id) VALUES ('a' || char(7), 1, 1)",),
        ("dataset_translation row 1:",),
        lambda run: not list(translations.list_translations(run.database)),
    ),
    "a translation of an empty version": (
        (
            "INSERT INTO dataset_translation (client_name, client_version, dataset_id, service_id)"
            " VALUES ('a', '', 1, 1)",
        ),
        ("dataset_translation row 1: '' is not a version name: it is empty",),
        lambda run: not list(translations.list_translations(run.database)),
    ),
    "a name of a service that means two things": (
        ("INSERT INTO dataset_translation (client_name, dataset_id, service_id) VALUES ('a', 1, 1), ('a', 2, 1)",),
        ("dataset_translation row 2:", "stands for fly-0_x already"),
        lambda run: [row["dataset"] for row in translations.list_translations(run.database)] == ["fly-0_x"],
    ),
    "a translation to a version of another dataset": (
        (
            "INSERT INTO dataset_translation (client_name, dataset_id, dataset_version_id, service_id)"
            " VALUES ('a', 1, 2, 1)",
        ),
        ("dataset_translation row 1: dataset_version row 2 is not a version of dataset row 1",),
        lambda run: not list(translations.list_translations(run.database)),
    ),
    "a client for some services": (
        (CLIENT.replace("'[]'", "'[1]'"),),
        ("core_registeredclient row 1: the keys of 'https://a.example' are for some services alone",),
        _has_no_client,
    ),
    "a client of nobody, with its keys and consents": (
        (
            CLIENT.replace("USER2@example.org", "Jane Doe"),
            "INSERT INTO core_clientconsent VALUES (1, '2026-10-01', 3, 1)",
            KEY,
        ),
        ("core_registeredclient row 1: its owner 'Jane Doe' is no user's address here",),
        lambda run: _has_no_client(run) and _refuses_key(run),
    ),
    "a client of an origin that no browser writes": (
        (CLIENT.replace("https://a.example", "https://A.example/"), KEY),
        ("core_registeredclient row 1: 'https://A.example/' is not an origin",),
        lambda run: _has_no_client(run) and _refuses_key(run),
    ),
    "two clients of one name": (
        (CLIENT, CLIENT.replace("(1, 'https://a", "(2, 'https://b"), KEY.replace("= 1 WHERE", "= 2 WHERE")),
        ("core_registeredclient row 2:", "client 'Atlas' has the origin https://b.example"),
        lambda run: len(list(clients.list_clients(run.database))) == 1 and _refuses_key(run),
    ),
}


def _refuses_key(run: Run) -> bool:
    key = query_original("SELECT key FROM api_key WHERE id = 1", NEWEST)[0][0]
    return token_checks.check(run.database, PresentedToken(key), ANSWERED).problem is TokenError.UNKNOWN


@pytest.mark.parametrize(("sql", "parts", "holds"), NARROWING.values(), ids=NARROWING)
def test_what_has_no_place_here_is_refused_or_left_out_and_never_widened(
    run: Run,
    newest_source: Path,
    reach_of_whole: set[tuple[Any, ...]],
    sql: tuple[str, ...],
    parts: tuple[str, ...],
    holds: Check,
) -> None:
    spoil(newest_source, *sql)
    before = run.content()
    with refused(DsgError, "--skip-conflicts to leave them out", *parts):
        run(datasetgateway.Importer().run, newest_source)
    assert run.content() == before
    report = run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
    assert [line for line in report.left_out if all(part in line for part in parts)], report.left_out
    assert holds(run)
    assert _reach(run.database) <= reach_of_whole
    assert audit_chain.verify(run.database) is None
    assert not run(datasetgateway.Importer().run, newest_source, skip_conflicts=True).changed


def _reach(database: Database) -> set[tuple[Any, ...]]:
    """Whatever gives anything: grants, public datasets and versions, and where what lies."""
    columns = (
        m.Grant.dataset,
        m.Grant.version,
        m.Grant.permission,
        m.Grant.principal,
        m.Grant.group,
        m.Grant.scope_group,
    )
    reach = {("grant", *row, service) for *row, service in database.tuples(m.Grant.select(*columns, m.Grant.service))}
    for dataset in list(dataset_list.list_datasets(database)):
        name = dataset["name"]
        reach |= {("public", name)} if dataset["access"] == "public" else set()
        reach |= {("public", name, row["name"]) for row in versions.list_versions(database, name) if row["public"]}
        reach |= {
            ("location", name, row["location"], row["version"]) for row in locations.list_locations(database, name)
        }
    return reach


class TestTerms:
    """Terms that cannot be taken over take with them what would be open without them."""

    def test_of_a_dataset(self, run: Run, newest_source: Path) -> None:
        number, name = query_original(
            "SELECT tos_id, name FROM dataset WHERE tos_id IS NOT NULL LIMIT 1", newest_source
        )[0]
        spoil(newest_source, f"UPDATE tos_document SET text = 'a' || char(1) WHERE id = {number}")
        report = run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
        assert datasets.find_by_name(run.database, name) is None
        assert [line for line in report.left_out if f"'{name}' goes with its terms, tos_document row {number}" in line]
        assert not [row for row in grants.list_grants(run.database) if row["dataset"] == name]

    def test_of_a_service_on_a_dataset(self, run: Run, newest_source: Path) -> None:
        number, dataset = query_original(
            "SELECT t.id, d.name FROM tos_document t JOIN dataset d ON d.id = t.dataset_id"
            " WHERE service_id IS NOT NULL AND dataset_version_id IS NULL LIMIT 1",
            newest_source,
        )[0]
        spoil(
            newest_source,
            f"UPDATE service SET name = '' WHERE id = (SELECT service_id FROM tos_document WHERE id = {number})",
        )
        run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
        assert datasets.find_by_name(run.database, dataset) is None

    def test_of_a_version(self, run: Run, newest_source: Path) -> None:
        spoil(
            newest_source,
            "UPDATE tos_document SET dataset_version_id = 3, name = char(10),"
            " dataset_id = (SELECT dataset_id FROM dataset_version WHERE id = 3) WHERE id = 5",
            "UPDATE dataset SET tos_id = NULL WHERE tos_id = 5",
        )
        name, version = query_original(
            "SELECT d.name, v.version FROM dataset_version v JOIN dataset d ON d.id = dataset_id WHERE v.id = 3",
            newest_source,
        )[0]
        run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
        assert datasets.find_by_name(run.database, name) is not None
        assert version not in {row["name"] for row in versions.list_versions(run.database, name)}

    def test_a_bucket_of_a_version_that_was_left_out_is_not_one_of_the_whole_dataset(
        self, run: Run, newest_source: Path
    ) -> None:
        bucket, dataset = query_original(
            "SELECT b.name, d.name FROM dataset_version_buckets l JOIN dataset_bucket b ON b.id = l.datasetbucket_id"
            " JOIN dataset d ON d.id = b.dataset_id LIMIT 1",
            newest_source,
        )[0]
        spoil(newest_source, "UPDATE dataset_version SET ordinal = -id")
        run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
        assert not [
            row for row in locations.list_locations(run.database, dataset) if f"gs://{bucket}/" in row["location"]
        ]
