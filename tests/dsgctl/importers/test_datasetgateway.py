"""The import of a database of the original server: a real one, damaged ones, and ones that stand against ours."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.core import (
    audit,
    audit_chain,
    datasets,
    grants,
    groups,
    new_users,
    service_accounts,
    snapshots,
    terms,
    token_checks,
    tokens,
    user_queries,
    users,
    versions,
)
from dsgctl.core.audit import Record
from dsgctl.core.errors import Conflict, DsgError, Invalid
from dsgctl.core.grant_targets import principal_subject
from dsgctl.core.hidden_characters import has_control
from dsgctl.core.token_checks import PresentedToken
from dsgctl.core.transaction import begin_change
from dsgctl.importers import datasetgateway
from dsgctl.importers.engine.report import Report
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import open_current
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import Run, refused
from tests.level_table import FOREIGN, leave_out_unrecorded

ORIGINAL = Path(__file__).parents[2] / "fixtures" / "datasetgateway.sqlite3"
ANSWERS = json.loads(ORIGINAL.with_suffix(".user_cache.json").read_text(encoding="utf-8"))
ANSWERED = datetime(2026, 11, 23, tzinfo=UTC)  # when the original gave these answers


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the original's database, to be spoilt."""
    copy = tmp_path / "original" / "db.sqlite3"
    copy.parent.mkdir()
    shutil.copyfile(ORIGINAL, copy)
    return copy


@pytest.fixture(scope="module")
def import_result(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Report]]:
    """The original's database, imported into an empty one; not to be written to."""
    path = tmp_path_factory.mktemp("imported") / "dsg.sqlite3"
    shutil.copyfile(empty_database, path)
    database = open_current(path)
    yield database, Run(database)(datasetgateway.Importer().run, ORIGINAL)
    database.close()


@pytest.fixture
def target(import_result: tuple[Database, Report]) -> Database:
    return import_result[0]


def query_original(sql: str, source: Path = ORIGINAL) -> list[tuple[Any, ...]]:
    """Rows of the original's database."""
    connection = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def spoil(source: Path, *sql: str) -> None:
    connection = apsw.Connection(str(source))
    connection.execute("PRAGMA legacy_alter_table = 1")
    for statement in sql:
        connection.execute(statement)
    connection.close()


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


