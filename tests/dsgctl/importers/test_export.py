"""Moving to another gateway: an export, imported into an empty database, gives the same answers, id for id."""

import hashlib
import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given

from dsgctl.core import (
    audit_chain,
    groups,
    snapshots,
    terms,
    token_checks,
    tokens,
    user_queries,
    users,
)
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.new_users import NewUser
from dsgctl.core.token_checks import PresentedToken
from dsgctl.importers import export as export_importer
from dsgctl.importers.engine.report import Report
from dsgctl.store import Database
from dsgctl.transfer import export
from dsgctl.wire_contract import build_user_cache
from tests.conftest import FIXTURES
from tests.dsgctl.core.builders import AT, Run, add_people, refused
from tests.dsgctl.generated_worlds import WorldFiles, examples, read_snapshots, worlds
from tests.dsgctl.importers.conftest import WHOLE, write_export
from tests.dsgctl.naive_reading import World

ANSWERS = json.loads((FIXTURES / "datasetgateway.user_cache.json").read_text(encoding="utf-8"))
ANSWERED = datetime(2026, 11, 23, tzinfo=UTC)
# What an import must differ in: when the schema was made, what servers are to forget, and its own audit record.
OF_THE_FILE = {"migrations", "changes", "sqlite_sequence", "audit"}


