"""The handle on the file: its pragmas, its errors in words, and how it tells that the facts have changed."""

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import apsw
import pytest

from dsgctl.core import audit, new_users, principals, user_queries, users
from dsgctl.core.new_users import NewUser
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database, StoreError
from dsgctl.store import models as m
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.sqlite.database import SqliteDatabase, require_version
from tests.dsgctl.store.builders import MOMENT, only_root, python, refused, with_apsw


def add(database: Database, *emails: str) -> None:
    with begin_change(database, "os:test") as opened:
        new_users.add_all(opened, [NewUser(email, {}) for email in emails])


def emails(database: Database) -> list[str]:
    return [row["email"] for row in user_queries.list_users(database)]


# The engine


@pytest.mark.parametrize("version", ["3.51.3", "3.51.10", "3.52.0", "3.100.0", "4.0.0", "3.51.3.1"])
def test_an_engine_that_keeps_what_is_written_is_good(version: str) -> None:
    require_version(version)


@pytest.mark.parametrize("version", ["3.51.2", "3.51.2.9", "3.9.9", "3.40.1", "3.7.17", "2.99.99", "3.51"])
def test_an_engine_that_may_corrupt_the_file_is_refused(version: str) -> None:
    with refused(f"SQLite {version} can corrupt", "3.51.3 or later", "pip install --upgrade apsw"):
        require_version(version)


def test_the_engine_that_runs_is_a_good_one() -> None:
    require_version(apsw.sqlite_lib_version())
    assert SqliteDatabase.engine_name() == f"SQLite {apsw.sqlite_lib_version()}"


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("foreign_keys", 1),
        ("journal_mode", "wal"),
        ("mmap_size", 0),
        ("synchronous", 2),
        ("wal_autocheckpoint", 1000),
        ("busy_timeout", 25_000),
        ("read_uncommitted", 0),
        ("ignore_check_constraints", 0),
    ],
)
def test_every_connection_is_set_for_safety(database: Database, pragma: str, value: Any) -> None:
    found = [database.scalar(f"PRAGMA {pragma}")]

    def elsewhere() -> None:
        found.append(database.scalar(f"PRAGMA {pragma}"))
        database.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [value, value]


# Reading and writing


def test_rows_are_dicts_in_the_order_of_the_select(database: Database) -> None:
    add(database, "ana@x.org", "bea@x.org")
    query = m.Principal.select(m.Principal.email.alias("address"), m.Principal.active).order_by(m.Principal.id)
    assert [list(row.items()) for row in database.rows(query)] == [
        [("address", "ana@x.org"), ("active", True)],
        [("address", "bea@x.org"), ("active", True)],
    ]
    assert database.count(query) == 2
    assert database.first(m.Principal.select().where(m.Principal.email == "cid@x.org")) is None


class GroupName(TypedDict):
    id: int
    name: str


def test_rows_have_the_keys_of_their_shape_or_none_is_read(database: Database) -> None:
    database.run(m.Group.insert(name="lab-1", created=MOMENT))
    assert list(database.rows(m.Group.select(m.Group.id, m.Group.name), GroupName)) == [{"id": 1, "name": "lab-1"}]
    for columns in ((m.Group.id,), (m.Group.name, m.Group.id), (m.Group.id, m.Group.name, m.Group.created)):
        with pytest.raises(TypeError, match="GroupName"):
            next(database.rows(m.Group.select(*columns), GroupName))


def test_rows_of_one_shape_go_into_their_columns_in_whatever_order_their_keys_are(database: Database) -> None:
    database.insert_many(m.Service, [{"name": "a", "url": "b"}, {"url": "d", "name": "c"}])
    assert [(row["name"], row["url"]) for row in database.rows(m.Service.select())] == [("a", "b"), ("c", "d")]
    database.insert_many(m.Service, [])


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.transaction():
        database.run(m.Service.insert(name="clio"))
        raise RuntimeError
    assert database.count(m.Service.select()) == 0
    with database.transaction():
        database.run(m.Service.insert(name="clio"))
    assert database.count(m.Service.select()) == 1