class TestWhatIsTakenOver:
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
    def test_every_row_is_counted(self, import_result: tuple[Database, Report], kind: str, tables: list[str]) -> None:
        rows = sum(query_original(f'SELECT count(*) FROM "{table}"')[0][0] for table in tables)
        assert import_result[1].added[kind] == rows
        assert import_result[1].unchanged.get(kind, 0) == 0

    def test_people(self, target: Database) -> None:
        expected = query_original(
            "SELECT id, email, name, display_name, admin, is_active, read_only, pi, notes, picture_url, parent_id,"
            " iif(google_sub IS NULL, NULL, 'https://accounts.google.com'), google_sub, created FROM dsg_user"
        )
        p = m.Principal
        rows = target.tuples(
            p.select(
                p.id,
                p.email,
                p.name,
                p.display_name,
                p.admin,
                p.active,
                p.read_only,
                p.pi,
                p.notes,
                p.picture_url,
                p.parent,
                p.issuer,
                p.subject,
                p.created,
            )
            .where(p.kind == "user")
            .order_by(p.id)
        )
        assert list(rows) == [(*row[:-1], moment(row[-1])) for row in expected]

    def test_affiliations_and_groups(self, target: Database) -> None:
        affiliations = m.Affiliation.select(m.Affiliation.principal, m.Affiliation.name)
        assert sorted(target.tuples(affiliations)) == sorted(query_original("SELECT user_id, name FROM affiliation"))
        members = m.Membership.select(m.Membership.principal, m.Group.name, m.Membership.leads).join(m.Group)
        assert sorted(target.tuples(members)) == sorted(
            query_original("SELECT user_id, name, is_admin FROM user_group JOIN dsg_group ON dsg_group.id = group_id")
        )

    def test_datasets_and_versions(self, target: Database) -> None:
        d, v = m.Dataset, m.Version
        datasets = target.tuples(d.select(d.id, d.name, d.description, d.access, d.own_terms_id).order_by(d.id))
        assert list(datasets) == query_original(
            "SELECT id, name, description, access_mode, tos_id FROM dataset ORDER BY id"
        )
        rows = target.tuples(v.select(v.dataset, v.name, v.public).order_by(v.id))
        assert list(rows) == query_original("SELECT dataset_id, version, is_public FROM dataset_version ORDER BY id")

    def test_buckets_belong_to_their_version_or_to_the_whole_dataset(self, target: Database) -> None:
        expected = query_original(
            "SELECT b.dataset_id, v.version, b.name, v.prefix"
            " FROM dataset_bucket b LEFT JOIN dataset_version_buckets l ON l.datasetbucket_id = b.id"
            " LEFT JOIN dataset_version v ON v.id = l.datasetversion_id"
        )
        query = m.Location.select(m.Location.dataset, m.Version.name, m.Location.bucket, m.Location.prefix)
        rows = list(target.tuples(query.join(m.Version, "LEFT OUTER JOIN")))
        assert sorted(rows, key=repr) == sorted(
            (
                (dataset, version, bucket, prefix.rstrip("/") + "/" if prefix else "")
                for dataset, version, bucket, prefix in expected
            ),
            key=repr,
        )

    def test_a_prefix_without_a_bucket_is_reported(self, import_result: tuple[Database, Report]) -> None:
        lost = query_original(
            "SELECT name, version, prefix FROM dataset_version v JOIN dataset d ON d.id = dataset_id"
            " WHERE prefix <> '' AND v.id NOT IN (SELECT datasetversion_id FROM dataset_version_buckets)"
        )
        assert lost
        for dataset, version, prefix in lost:
            assert [
                line
                for line in import_result[1].skipped
                if f"version {version} of {dataset}:" in line and prefix in line
            ], (dataset, version)

    def test_terms_and_who_accepted_them(self, target: Database) -> None:
        t, a = m.Terms, m.Acceptance
        rows = target.tuples(
            t.select(
                t.id, t.name, t.text, t.dataset, m.Version.name, m.Service.name, t.invite_token, t.effective, t.retired
            )
            .join_from(t, m.Version, "LEFT OUTER JOIN")
            .join_from(t, m.Service, "LEFT OUTER JOIN")
            .order_by(t.id)
        )
        expected = query_original(
            "SELECT t.id, t.name, text, t.dataset_id, v.version, s.name, invite_token, effective_date, retired_date"
            " FROM tos_document t LEFT JOIN dataset_version v ON v.id = dataset_version_id"
            " LEFT JOIN service s ON s.id = service_id ORDER BY t.id"
        )
        assert list(rows) == [(*row[:-2], moment(row[-2]), moment(row[-1])) for row in expected]
        accepted = target.tuples(a.select(a.principal, a.terms, a.accepted, a.address, a.recorded_by))
        assert sorted(accepted, key=repr) == sorted(
            (
                (user, document, moment(at), address, f"user:{email}")
                for user, document, at, address, email in query_original(
                    "SELECT user_id, tos_document_id, accepted_at, ip_address, email"
                    " FROM tos_acceptance JOIN dsg_user u ON u.id = user_id"
                )
            ),
            key=repr,
        )

    def test_grants_to_people(self, target: Database) -> None:
        g, scope = m.Grant, m.Group.alias()
        rows = target.tuples(
            g.select(
                g.principal, m.Dataset.name, m.Version.name, g.permission, scope.name, g.source, g.granted_by, g.created
            )
            .join_from(g, m.Dataset)
            .join_from(g, m.Version, "LEFT OUTER JOIN")
            .join_from(g, scope, "LEFT OUTER JOIN", on=(g.scope_group == scope.id))
            .join_from(g, m.Principal)
            .where(m.Principal.kind == "user")
        )
        expected = query_original(
            "SELECT g.user_id, d.name, v.version, p.name, s.name, replace(g.source, '_', '-'),"
            " coalesce('user:' || by.email, 'os:test'),"
            ' g.created FROM "grant" g JOIN dataset d ON d.id = g.dataset_id'
            " LEFT JOIN dataset_version v ON v.id = g.dataset_version_id JOIN permission p ON p.id = g.permission_id"
            " LEFT JOIN dsg_group s ON s.id = g.group_id LEFT JOIN dsg_user by ON by.id = g.granted_by_id"
        )
        assert sorted(rows, key=repr) == sorted(((*row[:-1], moment(row[-1])) for row in expected), key=repr)

    def test_grants_to_groups(self, target: Database) -> None:
        g = m.Grant
        rows = target.tuples(
            g.select(m.Group.name, m.Dataset.name, g.permission, g.source)
            .join_from(g, m.Group, on=(g.group == m.Group.id))
            .join_from(g, m.Dataset)
        )
        expected = query_original(
            "SELECT s.name, d.name, p.name, 'import' FROM group_dataset_permission g"
            " JOIN dsg_group s ON s.id = group_id JOIN dataset d ON d.id = dataset_id"
            " JOIN permission p ON p.id = permission_id"
        )
        assert sorted(rows) == sorted(expected)

    def test_service_accounts(self, target: Database) -> None:
        accounts = {
            row["name"]: service_accounts.show(target, row["name"])
            for row in service_accounts.list_service_accounts(target)
        }
        expected = query_original(
            "SELECT a.name, description, a.is_active, a.created, 'user:' || email,"
            " (SELECT count(*) FROM service_account_token t WHERE t.service_account_id = a.id),"
            " (SELECT count(*) FROM service_account_grant g WHERE g.service_account_id = a.id)"
            " FROM service_account a JOIN dsg_user u ON u.id = created_by_id"
        )
        assert {
            (
                name,
                account["description"],
                account["active"],
                account["created"],
                account["created_by"],
                len(account["tokens"]),
                len(account["grants"]),
            )
            for name, account in accounts.items()
        } == {(*row[:3], moment(row[3]), *row[4:]) for row in expected}

    def test_services_their_tables_and_roots(self, target: Database) -> None:
        s, t, r = m.Service, m.ServiceTable, m.PublicRoot
        services = target.tuples(s.select(s.name, s.display_name, s.url))
        assert sorted(services) == sorted(query_original("SELECT name, display_name, base_url FROM service"))
        tables = target.tuples(t.select(t.service, t.name, t.dataset))
        assert sorted(tables) == sorted(
            query_original("SELECT service_name, table_name, dataset_id FROM service_table")
        )
        roots = target.tuples(r.select(t.service, t.name, r.root_id).join(t))
        assert sorted(roots) == sorted(
            query_original(
                "SELECT service_name, table_name, root_id FROM public_root"
                " JOIN service_table t ON t.id = service_table_id"
            )
        )

    def test_tokens_keep_working_and_are_not_kept_in_clear(self, target: Database) -> None:
        expected = query_original(
            "SELECT key, u.email, description, k.created, expires_at, k.last_used FROM api_key k"
            " JOIN dsg_user u ON u.id = user_id UNION ALL"
            " SELECT key, a.name, t.description, t.created, NULL, last_used FROM service_account_token t"
            " JOIN service_account a ON a.id = service_account_id"
        )
        for key, owner, description, created, expires, last_used in expected:
            token = token_checks.check(target, PresentedToken(key), ANSWERED)
            assert token.token is not None
            assert token.principal is not None
            assert token.principal.label == owner
            assert token.token.kind == ("login" if description == "OAuth login token" else "api")
            assert token.token.description == description
            assert [token.token.created, token.token.expires, token.token.last_used] == [
                moment(created),
                moment(expires),
                moment(last_used),
            ]
        content = b"".join(Path(target.path + end).read_bytes() for end in ("", "-wal"))
        assert not [key for key, *_ in expected if key.encode() in content]

    def test_audit_records(self, target: Database) -> None:
        records = [audit.show(target, row["id"]) for row in audit.list_records(target)]
        from_source = [record for record in records if record["imported_from"] is not None]
        assert sorted(
            (r["action"], r["target"], r["at"], r["actor"], r["before"], json.dumps(r["after"])) for r in from_source
        ) == sorted(
            (f"datasetgateway.{action}", f"{kind}:{number}", moment(at), f"user:{email}", None, after)
            for action, kind, number, at, email, after in query_original(
                "SELECT action, target_type, target_id, timestamp, email, after_state FROM audit_log"
                " JOIN dsg_user u ON u.id = actor_id"
            )
        )
        assert audit_chain.verify(target) is None
        assert len(records) > len(from_source)  # what the import itself did stands beside them

    def test_other_permissions_pass_through(self, run: Run, source: Path) -> None:
        spoil(source, f"UPDATE permission SET name = '{FOREIGN}' WHERE name = 'manage'")
        run(datasetgateway.Importer().run, source)
        assert {row["permission"] for row in grants.list_grants(run.database)} == {"view", "edit", FOREIGN, "admin"}

    def test_progress_ends_with_all_rows(self, run: Run) -> None:
        steps: list[tuple[int, int]] = []
        run(datasetgateway.Importer().run, ORIGINAL, progress=lambda count, total: steps.append((count, total)))
        assert steps
        assert steps == sorted(steps)
        assert len({total for _, total in steps}) == 1
        assert steps[-1][0] == steps[-1][1]