def rows_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Of all tables, but for those and the search index, which lies as it was written."""
    content = Run(database).content()
    return {table: content[table] for table in content if table not in OF_THE_FILE and "_search" not in table}


class TestTheSame:
    def test_every_token_gets_the_same_answer(self, gateway: Database, document: Path, run: Run) -> None:
        run(export_importer.Importer().run, document)
        for answer in ANSWERS:
            first, second = (
                token_checks.check(database, PresentedToken(answer["token"]), ANSWERED)
                for database in (gateway, run.database)
            )
            assert first.problem == second.problem
            if first.principal is None or second.principal is None:
                assert first.principal is second.principal
                continue
            for service in (None, "celltyping", "nosuch"):
                bodies = [
                    json.dumps(build_user_cache(snapshots.read_principal(database, owner, service=service), ANSWERED))
                    for database, owner in ((gateway, first.principal), (run.database, second.principal))
                ]
                assert bodies[0] == bodies[1]

    def test_every_row_is_restored_unchanged(self, gateway: Database, document: Path, run: Run) -> None:
        run(export_importer.Importer().run, document)
        assert rows_of(run.database) == rows_of(gateway)
        searched = [
            [row["id"] for row in user_queries.list_users(database, search="李小龙")]
            for database in (run.database, gateway)
        ]
        assert searched[0] == searched[1] != []

    def test_every_row_is_counted(self, document: Path, run: Run) -> None:
        report: Report = run(export_importer.Importer().run, document)
        exported_document = json.loads(document.read_bytes())
        assert report.added.total() == exported_document["end"]["rows"]
        assert report.added["service tables"] == len(exported_document["service_tables"])
        assert report.skipped == []

    def test_the_audit_log_goes_on_where_it_ended(self, gateway: Database, document: Path, run: Run) -> None:
        run(export_importer.Importer().run, document, actor="import:dsg.json by os:test")
        former = Run(gateway).records()
        records = run.records()
        assert records[:-1] == former
        assert (records[-1]["id"], records[-1]["action"]) == (len(former) + 1, "import.export")
        assert records[-1]["actor"] == "import:dsg.json by os:test"
        assert records[-1]["after"]["rows"]["audit"] == len(former)
        assert audit_chain.verify(run.database) is None

    def test_an_export_of_it_differs_in_the_record_of_the_import_alone(
        self, document: Path, run: Run, tmp_path: Path
    ) -> None:
        run(export_importer.Importer().run, document)
        again = write_export(run.database, tmp_path / "again.json", **WHOLE)
        first, second = (json.loads(path.read_bytes()) for path in (document, again))
        assert second["audit"].pop()["action"] == "import.export"
        for key in ("next_ids", "end"):
            del first[key], second[key]
        assert first == second

    def test_an_id_that_was_used_is_not_used_again(self, run: Run, other: Run, tmp_path: Path) -> None:
        for name in ("ada", "bo", "cy"):
            run(users.add, f"{name}@example.org")
        run(groups.add, "lab")
        run(groups.remove, "lab")
        run(users.remove, "cy@example.org")
        other(export_importer.Importer().run, write_export(run.database, tmp_path / "dsg.json"))
        for here in (run, other):
            here(users.add, "dee@example.org")
            here(groups.add, "lab-2")
        assert users.find(other.database, "dee@example.org").id == 4
        assert groups.find(other.database, "lab-2").id == groups.find(run.database, "lab-2").id == 2

    @examples(25)
    @given(world=worlds())
    def test_every_world_of_facts_gives_the_same_answers(
        self, world_store: WorldFiles, world: World, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        source = tmp_path_factory.mktemp("world") / "dsg.json"
        nothing: World = {key: [] for key in world}
        with world_store.holding(world) as first, world_store.holding(nothing) as second:
            write_export(first, source, **WHOLE)
            Run(second)(export_importer.Importer().run, source)
            assert rows_of(second) == rows_of(first)
            for service in (None, "clio"):
                originals, copied = read_snapshots(first, service), read_snapshots(second, service)
                assert [build_user_cache(copied[number], AT) for number in originals] == [
                    build_user_cache(snapshot, AT) for snapshot in originals.values()
                ]


@pytest.fixture(scope="module")
def world_store(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> WorldFiles:
    return WorldFiles(empty_database, tmp_path_factory.mktemp("worlds"))


class TestWhatWasLeftOut:
    def test_tokens_without_a_hash_are_reported_and_their_ids_stay_used(
        self, gateway: Database, run: Run, tmp_path: Path
    ) -> None:
        report: Report = run(export_importer.Importer().run, write_export(gateway, tmp_path / "dsg.json"))
        count = len(list(tokens.list_hashes(gateway)))
        assert f"{count} tokens: the document has no hashes" in report.skipped[0]
        assert list(tokens.list_hashes(run.database)) == []
        token, _ = run(tokens.mint, users.find(run.database, "user2@example.org"))
        assert token.id > count

    def test_terms_get_new_invitations(self, run: Run, other: Run, tmp_path: Path) -> None:
        former, _ = run(terms.add, "Terms", "Be kind.")
        report: Report = other(export_importer.Importer().run, write_export(run.database, tmp_path / "dsg.json"))
        assert "invitations to 1 terms" in report.skipped[0]
        new = terms.find(other.database, former.id)
        assert new.invite_token != former.invite_token
        assert len(new.invite_token) == len(former.invite_token)

    def test_an_import_without_the_audit_log_begins_a_new_one(
        self, gateway: Database, run: Run, tmp_path: Path
    ) -> None:
        run(export_importer.Importer().run, write_export(gateway, tmp_path / "dsg.json", audit_log=False))
        assert [record["id"] for record in run.records()] == [1]
        assert audit_chain.verify(run.database) is None


class TestAgain:
    def test_a_second_run_changes_nothing_and_says_so(self, document: Path, run: Run) -> None:
        first: Report = run(export_importer.Importer().run, document)
        before = run.content()
        second: Report = run(export_importer.Importer().run, document)
        assert run.content() == before
        assert (first.changed, second.changed) == (True, False)
        assert second.unchanged == first.added

    def test_another_export_of_the_same_facts_changes_nothing_either(
        self, gateway: Database, document: Path, run: Run, tmp_path: Path
    ) -> None:
        run(export_importer.Importer().run, document)
        later = tmp_path / "later.json"
        later.write_bytes(b"".join(export.build_document(gateway, ANSWERED, **WHOLE)))
        assert not run(export_importer.Importer().run, later).changed

    def test_a_database_with_other_facts_is_refused(self, document: Path, run: Run) -> None:
        run(users.add, "ada@example.org")
        before = run.content()
        with refused(Conflict, "is not empty: it has 1 audit, 1 principals", "set DATABASE_PATH to a new file"):
            run(export_importer.Importer().run, document)
        assert run.content() == before

    def test_a_dry_run_changes_nothing(self, document: Path, run: Run) -> None:
        before = run.content()
        run(export_importer.Importer().run, document, dry_run=True)
        assert run.content() == before


def test_what_the_sqlite3_shell_left_dangling_is_named(run: Run, other: Run, tmp_path: Path) -> None:
    run(users.add, "ada@example.org")
    run(groups.add, "lab")
    run(groups.add_member, "lab", "ada@example.org")
    connection = apsw.Connection(run.database.path)
    connection.execute("PRAGMA foreign_keys = off")
    connection.execute("DELETE FROM groups")
    connection.close()
    with refused(Invalid, "memberships row 1, 1: group_id 1: there is no such row of groups", "correct it"):
        other(export_importer.Importer().run, write_export(run.database, tmp_path / "dsg.json"))


def test_progress_ends_with_the_file(document: Path, run: Run) -> None:
    steps: list[tuple[int, int]] = []
    run(export_importer.Importer().run, document, progress=lambda count, total: steps.append((count, total)))
    assert steps[-1] == (document.stat().st_size, document.stat().st_size)


def test_the_hash_is_that_of_the_lines_between(document: Path) -> None:
    """So that anybody can check it: sed '1d;$d' dsg.json | sha256sum"""
    lines = document.read_bytes().splitlines(keepends=True)
    end = json.loads(b"{" + lines[-1])["end"]
    assert end["sha256"] == hashlib.sha256(b"".join(lines[1:-1])).hexdigest()


@pytest.mark.parametrize("size", [2_000, 8_000])
def test_memory_is_bounded_however_many_people_there_are(run: Run, other: Run, tmp_path: Path, size: int) -> None:
    people = [NewUser(f"person{number}@example.org", {"notes": "x" * 500}) for number in range(size)]
    run(add_people, people)
    source = tmp_path / "dsg.json"
    tracemalloc.start()
    with source.open("wb") as file:
        file.writelines(export.build_document(run.database, AT))
    exporting = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    other(export_importer.Importer().run, source)
    importing = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert source.stat().st_size > size * 1000
    assert max(exporting, importing) < 6 * 2**20, (exporting, importing)