def test_a_snapshot_sees_one_state(database: Database, path: Path) -> None:
    other = open_current(path)
    with database.snapshot():
        assert emails(database) == []
        add(other, "ana@x.org")
        assert emails(database) == []
    assert emails(database) == ["ana@x.org"]
    other.close()


def test_what_is_read_in_a_transaction_cannot_change_meanwhile(database: Database, path: Path) -> None:
    """BEGIN IMMEDIATE: the second writer waits at the door, not in the middle."""
    other = SqliteDatabase(path, busy_timeout=0.05)
    with database.transaction(), refused("is locked"), other.transaction():
        pytest.fail("two writers at once")
    other.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO memberships VALUES (7, 7, 0)",
        "INSERT INTO grants (principal_id, dataset_id, permission, source, granted_by, created) "
        f"VALUES (7, 7, 'view', 'manual', 'x', '{MOMENT}')",
    ],
)
def test_what_refers_to_nothing_is_refused(database: Database, statement: str) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        database.script(statement)


def test_a_grant_is_of_a_version_of_its_own_dataset(database: Database) -> None:
    database.script(
        f"INSERT INTO datasets (id, name, created) VALUES (1, 'fish2', '{MOMENT}'), (2, 'fly', '{MOMENT}');"
        "INSERT INTO versions (id, dataset_id, name) VALUES (5, 2, 'v1');"
        f"INSERT INTO groups (id, name, created) VALUES (1, 'lab', '{MOMENT}');"
    )
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        database.script(
            "INSERT INTO grants (group_id, dataset_id, version_id, permission, source, granted_by, created) "
            f"VALUES (1, 1, 5, 'view', 'manual', 'x', '{MOMENT}')"
        )


def test_a_connection_of_a_thread_is_its_own_and_a_closed_handle_opens_again(database: Database) -> None:
    add(database, "ana@x.org")
    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: (found.append(emails(database)), database.close()))
    with database.transaction():
        database.run(m.Principal.update(email="bea@x.org"))
        thread.start()
        thread.join()
    assert found == [["ana@x.org"]]
    database.close()
    database.close()
    assert emails(database) == ["bea@x.org"]


# What can go wrong


def test_a_locked_file_is_waited_for_and_then_told(database: Database, path: Path) -> None:
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")
    impatient = SqliteDatabase(path, busy_timeout=0.2)
    start = time.monotonic()
    with refused(f"{path} is locked by another program", "try again"):
        add(impatient, "ana@x.org")
    assert time.monotonic() - start > 0.15
    assert emails(impatient) == []  # who reads is never locked out
    writer.execute("ROLLBACK")
    add(impatient, "ana@x.org")
    assert emails(database) == ["ana@x.org"]
    impatient.close()
    writer.close()


def test_a_writer_who_comes_while_another_writes_waits_for_their_turn(database: Database, path: Path) -> None:
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=lambda: (add(database, "ana@x.org"), database.close()))
    thread.start()
    time.sleep(0.1)
    assert thread.is_alive()
    writer.execute("COMMIT")
    thread.join()
    writer.close()
    assert emails(database) == ["ana@x.org"]


def test_a_file_that_another_program_has_for_itself_is_locked(path: Path) -> None:
    with_apsw(path, "PRAGMA journal_mode = delete")
    owner = apsw.Connection(str(path))
    owner.execute("PRAGMA locking_mode = exclusive")
    owner.execute("BEGIN EXCLUSIVE")
    with refused("is locked by another program"):
        SqliteDatabase(path, busy_timeout=0.05)
    owner.close()


def test_whoever_only_reads_cannot_write(path: Path, database: Database) -> None:
    add(database, "ana@x.org")
    reader = open_current(path, read_only=True)
    assert emails(reader) == ["ana@x.org"]
    with refused(f"{path} cannot be written to", "owner and mode"):
        add(reader, "bea@x.org")
    assert emails(reader) == ["ana@x.org"]
    reader.close()