def ids() -> list[str]:
    return [f"{number}-{answer['kind']}" for number, answer in enumerate(ANSWERS)]


def as_sets(value: Any) -> Any:
    """The same with lists in one order."""
    if isinstance(value, dict):
        return {key: as_sets(part) for key, part in value.items()}
    if isinstance(value, list):
        return sorted(map(as_sets, value), key=repr)
    return value


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

    def test_a_dry_run_writes_nothing_and_shows_what_a_run_does(self, run: Run) -> None:
        def list_records(*, dry_run: bool) -> list[Record]:
            records: list[Record] = []
            with begin_change(run.database, "os:test", at=ANSWERED, dry_run=dry_run, watch=records.append) as change:
                datasetgateway.Importer().run(change, ORIGINAL)
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
        run(new_users.add_all, [new_users.NewUser("FIRST.last+0@example.org", {}, (), new_users.ForeignAccount(1))])
        report = run(datasetgateway.Importer().run, ORIGINAL)
        assert report.unchanged["users"] == 1
        assert report.unchanged["groups"] == 1
        assert users.find(run.database, "first.last+0@example.org").id == 1


class TestIds:
    def test_an_id_that_the_source_has_used_is_not_reused(self, run: Run, source: Path) -> None:
        """CAVE keeps these ids beside annotations, also those of people who were deleted since."""
        spoil(
            source,
            "UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'dsg_user'",
            "DELETE FROM service_account_token",
            "DELETE FROM service_account_grant",
            "DELETE FROM service_account",
        )
        run(datasetgateway.Importer().run, source)
        user, _ = run(users.add, "next@example.org")
        assert user.id > 5000

    def test_service_accounts_are_numbered_after_everybody(self, run: Run, source: Path) -> None:
        spoil(source, "UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'dsg_user'")
        run(datasetgateway.Importer().run, source)
        assert min(row["id"] for row in service_accounts.list_service_accounts(run.database)) > 5000


