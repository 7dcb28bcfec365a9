"""The import of middle_auth's tables: what its server answered, and what conflicts with what is here."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import (
    audit_chain,
    dataset_list,
    datasets,
    grants,
    groups,
    new_users,
    principals,
    service_tables,
    snapshots,
    terms,
    token_checks,
    user_queries,
    users,
)
from dsgctl.core.errors import Conflict
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.core.transaction import begin_change
from dsgctl.importers import middle_auth
from dsgctl.importers.engine.report import Report
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import Run, add_people, refused
from tests.dsgctl.importers import cave_dumps
from tests.dsgctl.importers.datasetgateway.original import as_sets
from tests.level_table import leave_out_unrecorded

ANSWERED = datetime(2026, 11, 23, 1, tzinfo=UTC)


SAME = ("id", "email", "admin", "pi", "parent_id", "service_account", "groups", "groups_admin", "datasets_admin")


@pytest.fixture(scope="module")
def import_result(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Report]]:
    """The dumps, imported into an empty database; not to be written to."""
    path = tmp_path_factory.mktemp("imported") / "dsg.sqlite3"
    shutil.copyfile(empty_database, path)
    database = open_current(path)
    yield database, Run(database)(middle_auth.Importer().run, str(cave_dumps.DUMPS), skip_conflicts=True)
    database.close()


@pytest.fixture
def target(import_result: tuple[Database, Report]) -> Database:
    return import_result[0]


class TestAnswers:
    @pytest.mark.parametrize("answer", cave_dumps.ANSWERS, ids=lambda answer: f"{answer['kind']}-{answer['token'][:6]}")
    def test_user_cache_equals_the_answer_of_the_original_but_for_known_differences(
        self, target: Database, answer: dict[str, Any]
    ) -> None:
        token = token_checks.check(target, PresentedToken(answer["token"]), ANSWERED)
        if answer["status"] != 200:
            assert token.problem is not None
            return
        user = cave_dumps.owner(answer["token"])
        if user in cave_dumps.LEFT_OUT:
            assert token.problem is TokenError.UNKNOWN
            return
        assert token.problem is None
        assert token.principal is not None
        body = json.loads(json.dumps(build_user_cache(snapshots.read_principal(target, token.principal), ANSWERED)))
        body, expected = as_sets(leave_out_unrecorded(body)), as_sets(answer["json"])
        assert {key: body[key] for key in SAME} == {key: expected[key] for key in SAME}
        assert body["name"] == " ".join(expected["name"].split()) or not expected["name"]
        assert body["affiliations"] == sorted({row["name"] for row in answer["json"]["affiliations"][0]})
        answered = as_sets(cave_dumps.answered_there(str(user)))
        assert answered == {key: expected[key] for key in answered}  # what differs is judged from the same tables
        assert {key: body[key] for key in answered} == as_sets(cave_dumps.expected_here(str(user)))

    def test_some_answers_do_differ(self) -> None:
        """Or the test above would compare little."""
        users = {str(cave_dumps.owner(answer["token"])) for answer in cave_dumps.ANSWERS if answer["status"] == 200}
        differing = [user for user in users if cave_dumps.answered_there(user) != cave_dumps.expected_here(user)]
        assert 5 < len(differing) < len(users)


class TestWhatIsTakenOver:
    def test_every_row_is_counted(self, import_result: tuple[Database, Report]) -> None:
        added = import_result[1].added
        assert added["users"] == len(cave_dumps.rows("user")) - len(cave_dumps.LEFT_OUT)
        assert added["groups"] == len(cave_dumps.rows("group"))
        assert added["datasets"] == len(cave_dumps.rows("dataset"))
        assert added["terms"] == len(cave_dumps.rows("tos"))
        assert added["service tables"] == len(cave_dumps.rows("service_table"))
        rows = [row for row in cave_dumps.rows("api_key") if int(row["user_id"]) not in cave_dumps.LEFT_OUT]
        assert added["tokens"] == len(rows)
        assert not any(import_result[1].unchanged.values())

    def test_rows_left_out_are_reported_with_their_line(self, import_result: tuple[Database, Report]) -> None:
        assert import_result[1].left_out == [
            "user.csv line 8: 'case.twin@example.org' is the email of user.csv line 7 too, case aside",
            "user.csv line 42: 'bot3@example.org' is a child of a user who was left out",
            "cell_temp: 3 public roots of 'fish_pcg_v2', which no row of service_table names",
            "cell_temp: 3 public roots of 'not_mapped_anywhere', which no row of service_table names",
            "user_group: 8 rows belong to what was left out",
            "dataset_admin: 1 row belongs to what was left out",
            "api_key: 4 rows belong to what was left out",
        ]

    def test_what_has_no_place_here_is_told(self, import_result: tuple[Database, Report]) -> None:
        notes = "\n".join(import_result[1].noted)
        for part in ("gdpr_consent", "start of 17 rows", "DSG_ALLOWED_REDIRECTS"):
            assert part in notes

    def test_converted_values_are_reported(self, import_result: tuple[Database, Report]) -> None:
        name, other, admins = import_result[1].remarks
        assert name == "user.csv line 20: name is kept as 'tab here'"
        assert other.endswith("name is kept as 'line one line two'")
        assert admins.startswith("dataset_admin: 20 new grants of admin, which, unlike there, bring manage, edit")

    def test_tokens_are_not_kept_in_clear(self, target: Database) -> None:
        content = b"".join(Path(target.path + end).read_bytes() for end in ("", "-wal"))
        assert not [row for row in cave_dumps.rows("api_key") if row["key"].encode() in content]

    def test_when_tokens_were_made_and_used(self, target: Database) -> None:
        for row in cave_dumps.rows("api_key"):
            if int(row["user_id"]) in cave_dumps.LEFT_OUT:
                continue
            token = token_checks.check(target, PresentedToken(row["key"]), ANSWERED).token
            assert token is not None
            assert (token.kind, token.expires) == ("api", None)
            assert token.description == " ".join(row["description"].split())
            assert token.created == datetime.fromisoformat(row["created"]).replace(tzinfo=UTC)
            used = row["last_used"]
            assert token.last_used == (datetime.fromisoformat(used).replace(tzinfo=UTC) if used else None)

    def test_terms_keep_their_ids_and_their_text(self, target: Database) -> None:
        for row in cave_dumps.rows("tos"):
            document = terms.find(target, int(row["id"]))
            assert (document.name, document.text) == (row["name"], row["text"].replace("\r\n", "\n"))
        names = [row["name"] for row in dataset_list.list_datasets(target)]
        own = {name: datasets.show(target, name)["own_terms"] for name in names}
        assert own == {row["name"]: int(row["tos_id"]) if row["tos_id"] else None for row in cave_dumps.rows("dataset")}

    def test_grants_are_those_of_groups_and_administrators(self, target: Database) -> None:
        admins = {
            (cave_dumps.by_id("user")[row["user_id"]]["email"], cave_dumps.by_id("dataset")[row["dataset_id"]]["name"])
            for row in cave_dumps.rows("dataset_admin")
            if int(row["user_id"]) not in cave_dumps.LEFT_OUT
        }
        listed = list(grants.list_grants(target))
        assert {(row["user"], row["dataset"]) for row in listed if row["permission"] == "admin"} == admins
        assert {row["source"] for row in listed} == {"import"}
        assert {row["permission"] for row in listed} == {
            "admin",
            *(row["name"] for row in cave_dumps.rows("permission")),
        }

    def test_a_public_root_is_one_of_that_table_in_every_service(self, target: Database) -> None:
        public = {
            int(row["root_id"])
            for row in cave_dumps.rows("cell_temp")
            if row["public"] == "t" and row["table_id"] == "kelp_seg_v1"
        }
        for service in ("pychunkedgraph", "datastack"):
            assert {row["root_id"] for row in service_tables.list_roots(target, service, "kelp_seg_v1")} == public

    def test_an_address_that_nobody_could_be_given_here_finds_its_user(self, target: Database) -> None:
        assert users.find(target, "ZOë@example.ORG").id == 10
        assert users.find(target, "sched uler@serviceaccount").id == 42
        assert principals.find_by_email(target, "ZOË@example.org") is None

    def test_columns_may_stand_in_any_order_and_one_has_two_names(self, run: Run, dumps: Path) -> None:
        (dumps / "user_group.csv").write_text("is_admin,group_id,user_id,id\nt,2,3,1\nf,2,7,2\n")
        run(middle_auth.Importer().run, str(dumps))
        assert groups.show(run.database, "kelp_team")["leads"] == ["brawemmir2@example.org"]
        assert groups.show(run.database, "kelp_team")["members"] == ["brawemmir2@example.org", "other.twin@example.org"]

    def test_children_may_stand_before_their_parents_and_have_some(self, run: Run, dumps: Path) -> None:
        header, *rows = (dumps / "user.csv").read_text().splitlines(keepends=True)
        (dumps / "user.csv").write_text("".join([header, "99,Deep,deep@x.org,f,f,,,41,f\n", *rows[-5:], *rows[:-5]]))
        run(middle_auth.Importer().run, str(dumps))
        assert user_queries.show(run.database, "deep@x.org")["parent"] == "bot3@example.org"
        assert user_queries.show(run.database, "bot3@example.org")["parent"] == "other.twin@example.org"


class TestAgain:
    def test_a_second_run_changes_nothing_and_reports_the_same(self, run: Run, dumps: Path) -> None:
        first = run(middle_auth.Importer().run, str(dumps))
        before = run.content()
        second = run(middle_auth.Importer().run, str(dumps))
        assert run.content() == before
        assert first.changed
        assert not second.changed
        assert {kind: count for kind, count in second.unchanged.items() if count} == {
            kind: count for kind, count in first.added.items() if count
        }
        assert second.skipped == first.skipped
        assert audit_chain.verify(run.database) is None

    def test_a_dry_run_writes_nothing_and_shows_what_a_run_does(self, run: Run, dumps: Path) -> None:
        def list_changes(*, dry_run: bool) -> list[Any]:
            changes: list[Any] = []
            with begin_change(run.database, "os:test", at=ANSWERED, dry_run=dry_run, watch=changes.append) as change:
                middle_auth.Importer().run(change, str(dumps))
            return changes

        before = run.content()
        planned = list_changes(dry_run=True)
        assert run.content() == before
        assert planned == list_changes(dry_run=False)
        admin = next(
            record for record in planned if record.action == "grant.add" and record.after == {"permission": "admin"}
        )
        assert "user:" in admin.target  # the plan lists what becomes of dataset_admin

    def test_later_decisions_in_the_target_are_kept_and_reported(self, run: Run, dumps: Path) -> None:
        run(middle_auth.Importer().run, str(dumps))
        run(users.set_active, "kelkel0@example.org", False, last_admin=True)
        run(groups.add_member, "default", "kelkel0@example.org", leads=False)
        run(terms.retire, 2)
        before = run.content()
        report = run(middle_auth.Importer().run, str(dumps))
        assert run.content() == before
        notes = "\n".join(report.noted)
        for part in ("user kelkel0@example.org: active", "in group default: leads", "dataset kelp_forest: own terms"):
            assert part in notes

    def test_progress_ends_with_all_rows(self, run: Run, dumps: Path) -> None:
        steps: list[tuple[int, int]] = []
        run(middle_auth.Importer().run, str(dumps), progress=lambda count, total: steps.append((count, total)))
        assert steps == sorted(steps)
        assert len({total for _, total in steps}) == 1
        assert steps[-1][0] == steps[-1][1]


CONFLICTS: dict[str, tuple[Callable[[Run], Any], tuple[str, ...]]] = {
    "the id is another user's": (
        lambda run: run(add_people, [new_users.NewUser("eve@example.org", {}, (), new_users.ForeignAccount(3))]),
        ("user.csv line 4", "brawemmir2@example.org has id 3 there", "eve@example.org"),
    ),
    "the email has another id": (
        lambda run: run(
            add_people, [new_users.NewUser("BRAWEMMIR2@example.org", {}, (), new_users.ForeignAccount(700))]
        ),
        ("user.csv line 4", "id 3 there", "700"),
    ),
    "the dataset has another id": (
        lambda run: run(datasets.add, "kelp", imported_id=77),
        ("dataset.csv line 2", "kelp has id 1 there", "77"),
    ),
    "the dataset's id is another's": (
        lambda run: run(datasets.add, "mouse", imported_id=1),
        ("dataset.csv line 2", "kelp", "mouse"),
    ),
    "the terms are others": (
        lambda run: run(terms.add, "House rules", "Be kind."),
        ("tos.csv line 2", "'flywire'", "'House rules'"),
    ),
    "a table is of another dataset": (
        lambda run: [
            run(datasets.add, "ours", imported_id=99),
            run(service_tables.add_table, "datastack", "data_1_v2", "ours"),
        ],
        ("service_table.csv line 6", "data_1_v2"),
    ),
}


@pytest.mark.parametrize(("prepare", "parts"), CONFLICTS.values(), ids=CONFLICTS)
class TestConflicts:
    def test_a_conflict_names_both_and_writes_nothing(
        self, run: Run, dumps: Path, prepare: Callable[[Run], Any], parts: tuple[str, ...]
    ) -> None:
        prepare(run)
        before = run.content()
        with refused(Conflict, "dumps: ", "--skip-conflicts", *parts):
            run(middle_auth.Importer().run, str(dumps))
        assert run.content() == before

    def test_a_skipped_conflict_leaves_out_its_dependent_rows(
        self, run: Run, dumps: Path, prepare: Callable[[Run], Any], parts: tuple[str, ...]
    ) -> None:
        prepare(run)
        report = run(middle_auth.Importer().run, str(dumps), skip_conflicts=True)
        left_out = "\n".join(report.left_out)
        for part in parts:
            assert part in left_out
        assert report.added["users"] > 30
        before = run.content()
        assert not run(middle_auth.Importer().run, str(dumps), skip_conflicts=True).changed
        assert run.content() == before