def test_a_damaged_page_is_told(path: Path) -> None:
    database = open_current(path)
    add(database, *(f"user{number}@x.org" for number in range(500)))
    assert database.integrity_problems() == []
    database.close()
    page = with_apsw(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'principals'")[0][0] - 1
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xff" * 4096)
    damaged = open_current(path)
    with refused(f"{path} is damaged", "backup", "dsgctl db check"):
        emails(damaged)
    try:
        assert damaged.integrity_problems()
    except StoreError as error:
        assert "is damaged" in error.message
    damaged.close()


def test_a_reference_to_what_is_not_there_is_told(database: Database, path: Path) -> None:
    add(database, "ana@x.org")
    with_apsw(path, "PRAGMA foreign_keys = off", "INSERT INTO memberships VALUES (1, 77, 0)")
    assert database.dangling_rows() == ["a row of memberships refers to a row of groups that is not there"]
    assert database.integrity_problems() == []


FILLS_UP = """
import sys
from dsgctl.core import new_users
from dsgctl.core.transaction import begin_change
from dsgctl.store import StoreError
from dsgctl.store.migrations import open_current
path, size = sys.argv[1], int(sys.argv[2])
database = open_current(path)
if size:
    # As `ulimit -f` does: a write beyond it is an error like that of a disk.
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
done = 0
try:
    for done in range(10_000):
        with begin_change(database, "os:test") as change:
            people = [new_users.NewUser(f"u{done}-{n}@x.org", {"notes": "x" * 1000}) for n in range(10)]
            new_users.add_all(change, people)
except StoreError as error:
    print(done, error.message, error.hint, sep="\\n")
"""


def nothing_acknowledged_is_lost(path: Path, done: int) -> None:
    database = open_current(path)
    assert emails(database) == [f"u{one}-{n}@x.org" for one in range(done) for n in range(10)]
    assert database.integrity_problems() == []
    assert audit.verify(database) is None
    add(database, "later@x.org")
    assert database.count(m.Principal.select()) == database.count(m.AuditRecord.select()) == done * 10 + 1
    database.close()


def test_a_file_that_may_not_grow_loses_nothing(path: Path) -> None:
    done, *words = python(FILLS_UP, path, 1_000_000).splitlines()
    assert int(done) > 0
    assert words[0].startswith(f"{path} cannot ")
    assert "disk" in words[0]
    assert len(words) == 2
    nothing_acknowledged_is_lost(path, int(done))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte with a file on it that can go."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small disk here")
    (disk / "ballast").write_bytes(bytes(200_000))
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@only_root
def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    path = small_disk / "dsg.sqlite3"
    migrate(path, now=MOMENT)
    done, *words = python(FILLS_UP, path, 0).splitlines()
    assert int(done) > 0
    assert words == [f"{path} cannot grow: the disk is full", "free some space, then try again; nothing was changed"]
    (small_disk / "ballast").unlink()
    nothing_acknowledged_is_lost(path, int(done))


def test_one_big_change_that_does_not_fit_leaves_nothing(database: Database) -> None:
    pages = database.scalar("PRAGMA page_count")
    database.scalar(f"PRAGMA max_page_count = {pages + 20}")
    with refused("the disk is full", "free some space"):
        add(database, *(f"user{number}@x.org" for number in range(5000)))
    assert emails(database) == []
    add(database, "ana@x.org")
    assert emails(database) == ["ana@x.org"]


def test_a_database_is_not_made_where_the_disk_is_full(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "more").write_bytes(bytes(2_000_000))
    path = small_disk / "dsg.sqlite3"
    with refused("full"):
        migrate(path, now=MOMENT)
    (small_disk / "more").unlink()
    assert migrate(path, now=MOMENT)
    open_current(path).close()


def test_mistakes_of_the_program_are_not_called_faults_of_the_file(database: Database) -> None:
    with pytest.raises(Exception, match="no such table") as caught:
        database.scalar("SELECT 1 FROM nowhere")
    assert not isinstance(caught.value, StoreError)


# How it tells that the facts have changed