def _user(id: int, email: str, **foreign: Any) -> Callable[[Run], Any]:
    person = new_users.NewUser(email, {}, (), new_users.ForeignAccount(id, **foreign))
    return lambda run: run(new_users.add_all, [person])


def _dataset(id: int, name: str) -> Callable[[Run], Any]:
    return lambda run: run(datasets.add, name, imported_id=id)


CONFLICTS: dict[str, tuple[Callable[[Run], Any], tuple[str, ...]]] = {
    "the id is another user's": (_user(3, "zoe@example.org"), ("user2@example.org", "zoe@example.org", "3")),
    "the email has another id": (_user(700, "USER2@example.org"), ("user2@example.org", "700", "3")),
    "the id is a service account's": (
        lambda run: run(service_accounts.add, "nightly"),
        ("First.Last+0@Example.ORG", "nightly"),
    ),
    "the identity is another user's": (
        _user(800, "eve@example.org", issuer="https://accounts.google.com", subject="100000000000000001002"),
        ("user2@example.org", "eve@example.org"),
    ),
    "the user has another identity": (
        _user(3, "user2@example.org", issuer="https://accounts.google.com", subject="77"),
        ("user2@example.org", "77", "100000000000000001002"),
    ),
    "the dataset has another id": (_dataset(77, "fish2"), ("fish2", "77", "3")),
    "the dataset's id is another's": (_dataset(3, "mouse"), ("fish2", "mouse", "3")),
    "the terms are others": (lambda run: run(terms.add, "House rules", "Be kind."), ("fly-0_x terms", "House rules")),
}


@pytest.mark.parametrize(("prepare", "parts"), CONFLICTS.values(), ids=CONFLICTS)
def test_a_conflict_names_both_and_changes_nothing(
    run: Run, prepare: Callable[[Run], Any], parts: tuple[str, ...]
) -> None:
    prepare(run)
    before = run.content()
    with refused(Conflict, *parts):
        run(datasetgateway.Importer().run, ORIGINAL)
    assert run.content() == before


@pytest.mark.parametrize(("prepare", "parts"), CONFLICTS.values(), ids=CONFLICTS)
def test_a_skipped_conflict_is_left_out_with_its_dependent_rows(
    run: Run, prepare: Callable[[Run], Any], parts: tuple[str, ...]
) -> None:
    prepare(run)
    report = run(datasetgateway.Importer().run, ORIGINAL, skip_conflicts=True)
    left_out = "\n".join(report.left_out)
    for part in parts:
        assert part in left_out
    assert report.added["users"] >= 40
    assert audit_chain.verify(run.database) is None
    before = run.content()
    assert not run(datasetgateway.Importer().run, ORIGINAL, skip_conflicts=True).changed
    assert run.content() == before


def test_of_two_emails_that_differ_in_case_the_first_is_kept_and_the_children_of_the_other_go_with_it(
    run: Run, source: Path
) -> None:
    spoil(
        source,
        "UPDATE dsg_user SET email = 'USER2@example.org' WHERE id = 4",
        "UPDATE dsg_user SET parent_id = 4 WHERE id = 5",
    )
    with refused(Conflict, "dsg_user row 4", "dsg_user row 3", "--skip-conflicts"):
        run(datasetgateway.Importer().run, source)
    report = run(datasetgateway.Importer().run, source, skip_conflicts=True)
    assert [run.principal(number) is None for number in (3, 4, 5)] == [False, True, True]
    left_out = "\n".join(report.left_out)
    assert "dsg_user row 4: 'USER2@example.org'" in left_out
    assert "dsg_user row 5: " in left_out
    assert "api_key: " in left_out


