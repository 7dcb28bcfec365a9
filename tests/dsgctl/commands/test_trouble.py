"""What goes wrong with the database: each fault is one line on stderr that says what to do, and loses nothing."""

import os
import shutil
import sqlite3
import threading
from pathlib import Path

import apsw
import pytest

from dsgctl.store.migrations import LATEST
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.commands.running import Process, Quick, dump, execute
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World


def _fails(quick: Quick, *parts: str, words: tuple[str, ...] = ("user", "list")) -> None:
    result = quick(*words)
    assert (result.code, result.out) == (1, "")
    assert is_one_line(result), result
    assert "fault of dsgctl" not in result.err
    for part in (str(quick.database), *parts):
        assert part in result.err, result


# The database file


@pytest.mark.parametrize(
    "line",
    [
        "user list",
        "user add ada@example.org",
        "status",
        "db check",
        "db info",
        "token inspect",
        "access show ada@example.org",
    ],
)
def test_a_missing_database_is_an_error(quick: Quick, line: str) -> None:
    quick.database.unlink()
    result = quick(*line.split(), input="dsg_x\n")
    assert (result.code, result.out, is_one_line(result)) == (1, "", True)
    assert f"there is no database at {quick.database}; create it with 'dsgctl db migrate'" in result.err
    assert not quick.database.exists()


def test_a_missing_directory_for_the_database_is_an_error(quick: Quick, home: Path) -> None:
    missing = Quick(home, home / "no" / "such" / "dsg.sqlite3")
    result = missing("db", "migrate")
    assert (result.code, is_one_line(result)) == (1, True)
    assert f"the directory {home}/no/such does not exist; make it: install -d" in result.err


def test_migrate_makes_a_database_that_only_its_owner_reads(quick: Quick, home: Path) -> None:
    new = Quick(home, home / "new.sqlite3")
    assert new("db", "migrate").ok().out == f"{home}/new.sqlite3 has schema {LATEST} now ({LATEST} migrations ran)\n"
    assert (home / "new.sqlite3").stat().st_mode & 0o777 == 0o600
    new("user", "add", "ada@example.org").ok()
    new("db", "check").ok()


def test_a_directory_in_place_of_the_database_is_an_error(quick: Quick, home: Path) -> None:
    _fails(Quick(home, home), "cannot be opened")


def test_a_file_that_is_not_a_database_is_an_error(quick: Quick) -> None:
    quick.database.write_text("Dear diary, " * 1000)
    _fails(quick, "is not a database", "check DATABASE_PATH")
    assert quick.database.read_text().startswith("Dear diary")


def test_a_database_of_another_program_is_an_error(quick: Quick) -> None:
    quick.database.unlink()
    with sqlite3.connect(quick.database) as other:
        other.execute("CREATE TABLE users (name TEXT)")
    other.close()
    before = quick.database.read_bytes()
    for words in (("user", "list"), ("db", "migrate"), ("db", "info"), ("user", "add", "ada@example.org")):
        _fails(quick, "is a database of another program", "check DATABASE_PATH", words=words)
    assert quick.database.read_bytes() == before


def test_an_empty_file_is_answered_with_the_command_to_migrate(quick: Quick) -> None:
    quick.database.write_bytes(b"")
    _fails(quick, f"has schema 0; this program needs schema {LATEST}", "run 'dsgctl db migrate'")
    quick("db", "migrate").ok()
    quick("user", "list").ok()


def test_a_newer_schema_is_refused_with_both_numbers(quick: Quick) -> None:
    execute(quick.database, "INSERT INTO migrations VALUES (99, 'later', 'now')")
    for words in (("user", "list"), ("user", "add", "ada@example.org"), ("db", "migrate")):
        _fails(
            quick, f"has schema 99; this program knows schema {LATEST}", "a newer release has migrated it", words=words
        )
    assert '"schema": 99' in quick("db", "info", "-o", "json").ok().out