def test_a_reader_sees_that_another_has_written_and_only_then(path: Path, database: Database) -> None:
    writer = open_current(path)
    before = database.change_marker()
    assert database.change_marker() == before
    add(writer, "ana@x.org")
    after = database.change_marker()
    assert after != before
    assert database.change_marker() == after
    with begin_change(writer, "os:test", dry_run=True) as opened:
        users.add(opened, "bea@x.org")
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
    "terms": "(id, name, text, invite_token, effective) VALUES (9, 'new', 'x', 'new', '{t}')",
    "acceptances": "(principal_id, terms_id, accepted, recorded_by) VALUES (1, 2, '{t}', 'x')",
    "tokens": "(id, principal_id, kind, hash, prefix, created) VALUES (9, 1, 'api', zeroblob(32), '', '{t}')",
}
UPDATES = {
    "principals": ["active = 0", "admin = 1", "read_only = 1", "email = 'b@x.org'", "name = 'B'", "parent_id = 2"],
    "affiliations": ["name = 'B'"],
    "groups": ["name = 'b'"],
    "memberships": ["leads = 1", "group_id = 2"],
    "datasets": ["access = 'public'", "own_terms_id = NULL", "name = 'b'"],
    "versions": ["public = 1", "name = 'b'"],
    "buckets": ["credential = 'b'", "iam = 1"],
    "locations": ["prefix = 'b/'"],
    "grants": ["permission = 'view'", "expires = '{t}'", "dataset_id = 2", "principal_id = 2"],
    "services": ["name = 'b'"],
    "terms": ["retired = '{t}'", "effective = '{t}'", "service_id = 1", "name = 'b'"],
    "acceptances": ["address = '10.0.0.1'"],
    "tokens": ["revoked = '{t}'", "expires = '{t}'", "principal_id = 2", "hash = randomblob(32)", "kind = 'login'"],
}
FILLED = """
    INSERT INTO principals (id, kind, email, created, created_by)
      VALUES (1, 'user', 'a@x.org', '{t}', 'x'), (2, 'user', 'a2@x.org', '{t}', 'x');
    INSERT INTO affiliations VALUES (1, 'HHMI');
    INSERT INTO groups (id, name, created) VALUES (1, 'a', '{t}'), (2, 'a2', '{t}');
    INSERT INTO memberships VALUES (1, 1, 0);
    INSERT INTO services (id, name) VALUES (1, 'a');
    INSERT INTO datasets (id, name, created) VALUES (1, 'a', '{t}'), (2, 'a2', '{t}');
    INSERT INTO terms (id, name, text, dataset_id, invite_token, effective)
      VALUES (1, 'a', 'x', 1, 'a', '2020-01-01T00:00:00.000000Z'), (2, 'a2', 'x', 1, 'a2', '{t}');
    UPDATE datasets SET own_terms_id = 1 WHERE id = 1;
    INSERT INTO versions (id, dataset_id, name) VALUES (1, 1, 'v1');
    INSERT INTO buckets (name) VALUES ('bucket'), ('alone');
    INSERT INTO locations (id, dataset_id, bucket, prefix) VALUES (1, 1, 'bucket', 'a/');
    INSERT INTO grants (id, principal_id, dataset_id, permission, source, granted_by, created)
      VALUES (1, 1, 1, 'edit', 'manual', 'x', '{t}');
    INSERT INTO acceptances (principal_id, terms_id, accepted, recorded_by) VALUES (1, 1, '{t}', 'x');
    INSERT INTO tokens (id, principal_id, kind, hash, prefix, created)
      VALUES (1, 1, 'api', x'{hash}', '', '{t}');
    INSERT INTO service_tables (id, service, name, dataset_id) VALUES (1, 'a', 'a', 1);
    INSERT INTO public_roots VALUES (1, 1);
    INSERT INTO audit (at, actor, action, target, hash) VALUES ('{t}', 'x', 'x', 'x', zeroblob(32));
""".replace("{hash}", "ab" * 32)


def filled_in(statement: str) -> str:
    return statement.replace("{t}", MOMENT)


@pytest.fixture
def filled(path: Path) -> Iterator[Database]:
    database = open_current(path)
    database.script(filled_in(FILLED))
    yield database
    database.close()


# Which row to change and delete, where it has no id.
ROW = {
    "buckets": "name = 'alone'",
    "memberships": "principal_id = 1",
    "acceptances": "terms_id = 1",
    "affiliations": "principal_id = 1",
}


OTHER_SQLITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("SELECT * FROM principals_search LIMIT 1")
for statement in sys.stdin:
    print(connection.execute(statement).rowcount, flush=True)
