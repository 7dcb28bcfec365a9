"""The import of a database of the original server as a whole: counts, answers, and a second run."""

import json
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import (
    datasets,
    groups,
    new_users,
    snapshots,
    terms,
    token_checks,
    tokens,
    users,
)
from dsgctl.core.audit import Record
from dsgctl.core.token_checks import PresentedToken
from dsgctl.core.transaction import begin_change
from dsgctl.importers import datasetgateway
from dsgctl.importers.engine.report import Report
from dsgctl.store import Database
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import Run, add_people
from tests.dsgctl.importers.datasetgateway.original import (
    ANSWERED,
    ANSWERS,
    ORIGINAL,
    as_sets,
    ids,
    query_original,
    spoil,
)
from tests.dsgctl.importers.datasetgateway.release_sources import make_source
from tests.level_table import leave_out_unrecorded


@pytest.mark.parametrize(
    ("kind", "tables"),
    [
        ("users", ["dsg_user"]),
        ("groups", ["dsg_group"]),
        ("memberships", ["user_group"]),
        ("datasets", ["dataset"]),
        ("versions", ["dataset_version"]),
        ("services", ["service"]),
        ("service tables", ["service_table"]),
        ("public roots", ["public_root"]),
        ("terms", ["tos_document"]),
        ("acceptances", ["tos_acceptance"]),
        ("service accounts", ["service_account"]),
        ("grants", ["grant", "group_dataset_permission", "service_account_grant"]),
        ("tokens", ["api_key", "service_account_token"]),
        ("audit records", ["audit_log"]),
    ],
)
def test_every_row_is_counted(import_result: tuple[Database, Report], kind: str, tables: list[str]) -> None:
    rows = sum(query_original(f'SELECT count(*) FROM "{table}"')[0][0] for table in tables)
    assert import_result[1].added[kind] == rows
    assert import_result[1].unchanged.get(kind, 0) == 0


def test_progress_ends_with_all_rows(run: Run) -> None:
    steps: list[tuple[int, int]] = []
    run(datasetgateway.Importer().run, ORIGINAL, progress=lambda count, total: steps.append((count, total)))
    assert steps
    assert steps == sorted(steps)
    assert len({total for _, total in steps}) == 1
    assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("answer", ANSWERS, ids=ids())
@pytest.mark.parametrize("service", ["", "celltyping", "nosuch"])
def test_user_cache_is_what_the_original_answered(target: Database, answer: dict[str, Any], service: str) -> None:
    expected = answer["responses"][service]
    token = token_checks.check(target, PresentedToken(answer["token"]), ANSWERED)
    assert (token.problem is None) == (expected["status"] == 200)
    if expected["status"] == 200:
        assert token.principal is not None
        snapshot = snapshots.read_principal(target, token.principal, service=service or None)
        body = json.loads(json.dumps(build_user_cache(snapshot, ANSWERED)))
        if answer["kind"] == "service-account":
            body["id"] = expected["json"]["id"]
        assert as_sets(leave_out_unrecorded(body)) == as_sets(expected["json"])