# Values that cannot be kept: what is done to the source, and what the error must say.
VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "an email with a control character": (
        ("UPDATE dsg_user SET email = 'a' || char(27) || '@x.org' WHERE id = 3",),
        ("dsg_user", "3", "email"),
    ),
    "an email that is none": (("UPDATE dsg_user SET email = 'nobody' WHERE id = 3",), ("dsg_user", "3", "nobody")),
    "an email of service accounts": (
        ("UPDATE dsg_user SET email = 'x@service-account.dsg.local' WHERE id = 3",),
        ("dsg_user", "3"),
    ),
    "two emails that differ in case": (
        ("UPDATE dsg_user SET email = 'USER3@example.org' WHERE id = 3",),
        ("dsg_user", "3", "4"),
    ),
    "several at once": (
        ("UPDATE dsg_user SET email = 'nobody' WHERE id = 3", "UPDATE dataset SET name = '' WHERE id = 2"),
        ("dsg_user row 3", "dataset row 2"),
    ),
    "an access mode that is neither": (
        ("UPDATE dataset SET access_mode = 'secret' WHERE id = 2",),
        ("dataset", "2", "secret"),
    ),
    "a bucket that is none": (
        ("UPDATE dataset_bucket SET name = 'Not A Bucket' WHERE id = 2",),
        ("dataset_bucket", "2"),
    ),
    "a flag that is neither": (("UPDATE dsg_user SET admin = 7 WHERE id = 4",), ("dsg_user", "4", "admin")),
    "a time that is none": (
        ("UPDATE api_key SET created = 'yesterday' WHERE id = 4",),
        ("api_key", "4", "created"),
    ),
    "a root that is no number": (
        ("UPDATE public_root SET root_id = 'x' WHERE id = 4",),
        ("public_root", "4", "root_id"),
    ),
    "a root below zero": (("UPDATE public_root SET root_id = -1 WHERE id = 4",), ("public_root", "4")),
    "an address that is none": (
        ("UPDATE tos_acceptance SET ip_address = 'a' || char(7) WHERE id = 1",),
        ("tos_acceptance", "1"),
    ),
    "a version of another dataset": (
        ('UPDATE "grant" SET dataset_version_id = 1 WHERE id = 4',),
        ("grant", "4"),
    ),
    "text that is not UTF-8": (
        ("UPDATE dsg_user SET name = CAST(x'41ff' AS TEXT) WHERE id = 5",),
        ("dsg_user", "UTF-8"),
    ),
    "bytes for text": (("UPDATE dsg_user SET name = x'41ff' WHERE id = 5",), ("dsg_user", "5", "name")),
    "parents in a circle": (
        ("UPDATE dsg_user SET parent_id = 5 WHERE id = 4", "UPDATE dsg_user SET parent_id = 4 WHERE id = 5"),
        ("dsg_user", "4"),
    ),
    "a row that refers to nothing": (("UPDATE user_group SET user_id = 4711 WHERE id = 3",), ("user_group", "3")),
}