"""

Write = Callable[[str], None]


@pytest.fixture
def elsewhere(path: Path) -> Iterator[Write]:
    """Writes through another program, whose SQLite is not ours and has no pragmas set.

    In a process of its own: two libraries of SQLite in one process break each other's locks.
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-c", OTHER_SQLITE, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr

        def write(statement: str) -> None:
            assert process.stdin and process.stdout and process.stderr
            process.stdin.write(" ".join(statement.split()) + "\n")
            process.stdin.flush()
            changed = process.stdout.readline()
            if not changed:
                error = process.stderr.read()
                if "no such module" in error or "malformed database schema" in error:
                    pytest.skip("the other SQLite here cannot read our tables")
                pytest.fail(error)
            assert int(changed) == 1, statement

        yield write
        process.stdin.close()


def test_every_table_that_decides_access_is_tried() -> None:
    assert (
        set(ROWS)
        == set(UPDATES)
        == {model._meta.table_name for model in m.TABLES}
        - {
            "service_tables",
            "public_roots",
            "audit",
            "iam_members",
            "declared",
            "withdrawals",
            "delegated_members",
        }
    )


@pytest.mark.parametrize("table", ROWS)
def test_every_insert_update_and_delete_moves_the_revision_also_from_elsewhere(
    filled: Database, elsewhere: Write, table: str
) -> None:
    row = ROW.get(table, "id = 1")
    for statement in (
        f"INSERT INTO {table} {ROWS[table]}",
        *(f"UPDATE {table} SET {update} WHERE {row}" for update in UPDATES[table]),
        f"DELETE FROM {table} WHERE {row}",
    ):
        revision, marker = filled.revision(), filled.change_marker()
        elsewhere(filled_in(statement))
        assert filled.change_marker() != marker
        assert filled.revision() > revision, statement


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
def test_what_decides_nothing_moves_no_revision(filled: Database, elsewhere: Write, statement: str) -> None:
    revision, marker = filled.revision(), filled.change_marker()
    elsewhere(filled_in(statement))
    assert filled.change_marker() != marker
    assert filled.revision() == revision


def test_what_goes_with_something_moves_the_revision_too(filled: Database) -> None:
    before = filled.revision()
    with filled.transaction():
        filled.run(m.Group.delete().where(m.Group.id == 1))
    assert filled.revision() == before + 2  # the group and its membership


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 shell")
def test_a_change_with_the_shell_is_seen(filled: Database, path: Path) -> None:
    revision, marker = filled.revision(), filled.change_marker()
    command = ["sqlite3", str(path), "UPDATE principals SET active = 0 WHERE email = 'a@x.org'"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the shell here cannot write to our tables: {done.stderr}")
    assert filled.change_marker() != marker
    assert filled.revision() == revision + 1


# Searching


PEOPLE = [
    ("ana@example.org", "Ana Łukasz", ""),
    ("zoe@example.org", "Zoë Émile", "Dr. Zoë"),
    ("percent@x.org", "100% sure", ""),
    ("underscore@x.org", "core_a_b", ""),
    ("quote@x.org", 'O\'Neil "Tip"', ""),
    ("star@x.org", "NEAR(a* AND b)", ""),
    ("cn@x.org", "陈小明", ""),
    ("ru@x.org", "Анна ПЕТРОВА", ""),
    ("eszett@x.org", "Straße", ""),
]


@pytest.fixture
def people(database: Database) -> Database:
    with begin_change(database, "os:test") as opened:
        new_users.add_all(
            opened, [NewUser(email, {"name": name, "display_name": shown}) for email, name, shown in PEOPLE]
        )
    return database


def found(database: Database, text: str) -> list[str]:
    return [row["email"].partition("@")[0] for row in user_queries.list_users(database, search=text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ana", ["ana"]),
        ("ANA", ["ana"]),
        ("aNa@EXAMPLE", ["ana"]),
        ("example.org", ["ana", "zoe"]),
        ("łukasz", ["ana"]),
        ("ŁUKASZ", ["ana"]),
        ("zoë", ["zoe"]),
        ("ZOË", ["zoe"]),
        ("émile", ["zoe"]),
        ("ÉMILE", ["zoe"]),
        ("dr. zoë", ["zoe"]),
        ("анна петрова", ["ru"]),
        ("АННА", ["ru"]),
        ("陈小明", ["cn"]),
        ("100%", ["percent"]),
        ("0% ", ["percent"]),
        ("%sure", []),
        ("a_b", ["underscore"]),
        ("core_a", ["underscore"]),
        ("O'Neil", ["quote"]),
        ('"Tip"', ["quote"]),
        ('l "T', ["quote"]),
        ("NEAR(", ["star"]),
        ("a* AND", ["star"]),
        ("(a*", ["star"]),
        ("x.org AND", []),
        ("name:", []),
        ('"""', []),
        ("straße", ["eszett"]),
        ("nobody", []),
        ("'; DROP", []),
    ],
)
def test_any_three_letters_or_more_are_found_case_aside_and_literally(
    people: Database, text: str, expected: list[str]
) -> None:
    assert found(people, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uk", ["ana"]),
        ("UK", ["ana"]),
        ("ł", ["ana"]),
        ("Ł", ["ana"]),
        ("éM", ["zoe"]),
        ("Ém", ["zoe"]),
        ("ÉM", ["zoe"]),
        ("ёж", []),
        ("陈", ["cn"]),
        ("小明", ["cn"]),
        ("пЕ", ["ru"]),
        ("НН", ["ru"]),
        ("%", ["percent"]),
        ("0%", ["percent"]),
        ("_b", ["underscore"]),
        ("*", ["star"]),
        ("* ", ["star"]),
        ('"', ["quote"]),
        ("'", ["quote"]),
        ("(", ["star"]),
        ("%%", []),
        ("ß", ["eszett"]),
    ],
)
def test_fewer_letters_are_found_so_too(people: Database, text: str, expected: list[str]) -> None:
    assert found(people, text) == expected