class TestAgain:
    def test_a_second_run_changes_nothing_and_says_so(self, run: Run) -> None:
        first = run(datasetgateway.Importer().run, ORIGINAL)
        before = run.content()
        second = run(datasetgateway.Importer().run, ORIGINAL)
        assert run.content() == before  # no audit record either, and the same revision
        assert first.changed
        assert not second.changed
        assert {kind: count for kind, count in second.unchanged.items() if count} == {
            kind: count for kind, count in first.added.items() if count
        }
        assert second.skipped == first.skipped

    def test_new_rows_of_the_source_are_added(self, run: Run, source: Path) -> None:
        run(datasetgateway.Importer().run, source)
        spoil(
            source,
            "INSERT INTO dsg_group (id, name) VALUES (99, 'newcomers')",
            "INSERT INTO user_group (is_admin, group_id, user_id) VALUES (1, 99, 3)",
        )
        report = run(datasetgateway.Importer().run, source)
        assert {kind: count for kind, count in report.added.items() if count} == {"groups": 1, "memberships": 1}
        assert groups.show(run.database, "newcomers")["leads"] == ["user2@example.org"]

    def test_later_decisions_in_the_target_are_kept(self, run: Run) -> None:
        run(datasetgateway.Importer().run, ORIGINAL)
        key, email = query_original(
            "SELECT key, email FROM api_key k JOIN dsg_user u ON u.id = user_id WHERE u.id = 6"
        )[0]
        token = token_checks.check(run.database, PresentedToken(key), ANSWERED).token
        assert token is not None
        run(tokens.revoke, token.id)
        run(users.set_active, email, False)
        run(users.set_attributes, email, name="Somebody")
        run(datasets.set_attributes, "fish2", description="ours", public=True)
        before = run.content()
        assert not run(datasetgateway.Importer().run, ORIGINAL).changed
        assert run.content() == before

    def test_differences_are_reported(self, run: Run) -> None:
        run(datasetgateway.Importer().run, ORIGINAL)
        run(users.set_active, "user5@example.org", False)
        run(datasets.set_attributes, "fish2", public=True)
        skipped = "\n".join(run(datasetgateway.Importer().run, ORIGINAL).skipped)
        assert "user5@example.org" in skipped
        assert "fish2" in skipped

    @pytest.mark.parametrize("number", [9, 17])
    def test_a_dry_run_writes_nothing_and_shows_what_a_run_does(self, run: Run, tmp_path: Path, number: int) -> None:
        make_source(source := tmp_path / "db.sqlite3", number)

        def list_records(*, dry_run: bool) -> list[Record]:
            records: list[Record] = []
            with begin_change(run.database, "os:test", at=ANSWERED, dry_run=dry_run, watch=records.append) as change:
                datasetgateway.Importer().run(change, source)
            return records

        before = run.content()
        planned = list_records(dry_run=True)
        assert run.content() == before
        assert planned == list_records(dry_run=False)
        assert planned

    def test_an_import_into_a_database_in_use_succeeds(self, run: Run) -> None:
        """Other ids of groups, services and service accounts do not matter, nor does the case of an email."""
        run(groups.add, "ours")
        run(groups.add, "lab-3")
        run(add_people, [new_users.NewUser("FIRST.last+0@example.org", {}, (), new_users.ForeignAccount(1))])
        report = run(datasetgateway.Importer().run, ORIGINAL)
        assert report.unchanged["users"] == 1
        assert report.unchanged["groups"] == 1
        assert users.find(run.database, "first.last+0@example.org").id == 1


def test_line_ends_of_a_browser_are_converted(run: Run, source: Path) -> None:
    spoil(
        source,
        "UPDATE dsg_user SET notes = 'one' || char(13, 10) || 'two' WHERE id = 3",
        "UPDATE tos_document SET text = '# T' || char(13, 10) || 'be nice' WHERE id = 1",
    )
    run(datasetgateway.Importer().run, source)
    assert users.find(run.database, "user2@example.org").notes == "one\ntwo"
    assert terms.find(run.database, 1).text == "# T\nbe nice"
    assert not run(datasetgateway.Importer().run, source).changed


def test_what_has_no_place_here_is_told(run: Run, source: Path) -> None:
    spoil(
        source,
        "UPDATE dsg_user SET scim_id = 'a' WHERE id = 1",
        "UPDATE tos_document SET dataset_id = NULL WHERE id = 2",
        "CREATE TABLE plugin (id INTEGER PRIMARY KEY)",
    )
    skipped = "\n".join(run(datasetgateway.Importer().run, source).skipped)
    assert "scim_id of 1 row of dsg_user" in skipped
    assert "gdpr_consent" in skipped
    assert "terms 2 " in skipped
    assert "plugin" in skipped