@pytest.mark.parametrize(("sql", "parts"), VALUES.values(), ids=VALUES)
def test_a_value_that_cannot_be_kept_is_named_with_its_row(
    run: Run, source: Path, sql: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    spoil(source, *sql)
    before = run.content()
    with pytest.raises((Invalid, Conflict)) as caught:
        run(datasetgateway.Importer().run, source)
    message = caught.value.message
    assert str(source) in message or source.name in message
    assert not has_control(message)
    for part in parts:
        assert part in message
    assert run.content() == before


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


def _cut(size: int) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(ORIGINAL.read_bytes()[:size])


def _writer_of(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def _sql(*statements: str) -> Callable[[Path], None]:
    return lambda path: spoil(path, *statements)


def _other_program(path: Path) -> None:
    path.unlink()
    spoil(path, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")


def _page_of_garbage(number: int) -> Callable[[Path], None]:
    def spoil_page(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[number * 4096 : number * 4096 + 64] = b"\xa5" * 64
        path.write_bytes(content)

    return spoil_page


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


# Files that are no such database: how each is made, and what the error must say beside the file's name.
FILES: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "missing": (Path.unlink, ()),
    "a directory": (_directory, ()),
    "empty": (_writer_of(b""), ()),
    "a text file": (_writer_of(b"email,name\na@x.org,A\n" * 500), ()),
    "cut off in the header": (_cut(50), ()),
    "cut off after the header": (_cut(100), ()),
    "cut off after a page": (_cut(4096), ()),
    "cut off within a page": (_cut(70_000), ()),
    "cut off in the middle": (_cut(300_000), ()),
    "without its last page": (_cut(581_632 - 4096), ()),
    "without its last byte": (_cut(581_632 - 1), ()),
    "garbage for its schema": (_page_of_garbage(0), ()),
    "garbage for a page": (_page_of_garbage(20), ()),
    "of another program": (_other_program, ("dsg_user",)),
    "without a table": (_sql("DROP TABLE audit_log"), ("audit_log",)),
    "without a column": (_sql("ALTER TABLE api_key DROP COLUMN expires_at"), ("api_key", "expires_at")),
    "with a column that may matter": (
        _sql('ALTER TABLE "grant" ADD COLUMN expires_at datetime'),
        ("grant", "expires_at"),
    ),
    "with a view for a table": (
        _sql("ALTER TABLE affiliation RENAME TO other", "CREATE VIEW affiliation AS SELECT * FROM other"),
        ("affiliation",),
    ),
}


@pytest.mark.parametrize(("make", "parts"), FILES.values(), ids=FILES)
def test_another_file_is_refused(run: Run, source: Path, make: Callable[[Path], Any], parts: tuple[str, ...]) -> None:
    make(source)
    before = run.content()
    with refused(Invalid, source.name, *parts):
        run(datasetgateway.Importer().run, source)
    assert run.content() == before
    assert {path.name for path in source.parent.iterdir()} <= {source.name}


def test_our_own_database_is_refused(run: Run) -> None:
    with refused(Invalid, "dsg.sqlite3"):
        run(datasetgateway.Importer().run, Path(run.database.path))


@pytest.mark.parametrize("seed", range(40))
def test_a_byte_of_garbage_is_found_or_harmless(run: Run, source: Path, seed: int) -> None:
    """No checksum stands in the file: a letter may become another. But nothing is half done, and no fault is ours."""
    dice = random.Random(seed)
    content = bytearray(source.read_bytes())
    content[dice.randrange(100 if seed % 4 == 0 else len(content))] = dice.randrange(256)
    source.write_bytes(content)
    before = run.content()
    try:
        run(datasetgateway.Importer().run, source)
    except DsgError as error:
        assert isinstance(error, (Invalid, Conflict))
        assert source.name in error.message
        assert not has_control(error.message)
        assert run.content() == before


class TestTheSourceIsLeftAlone:
    def test_nothing_is_written_to_the_source_or_beside_it(self, run: Run, source: Path) -> None:
        run(datasetgateway.Importer().run, source)
        assert source.read_bytes() == ORIGINAL.read_bytes()
        assert [path.name for path in source.parent.iterdir()] == [source.name]

    def test_a_closed_source_in_wal_mode_is_not_written_to(self, run: Run, source: Path) -> None:
        spoil(source, "PRAGMA journal_mode = wal", "UPDATE dsg_user SET name = 'Wal' WHERE id = 3")
        before = source.read_bytes()
        run(datasetgateway.Importer().run, source)
        assert source.read_bytes() == before
        assert [path.name for path in source.parent.iterdir()] == [source.name]
        assert users.find(run.database, "user2@example.org").name == "Wal"

    def test_rows_in_the_wal_of_a_running_server_are_read(self, run: Run, source: Path) -> None:
        server = apsw.Connection(str(source))
        server.execute("PRAGMA journal_mode = wal")
        server.execute("UPDATE dsg_user SET name = 'Wal' WHERE id = 3")
        run(datasetgateway.Importer().run, source)
        server.close()
        assert users.find(run.database, "user2@example.org").name == "Wal"

    def test_uncommitted_rows_are_not_read(self, run: Run, source: Path) -> None:
        server = apsw.Connection(str(source))
        server.execute("BEGIN IMMEDIATE")
        server.execute("UPDATE dsg_user SET name = 'Half' WHERE id = 3")
        run(datasetgateway.Importer().run, source)
        server.execute("ROLLBACK")
        server.close()
        assert users.find(run.database, "user2@example.org").name == ""

    def test_a_transaction_that_was_cut_short_is_refused(self, run: Run, source: Path) -> None:
        """Its journal says how to undo it, which would write to the file."""
        server = apsw.Connection(str(source))
        server.execute("PRAGMA cache_size = 1")
        server.execute("BEGIN")
        server.execute("UPDATE dsg_user SET notes = hex(randomblob(50000))")
        journal = source.with_name(source.name + "-journal")
        cut = source.with_name("cut.sqlite3")
        shutil.copyfile(source, cut)
        shutil.copyfile(journal, cut.with_name(cut.name + "-journal"))
        server.execute("ROLLBACK")
        server.close()
        before = run.content()
        with refused(Invalid, "cut.sqlite3"):
            run(datasetgateway.Importer().run, cut)
        assert run.content() == before

    def test_a_name_with_marks_of_a_url(self, run: Run, source: Path) -> None:
        strange = source.with_name("db?mode=rwc#50%.sqlite3")
        source.rename(strange)
        assert run(datasetgateway.Importer().run, strange).changed


class TestHistory:
    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ('{"a": 1}', {"a": 1}),
            ("[1, 2]", {"value": [1, 2]}),
            ('"text"', {"value": "text"}),
            ("null", {"value": None}),
            ("1e999", {"text": "1e999"}),  # more than our own records can say
            ('{"a": "\\ud800"}', {"text": '{"a": "\\ud800"}'}),
        ],
    )
    def test_any_json_is_kept(self, run: Run, source: Path, state: str, expected: Any) -> None:
        spoil(source, f"UPDATE audit_log SET after_state = '{state}' WHERE id = 4")
        run(datasetgateway.Importer().run, source)
        assert [record["after"] for record in run.records() if record["target"] == "Grant:3"] == [expected]
        assert audit_chain.verify(run.database) is None
        assert not run(datasetgateway.Importer().run, source).changed

    def test_a_token_in_it_is_not(self, run: Run, source: Path) -> None:
        key = query_original("SELECT key FROM api_key WHERE id = 1")[0][0]
        spoil(source, f"""UPDATE audit_log SET after_state = '{{"old": "key {key}."}}' WHERE id = 4""")
        run(datasetgateway.Importer().run, source)
        states = [record["after"] for record in run.records() if record["target"] == "Grant:3"]
        assert states == [{"old": "key (a token)."}]

    def test_a_record_without_an_actor(self, run: Run, source: Path) -> None:
        spoil(source, "UPDATE audit_log SET actor_id = NULL WHERE id = 4")
        run(datasetgateway.Importer().run, source)
        assert [record["actor"] for record in run.records() if record["target"] == "Grant:3"] == ["unknown"]


class TestSmallThings:
    """What a real database may hold though ours of the tests does not."""

    def test_versions_keep_their_ids_where_they_are_free(self, run: Run, target: Database) -> None:
        expected = query_original("SELECT id, version FROM dataset_version ORDER BY id")
        assert list(target.tuples(m.Version.select(m.Version.id, m.Version.name).order_by(m.Version.id))) == expected
        run(datasets.add, "ours", imported_id=900)
        run(versions.add, "ours", "v9")  # it has the id 1
        run(datasetgateway.Importer().run, ORIGINAL)
        assert [row["name"] for row in versions.list_versions(run.database, "fish1")] == ["v1"]
        assert [row["name"] for row in versions.list_versions(run.database, "ours")] == ["v9"]

    def test_space_around_what_people_read(self, run: Run, source: Path) -> None:
        spoil(
            source,
            "UPDATE dsg_user SET name = ' Ada ' WHERE id = 3",
            "UPDATE service_account SET description = 'two' || char(13, 10) || ' lines' WHERE id = 1",
            "INSERT INTO affiliation (name, user_id) VALUES ('MRC LMB ', 3)",
        )
        run(datasetgateway.Importer().run, source)
        assert users.find(run.database, "user2@example.org").name == "Ada"
        assert user_queries.show(run.database, "user2@example.org")["affiliations"] == ["Cambridge", "MRC LMB"]
        assert service_accounts.find(run.database, "ci-bot-0").description == "two lines"
        assert not run(datasetgateway.Importer().run, source).changed

    def test_a_duplicate_grant_is_imported_once(self, run: Run, source: Path) -> None:
        columns = "source, created, dataset_id, dataset_version_id, granted_by_id, user_id, group_id, permission_id"
        spoil(source, f'INSERT INTO "grant" ({columns}) SELECT {columns} FROM "grant" WHERE id = 1')
        report = run(datasetgateway.Importer().run, source)
        assert (report.added["grants"], report.unchanged["grants"]) == (136, 1)

    def test_a_grant_of_an_unknown_source_counts_as_imported(self, run: Run, source: Path) -> None:
        spoil(source, "UPDATE \"grant\" SET source = 'script' WHERE id = 1")
        run(datasetgateway.Importer().run, source)
        first = query_original("SELECT email FROM dsg_user WHERE id = 1")[0][0]
        subject = principal_subject(users.find(run.database, first))
        assert "import" in {row["source"] for row in grants.list_grants(run.database, subject=subject)}

    def test_children_before_and_below_their_parents(self, run: Run, source: Path) -> None:
        spoil(
            source, "UPDATE dsg_user SET parent_id = 43 WHERE id = 2", "UPDATE dsg_user SET parent_id = 2 WHERE id = 1"
        )
        run(datasetgateway.Importer().run, source)
        assert [run.principal(number).parent_id for number in (1, 2, 43)] == [2, 43, 37]  # type: ignore[union-attr]

    def test_terms_of_a_version_may_leave_out_the_dataset(self, run: Run, source: Path) -> None:
        spoil(source, "UPDATE tos_document SET dataset_id = NULL, dataset_version_id = 2 WHERE id = 2")
        run(datasetgateway.Importer().run, source)
        row = next(row for row in terms.list_terms(run.database) if row["id"] == 2)
        assert (row["dataset"], row["version"]) == ("fish2", "v1")

    def test_what_has_no_place_here_is_told(self, run: Run, source: Path) -> None:
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


# Rows that are sound there and cannot be kept here.
UNFIT: dict[str, tuple[tuple[str, ...], str]] = {
    "an email that is none": (("UPDATE dsg_user SET email = 'nobody' WHERE id = 3",), "dsg_user row 3: 'nobody'"),
    "a dataset of no name": (("UPDATE dataset SET name = '' WHERE id = 2",), "dataset row 2: ''"),
    "a dataset with an escape": (
        ("UPDATE dataset SET name = 'a' || char(27) WHERE id = 2",),
        "dataset row 2: 'a\\x1b' is not a dataset name",
    ),
    "a version with a tab": (("UPDATE dataset_version SET version = char(9) WHERE id = 2",), "dataset_version row 2"),
    "a permission with a tab": (("UPDATE permission SET name = 'a' || char(9) WHERE id = 1",), "permission row 1"),
    "a group with NUL": (("UPDATE dsg_group SET name = 'a' || char(0) || 'b' WHERE id = 1",), "dsg_group row 1"),
    "a service with a line end": (("UPDATE service SET name = 'a' || char(10) WHERE id = 1",), "service row 1"),
    "a service account with a space": (
        ("UPDATE service_account SET name = 'a b' WHERE id = 1",),
        "service_account row 1: 'a b' is not a name",
    ),
    "a bucket that is none": (("UPDATE dataset_bucket SET name = 'Not A' WHERE id = 2",), "dataset_bucket row 2"),
    "terms with an escape": (("UPDATE tos_document SET text = char(27) WHERE id = 1",), "tos_document row 1"),
    "terms of no name": (("UPDATE tos_document SET name = ' ' WHERE id = 1",), "tos_document row 1"),
    "a root below zero": (("UPDATE public_root SET root_id = -1 WHERE id = 4",), "public_root row 4"),
}


@pytest.mark.parametrize(("sql", "part"), UNFIT.values(), ids=UNFIT)
def test_a_row_that_cannot_be_kept_is_named_and_may_be_left_out(
    run: Run, source: Path, sql: tuple[str, ...], part: str
) -> None:
    spoil(source, *sql)
    before = run.content()
    with refused(Invalid, part, "--skip-conflicts to leave them out; nothing was imported"):
        run(datasetgateway.Importer().run, source)
    assert run.content() == before
    report = run(datasetgateway.Importer().run, source, skip_conflicts=True)
    assert [line for line in report.left_out if part in line], report.left_out
    assert report.added["users"] >= 40
    assert audit_chain.verify(run.database) is None
    after = run.content()
    assert not run(datasetgateway.Importer().run, source, skip_conflicts=True).changed
    assert run.content() == after


@pytest.mark.parametrize(("column", "expected"), [("name", "a b"), ("display_name", "a b"), ("pi", "a b")])
def test_a_control_character_in_what_people_read_is_a_space_here(
    run: Run, source: Path, column: str, expected: str
) -> None:
    spoil(source, f"UPDATE dsg_user SET {column} = ' a' || char(10) || 'b ' WHERE id = 3")
    report = run(datasetgateway.Importer().run, source)
    assert getattr(run.principal(3), column) == expected
    assert report.remarks == [f"dsg_user row 3: {column} is kept as 'a b'"]
    assert not run(datasetgateway.Importer().run, source).changed


def test_a_picture_that_is_no_address_does_not_keep_a_person_out(run: Run, source: Path) -> None:
    spoil(source, "UPDATE dsg_user SET picture_url = 'javascript:alert(1)' WHERE id = 3")
    report = run(datasetgateway.Importer().run, source)
    user = run.principal(3)
    assert user is not None and user.picture_url == ""
    assert "dsg_user row 3: picture_url: 'javascript:alert(1)' is not a web address" in report.noted
