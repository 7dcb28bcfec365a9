"""When the database, the settings or the disk are not as they should be: one line, an exit code, nothing lost."""

import os
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import apsw
import pytest

from dsgctl.store.migrations import LATEST
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.commands.running import Process, Quick, dump, execute
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World
from tests.patience import PATIENCE

# peewee wraps the engine's error twice when it has to connect first; store/errors.py looks for it one wrap deep.


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


# A full disk


def test_a_full_disk_loses_nothing(filled: World) -> None:
    """On a small file system of our own, where the kernel lets us make one."""
    mount = ["unshare", "--map-root-user", "--mount"] if os.geteuid() else ["unshare", "--mount"]
    small = filled.directory / "small"
    small.mkdir()
    try_it = f"mount -t tmpfs -o size=2m none {small}"
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    if subprocess.run([*mount, "sh", "-c", try_it], capture_output=True, check=False).returncode:
        pytest.skip("no file systems can be mounted here")
    filled.run.shell("true")  # puts dsgctl on a path
    script = f"""
        {try_it} && cd {small} && cp {filled.database} dsg.sqlite3 || exit 99
        export DATABASE_PATH={small}/dsg.sqlite3
        dsgctl user list -o value > before
        head -c 60000 /dev/zero > spare
        cat /dev/zero > filler 2> /dev/null
        dsgctl group add lab-9; echo "no room to begin: $?"
        rm spare
        dsgctl user set ada@example.org --note {"n" * 99_000}; echo "no room to end: $?"
        rm filler
        dsgctl user list -o value | cmp - before && echo "the same as before"
        dsgctl db check
        dsgctl group add lab-9; echo "again: $?"
    """
    process = subprocess.run(
        [*mount, "bash", "-c", script],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        cwd=filled.directory,
        env=filled.run.environment(PATH=f"{filled.directory}/bin:{os.environ['PATH']}"),
    )
    out, err = process.stdout.decode(), process.stderr.decode()
    assert "no room to begin: 1" in out, (out, err)
    assert "no room to end: 1" in out, (out, err)
    first, second = err.splitlines()
    assert first.startswith("dsgctl: ")
    assert "space" in first
    assert "cannot grow: the disk is full; free some space, then try again; nothing was changed" in second
    assert "the same as before" in out
    assert "is sound" in out
    assert "added group lab-9" in out
    assert "again: 0" in out


def test_a_file_that_may_not_grow_loses_nothing(filled: World) -> None:
    before = dump(filled.database)
    blocks = filled.database.stat().st_size // 1024
    note = "n" * 99_000
    write = f"dsgctl user set ada@example.org --note ${{i}}{note} > /dev/null"
    result = filled.run.shell(f"ulimit -f {blocks}; for i in 1 2 3 4 5 6 7 8 9; do {write} || exit; done")
    assert result.code == 1
    assert is_one_line(result), result
    assert str(filled.database) in result.err
    filled.quick("db", "check").ok()
    assert dump(filled.database)["grants"] == before["grants"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "line",
    [
        "user list",
        "user list -o json",
        "user list -o csv",
        "user show ada@example.org",
        "export",
        "--help",
        "completion bash",
        "--version",
    ],
)
def test_an_answer_that_cannot_be_written_is_an_error(filled: World, line: str) -> None:
    result = filled.run.shell(f"dsgctl {line} > /dev/full")
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1, result
    assert "No space left on device" in result.err


# Settings


@pytest.mark.parametrize(
    ("env", "parts"),
    [
        ({"DSG_ORIGN": "x"}, ["DSG_ORIGN is not a setting (did you mean DSG_ORIGIN?)"]),
        ({"DSG_PORT": "http"}, ["DSG_PORT: 'http' is not allowed; allowed: a port from 1 to 65535"]),
        (
            {"DSG_ORIGIN": "https://EXAMPLE.org/"},
            ["DSG_ORIGIN: 'https://EXAMPLE.org/' is not allowed", "in lower case"],
        ),
        ({"LOG_LEVEL": "loud"}, ["LOG_LEVEL: 'loud' is not allowed; allowed: DEBUG, INFO, WARNING, ERROR"]),
        ({"DSG_SECRET_KEY": "short-secret"}, ["DSG_SECRET_KEY: its value is not allowed", "32 characters"]),
        ({"NGAUTH_ALLOWED_ORIGINS": "("}, ["NGAUTH_ALLOWED_ORIGINS", "a regular expression"]),
        ({"DSG_PORT": "0", "DSG_ORIGN": "x"}, ["DSG_ORIGN is not a setting", "DSG_PORT: '0'"]),
        ({"DSG_ENV_FILE": "/no/such.env"}, ["the settings file /no/such.env does not exist"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], parts: list[str]
) -> None:
    for name, text in env.items():
        monkeypatch.setenv(name, text)
    result = quick("user", "list")
    assert (result.code, result.out, is_one_line(result)) == (2, "", True)
    assert all(part in result.err for part in parts), result
    assert "short-secret" not in result.err


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("DSG_PROT=8200\n", "DSG_PROT is not a setting (did you mean DSG_PORT?)"),
        ("DATABASE_PTAH=/x\n", "DATABASE_PTAH is not a setting (did you mean DATABASE_PATH?)"),
        ("DSG_PORT 8200\n", "line 1: not NAME=value"),
        ("# fine\n\nexport DSG_PORT=8200\n", "line 3: not NAME=value"),
        ("DSG_PORT=\x1b[31m\n", "DSG_PORT: '\\x1b[31m' is not allowed"),
    ],
)
def test_a_wrong_line_in_the_settings_file_is_named(quick: Quick, home: Path, text: str, part: str) -> None:
    (home / "dsg.env").write_text(text)
    result = quick("--env-file", "dsg.env", "user", "list")
    assert (result.code, result.out, is_one_line(result)) == (2, "", True)
    assert part in result.err
    assert "dsg.env" in result.err


def test_a_settings_file_that_is_not_text_or_unreadable_is_an_error(quick: Quick, home: Path) -> None:
    (home / "dsg.env").write_bytes(b"\xff\xfe")
    assert "cannot read the settings file dsg.env: it is not UTF-8 text" in quick("--env-file", "dsg.env", "status").err
    assert "cannot read the settings file .: Is a directory" in quick("--env-file", ".", "status").err


def test_the_settings_file_names_the_database_and_the_environment_wins(dsgctl: Process, home: Path) -> None:
    dsgctl("group", "add", "lab-1").ok()
    (home / "dsg.env").write_text(f'# ours\nDATABASE_PATH="{dsgctl.database}"\nDSG_ORIGIN=https://dsg.example.org\n')
    status = dsgctl.shell("env -u DATABASE_PATH dsgctl --env-file dsg.env status").ok().out
    assert str(dsgctl.database) in status
    assert "https://dsg.example.org" in status
    assert dsgctl("--env-file", "dsg.env", "status", env={"DATABASE_PATH": "/no/such"}).code == 1


def test_help_and_completion_need_no_settings_and_no_database(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    quick.database.unlink()
    monkeypatch.setenv("DSG_NONSENSE", "1")
    for words in (["--help"], ["--version"], ["user", "--help"], ["user", "add", "--help"], ["completion", "bash"]):
        quick(*words).ok()
