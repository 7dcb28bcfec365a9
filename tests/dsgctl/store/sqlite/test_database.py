"""The handle on a SQLite file: the engine, its settings, and what can go wrong with the file."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.core import audit_chain
from dsgctl.store import Database, StoreError
from dsgctl.store import models as m
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.sqlite.database import SqliteDatabase, require_version
from tests.dsgctl.store.builders import MOMENT, add, emails, only_root, python, refused, with_apsw


@pytest.mark.parametrize("version", ["3.51.3", "3.51.10", "3.52.0", "3.100.0", "4.0.0", "3.51.3.1"])
def test_an_engine_without_known_faults_is_accepted(version: str) -> None:
    require_version(version)


@pytest.mark.parametrize("version", ["3.51.2", "3.51.2.9", "3.9.9", "3.40.1", "3.7.17", "2.99.99", "3.51"])
def test_an_engine_that_may_corrupt_the_file_is_refused(version: str) -> None:
    with refused(f"SQLite {version} can corrupt", "3.51.3 or later", "pip install --upgrade apsw"):
        require_version(version)


def test_the_running_engine_is_accepted() -> None:
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
    values = [database.scalar(f"PRAGMA {pragma}")]

    def write_elsewhere() -> None:
        values.append(database.scalar(f"PRAGMA {pragma}"))
        database.close()

    thread = threading.Thread(target=write_elsewhere)
    thread.start()
    thread.join()
    assert values == [value, value]


def test_a_statement_is_planned_once_whatever_it_is_bound_to(database: Database) -> None:
    planned: list[str | None] = []

    def note_access(operation: int, table: str | None, *_: str | None) -> int:  # called only while SQLite plans
        planned.append(table)
        return apsw.SQLITE_OK

    connection = database.connection()
    connection.authorizer = note_access
    query = "SELECT name FROM memberships JOIN groups ON group_id = groups.id WHERE principal_id = ?"
    database.read(query, (1,))
    assert {"memberships", "groups"} <= set(planned)
    planned.clear()
    for number in range(3):
        database.read(query, (number,))
    assert planned == []


def test_a_locked_file_is_an_error_after_the_timeout(database: Database, path: Path) -> None:
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


def test_a_reader_cannot_write(path: Path, database: Database) -> None:
    add(database, "ana@x.org")
    reader = open_current(path, read_only=True)
    assert emails(reader) == ["ana@x.org"]
    with refused(f"{path} cannot be written to", "owner and mode"):
        add(reader, "bea@x.org")
    assert emails(reader) == ["ana@x.org"]
    reader.close()


def test_a_damaged_page_is_reported(path: Path) -> None:
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


def test_a_dangling_reference_is_reported(database: Database, path: Path) -> None:
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
from tests.dsgctl.core.builders import add_people
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
            add_people(change, people)
except StoreError as error:
    print(done, error.message, error.hint, sep="\\n")
"""


def nothing_acknowledged_is_lost(path: Path, change_count: int) -> None:
    database = open_current(path)
    assert emails(database) == [f"u{change}-{n}@x.org" for change in range(change_count) for n in range(10)]
    assert database.integrity_problems() == []
    assert audit_chain.verify(database) is None
    add(database, "later@x.org")
    assert database.count(m.Principal.select()) == database.count(m.AuditRecord.select()) == change_count * 10 + 1
    database.close()


def test_a_file_that_may_not_grow_loses_nothing(path: Path) -> None:
    change_count, *words = python(FILLS_UP, path, 1_000_000).splitlines()
    assert int(change_count) > 0
    assert words[0].startswith(f"{path} cannot ")
    assert "disk" in words[0]
    assert len(words) == 2
    nothing_acknowledged_is_lost(path, int(change_count))


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
    change_count, *words = python(FILLS_UP, path, 0).splitlines()
    assert int(change_count) > 0
    assert words == [f"{path} cannot grow: the disk is full", "free some space, then try again; nothing was changed"]
    (small_disk / "ballast").unlink()
    nothing_acknowledged_is_lost(path, int(change_count))


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
