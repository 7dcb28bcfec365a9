"""How a reader notices that the data has changed: the change marker, the revision, and the triggers."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsgctl.core import users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.database import CHANGES_KEPT
from dsgctl.store.migrations import open_current
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.store.builders import FILLED, Write, add, fill_in
from tests.dsgctl.store.table_owners import OWNERS


def test_a_reader_sees_that_another_has_written_and_only_then(path: Path, database: Database) -> None:
    writer = open_current(path)
    before = database.change_marker()
    assert database.change_marker() == before
    add(writer, "ana@x.org")
    after = database.change_marker()
    assert after != before
    assert database.change_marker() == after
    with begin_change(writer, "os:test", dry_run=True) as change:
        users.add(change, "bea@x.org")
    assert database.change_marker() == after
    writer.close()


ROWS = {
    "principals": "(id, kind, email, created, created_by) VALUES (9, 'user', 'new@x.org', '{t}', 'x')",
    "affiliations": "VALUES (2, 'MRC')",
    "groups": "(id, name, created) VALUES (9, 'new', '{t}')",
    "memberships": "VALUES (2, 1, 0)",
    "datasets": "(id, name, created) VALUES (9, 'new', '{t}')",
    "versions": "(id, dataset_id, name) VALUES (9, 1, 'v9')",
    "buckets": "(name) VALUES ('new')",
    "locations": "(id, dataset_id, bucket) VALUES (9, 1, 'bucket')",
    "grants": "(id, principal_id, dataset_id, permission, source, granted_by, created) "
    "VALUES (9, 1, 1, 'manage', 'manual', 'x', '{t}')",
    "services": "(id, name) VALUES (9, 'new')",
    "translations": "VALUES (9, 1, 'b', 'r1', 1, 1)",
    "terms": "(id, name, text, invite_token, effective) VALUES (9, 'new', 'x', 'new', '{t}')",
    "acceptances": "(principal_id, terms_id, accepted, recorded_by) VALUES (1, 2, '{t}', 'x')",
    "clients": "(id, name, owner_id, origin, created) VALUES (9, 'new', 1, 'https://new.org', '{t}')",
    "tokens": "(id, principal_id, kind, hash, prefix, created) VALUES (9, 1, 'api', zeroblob(32), '', '{t}')",
}
UPDATES = {
    "principals": ["active = 0", "admin = 1", "read_only = 1", "email = 'b@x.org'", "name = 'B'", "parent_id = 2"],
    "affiliations": ["name = 'B'"],
    "groups": ["name = 'b'"],
    "memberships": ["leads = 1", "group_id = 2"],
    "datasets": ["access = 'public'", "own_terms_id = NULL", "name = 'b'"],
    "versions": ["public = 1", "name = 'b'", "branch = 'b'", "ordinal = 9"],
    "buckets": ["credential = 'b'", "iam = 1"],
    "locations": ["prefix = 'b/'"],
    "grants": ["permission = 'view'", "expires = '{t}'", "dataset_id = 2", "principal_id = 2", "service_id = 1"],
    "services": ["name = 'b'", "mode = 'dag'"],
    "translations": ["client_name = 'b'", "client_version = 'b'", "dataset_id = 2", "version_id = 1"],
    "terms": ["retired = '{t}'", "effective = '{t}'", "service_id = 1", "name = 'b'"],
    "acceptances": ["address = '10.0.0.1'"],
    "clients": ["active = 0", "origin = 'https://b.org'"],
    "tokens": ["revoked = '{t}'", "expires = '{t}'", "principal_id = 2", "hash = randomblob(32)", "kind = 'delegated'"],
}


@pytest.fixture
def filled_database(path: Path) -> Iterator[Database]:
    database = open_current(path)
    database.script(fill_in(FILLED))
    yield database
    database.close()


# Which row to change and delete, where it has no id.
ROW = {
    "buckets": "name = 'alone'",
    "memberships": "principal_id = 1",
    "acceptances": "terms_id = 1",
    "affiliations": "principal_id = 1",
}


def test_every_table_that_decides_access_is_tried() -> None:
    tables = {model._meta.table_name for model in m.TABLES}
    assert tables <= OWNERS.keys()
    assert set(ROWS) == set(UPDATES) == {table for table in tables if OWNERS[table] is not None}


# Columns that decide no access, of the tables whose trigger names those that do.
SILENT = {"tokens": {"created", "description", "last_used", "postponed", "prefix"}}


def test_a_column_is_in_the_trigger_that_names_columns_or_decides_no_access(filled_database: Database) -> None:
    left_out = {}
    for table in ROWS:
        sql = filled_database.scalar(f"SELECT sql FROM sqlite_schema WHERE name = '{table}_change_update'")
        compared = set(re.findall(r"new\.(\w+) IS NOT old\.", sql.partition("BEGIN")[0]))
        columns = {name for _, name, *_ in filled_database.read(f"PRAGMA table_info({table})")}
        if compared:
            left_out[table] = columns - compared
    assert left_out == SILENT


@pytest.mark.parametrize("table", ROWS)
def test_every_insert_update_and_delete_moves_the_revision_also_from_elsewhere(
    filled_database: Database, write_elsewhere: Write, table: str
) -> None:
    row = ROW.get(table, "id = 1")
    for statement in (
        f"INSERT INTO {table} {ROWS[table]}",
        *(f"UPDATE {table} SET {update} WHERE {row}" for update in UPDATES[table]),
        f"DELETE FROM {table} WHERE {row}",
    ):
        revision, marker = filled_database.revision(), filled_database.change_marker()
        write_elsewhere(fill_in(statement))
        assert filled_database.change_marker() != marker
        assert filled_database.revision() > revision, statement


QUIET = [
    "UPDATE tokens SET last_used = '{t}'",
    "UPDATE tokens SET description = 'b', prefix = 'b'",
    "INSERT INTO audit (at, actor, action, target, hash) VALUES ('{t}', 'x', 'x', 'x', zeroblob(32))",
    "INSERT INTO service_tables (service, name, dataset_id) VALUES ('b', 'b', 1)",
    "UPDATE service_tables SET name = 'b'",
    "INSERT INTO public_roots VALUES (1, 2)",
    "UPDATE public_roots SET root_id = 3",
    "DELETE FROM public_roots",
    "DELETE FROM service_tables",
]


@pytest.mark.parametrize("statement", QUIET)
def test_a_write_that_decides_no_access_keeps_the_revision(
    filled_database: Database, write_elsewhere: Write, statement: str
) -> None:
    revision, marker = filled_database.revision(), filled_database.change_marker()
    write_elsewhere(fill_in(statement))
    assert filled_database.change_marker() != marker
    assert filled_database.revision() == revision


def test_a_cascading_deletion_moves_the_revision(filled_database: Database) -> None:
    before = filled_database.revision()
    with filled_database.transaction():
        filled_database.run(m.Group.delete().where(m.Group.id == 1))
    assert filled_database.revision() == before + 2  # the group and its membership


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 shell")
def test_a_change_with_the_shell_is_seen(filled_database: Database, path: Path) -> None:
    revision, marker = filled_database.revision(), filled_database.change_marker()
    command = ["sqlite3", str(path), "UPDATE principals SET active = 0 WHERE email = 'a@x.org'"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        pytest.skip(f"the shell here cannot write to our tables: {process.stderr}")
    assert filled_database.change_marker() != marker
    assert filled_database.revision() == revision + 1


def test_a_long_log_is_not_read(filled_database: SqliteDatabase) -> None:
    """The shell forgets no changes: whoever has missed many of them is not handed them all."""
    revision = filled_database.revision()
    numbers = ", ".join(f"({revision + number})" for number in range(1, CHANGES_KEPT + 2))
    filled_database.script(f"INSERT INTO changes (number) VALUES {numbers}")
    assert filled_database.changes_since(revision) is None
    changes = filled_database.changes_since(revision + 1)
    assert changes is not None and len(changes) == CHANGES_KEPT