def test_a_damaged_database_is_an_error(filled: World) -> None:
    for index in range(30):
        filled.quick("group", "add", f"group-{index}").ok()
    execute(filled.database, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(filled.database.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    filled.database.write_bytes(content)
    for words in (("user", "list"), ("db", "check"), ("user", "add", "cy@example.org")):
        result = filled.quick(*words)
        assert (result.code, is_one_line(result)) == (1, True), result
        assert "fault of dsgctl" not in result.err
        assert "restore a backup" in result.err


def test_a_truncated_database_is_an_error(filled: World) -> None:
    with filled.database.open("rb+") as file:
        file.truncate(20_000)
    result = filled.quick("db", "check")
    assert (result.code, is_one_line(result)) == (1, True)
    assert "restore a backup" in result.err


def test_check_finds_a_changed_log(filled: World) -> None:
    [[trigger]] = execute(filled.database, "SELECT sql FROM sqlite_master WHERE name = 'audit_no_update'")
    execute(filled.database, "DROP TRIGGER audit_no_update")
    execute(filled.database, "UPDATE audit SET actor = 'os:nobody' WHERE id = 5")
    execute(filled.database, trigger)
    result = filled.quick("db", "check")
    assert (result.code, is_one_line(result)) == (1, True)
    assert "audit record 5 does not follow from the one before it" in result.err


def test_check_finds_a_broken_reference(filled: World) -> None:
    execute(filled.database, "INSERT INTO memberships VALUES (999, 1, 0)")
    result = filled.quick("db", "check")
    assert (result.code, is_one_line(result)) == (1, True)
    assert "refers to a row of principals that is not there" in result.err
    assert "dsgctl db check --mend" in result.err


def test_db_check_mends_dangling_rows_as_the_schema_says(filled: World) -> None:
    before = dump(filled.database)
    for statement in ("DELETE FROM groups", "DELETE FROM terms WHERE id = 3", "DELETE FROM principals WHERE id = 1"):
        execute(filled.database, statement)  # a new connection: it looks after no references
    assert filled.quick("db", "check").code == 1
    filled.quick("db", "check", "--mend").ok()
    filled.quick("db", "check").ok()
    after = dump(filled.database)
    assert after["memberships"] == []
    assert [row for row in after["grants"] if row[2] is not None] == []  # to groups
    assert not [row for row in after["tokens"] if row[1] == 1]
    assert next(row for row in after["datasets"] if row[1] == "fly")[4] is None  # its own terms
    assert len(after["tokens"]) > 10 and len(after["tokens"]) < len(before["tokens"])
    shown = filled.quick("audit", "list", "--limit", "1", "-o", "json").ok().out
    assert '"db.mend"' in shown


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads everything")
def test_a_database_that_may_not_be_read_or_written(dsgctl: Process) -> None:
    powerless = "setpriv --bounding-set=-dac_override,-dac_read_search " if os.geteuid() == 0 else ""
    for mode, expected in ((0o000, "cannot be opened"), (0o444, "cannot be written to")):
        dsgctl.database.chmod(mode)
        result = dsgctl.shell(f"{powerless}dsgctl user add ada@example.org")
        assert (result.code, result.out) == (1, ""), result
        assert is_one_line(result), result
        assert expected in result.err
        assert "owner and mode" in result.err or "who may read" in result.err


# Locked


def test_a_locked_database_is_waited_for(dsgctl: Process) -> None:
    other = apsw.Connection(str(dsgctl.database))
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.6, lambda: other.execute("COMMIT"))
    timer.start()
    assert dsgctl("user", "add", "ada@example.org").ok().out == "added user ada@example.org, id 1\n"
    timer.join()
    other.close()


def test_a_database_locked_too_long_is_an_error_but_reads_succeed(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SqliteDatabase.__init__.__kwdefaults__, "busy_timeout", 0.2)  # its own is long for a test
    other = apsw.Connection(str(quick.database))
    other.execute("BEGIN IMMEDIATE")
    result = quick("user", "add", "ada@example.org")
    assert (result.code, result.out, is_one_line(result)) == (1, "", True)
    assert "is locked by another program; wait for it to finish, then try again" in result.err
    quick("user", "list").ok()
    other.execute("ROLLBACK")
    other.close()
    quick("user", "add", "ada@example.org").ok()