def test_the_search_follows_every_change(people: Database, elsewhere: Write) -> None:
    with begin_change(people, "os:test") as opened:
        users.set_attributes(opened, "ana@example.org", name="Bettina", new_email="bet@example.org")
        users.remove(opened, "zoe@example.org")
        users.set_active(opened, "cn@x.org", False)
    assert found(people, "Łukasz") == found(people, "ana@") == found(people, "Zoë") == []
    assert found(people, "bettina") == found(people, "bet@") == ["bet"]
    assert found(people, "陈小明") == ["cn"]
    elsewhere("UPDATE principals SET display_name = 'Anastasia' WHERE email = 'bet@example.org'")
    assert found(people, "nastas") == ["bet"]
    people.script("INSERT INTO principals_search (principals_search, rank) VALUES ('integrity-check', 1)")


def plan(database: Database, ask: Callable[[], object]) -> str:
    """How the engine goes about the last query of a function."""
    connection = database._db.connection()
    asked: list[tuple[str, Any]] = []
    connection.exec_trace = lambda cursor, sql, bindings: asked.append((sql, bindings)) or True
    try:
        ask()
    finally:
        connection.exec_trace = None
    sql, bindings = asked[-1]
    return "; ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql, bindings))


def test_a_search_for_three_letters_goes_through_the_index(people: Database) -> None:
    steps = plan(people, lambda: list(user_queries.list_users(people, search="ana", limit=10)))
    # One table is gone through, by its index of words; principals are looked up by id.
    assert steps.count("SCAN") == 1
    assert re.search(r"SCAN \w+ VIRTUAL TABLE INDEX \d+:M", steps)
    assert "TEMP B-TREE FOR ORDER BY" not in steps


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda database: principals.find_by_email(database, "Ana@example.org"), "principals_email"),
        (lambda database: new_users.find_by_emails(database, ["a@x.org", "b@x.org"]), "principals_email"),
        (lambda database: principals.find_by_identity(database, "https://i.example", "1"), "principals_subject"),
        (lambda database: list(user_queries.list_users(database, limit=10)), ""),
    ],
    ids=["email", "emails", "subject", "list"],
)
def test_a_look_up_goes_through_its_index(people: Database, ask: Callable[[Database], object], index: str) -> None:
    steps = plan(people, lambda: ask(people))
    assert index in steps
    assert "TEMP B-TREE" not in steps
    assert not index or "SCAN" not in steps
