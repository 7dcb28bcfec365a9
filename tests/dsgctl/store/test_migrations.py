"""From an empty file to the schema that the models describe, and away from every other file."""

import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from dsgctl.core import user_queries, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database, StoreError
from dsgctl.store import models as m
from dsgctl.store.migrations import LATEST, Migration, list_migrations, migrate, open_current, schema_number
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgctl.store.sqlite.files import create_file
from tests.dsgctl.store.builders import MOMENT, SOMEBODY, as_somebody, files, modes, only_root, refused, with_apsw


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Where there is no file yet, in a directory of its own."""
    (tmp_path / "new").mkdir()
    return tmp_path / "new" / "dsg.sqlite3"


# The schema


@pytest.mark.parametrize("model", m.TABLES, ids=lambda model: model.__name__)
def test_a_model_has_the_columns_of_its_table(database: Database, model: type[m.Model]) -> None:
    columns = database._db.get_columns(model._meta.table_name)
    kinds = {"INT": "INTEGER", "AUTO": "INTEGER", "BOOL": "INTEGER", "TEXT": "TEXT", "BLOB": "BLOB"}
    fields = {}
    for field in model._meta.sorted_fields:
        column = field.rel_field if isinstance(field, m.ForeignKeyField) else field
        fields[field.column_name] = kinds[column.field_type]
    assert fields == {column.name: column.data_type for column in columns}


def test_every_table_has_a_model(database: Database) -> None:
    tables = {name for name in database._db.get_tables() if not name.startswith(("sqlite_", "principals_search"))}
    assert tables - {"migrations", "changes"} == {model._meta.table_name for model in m.TABLES}


def test_every_table_of_facts_checks_the_types_of_its_values(path: Path) -> None:
    strict = dict(with_apsw(path, "SELECT name, strict FROM pragma_table_list WHERE type = 'table'"))
    assert all(strict[model._meta.table_name] for model in m.TABLES)
    for statement in (
        "INSERT INTO groups (name, created) VALUES (x'00', '2026-11-20T12:00:00.000000Z')",
        "INSERT INTO groups (name, created) VALUES ('lab', '2026-11-20')",
        "INSERT INTO datasets (name, access, created) VALUES ('fish2', 'open', '2026-11-20T12:00:00.000000Z')",
        "INSERT INTO public_roots VALUES ('one', 'two')",
    ):
        with pytest.raises(apsw.ConstraintError):
            with_apsw(path, statement)


def test_migrations_are_numbered_without_a_gap_up_to_the_latest() -> None:
    assert [migration.number for migration in list_migrations()] == list(range(1, LATEST + 1))
    assert all(migration.name and migration.sql for migration in list_migrations())


def test_a_new_database_has_every_migration_and_says_when(new: Path) -> None:
    assert migrate(new, now=MOMENT) == list_migrations()
    database = open_current(new)
    assert schema_number(database) == LATEST
    database.close()
    assert with_apsw(new, "SELECT number, name, applied FROM migrations") == [
        (migration.number, migration.name, MOMENT) for migration in list_migrations()
    ]
    assert with_apsw(new, "PRAGMA application_id") == [(0x44534731,)]


def test_there_is_nothing_to_do_a_second_time(new: Path) -> None:
    migrate(new, now=MOMENT)
    before = files(new.parent)
    assert migrate(new, now="2027-01-01T00:00:00.000000Z") == []
    assert files(new.parent) == before


def test_an_empty_file_becomes_a_database(new: Path) -> None:
    new.touch()
    with refused(f"has schema 0; this program needs schema {LATEST}", "dsgctl db migrate"):
        open_current(new)
    assert migrate(new, now=MOMENT) == list_migrations()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        *list_migrations(),
        Migration(LATEST + 1, "good", "CREATE TABLE good (a);"),
        Migration(LATEST + 2, "bad", "CREATE TABLE bad (a); INSERT INTO absent VALUES (1);"),
    ]
    monkeypatch.setattr("dsgctl.store.migrations.list_migrations", lambda: steps)
    with pytest.raises(Exception, match="no such table: absent"):
        migrate(path, now=MOMENT)
    monkeypatch.undo()
    assert with_apsw(path, "SELECT max(number) FROM migrations") == [(LATEST,)]
    assert with_apsw(path, "SELECT name FROM sqlite_schema WHERE name IN ('good', 'bad')") == []
    open_current(path).close()


def test_a_database_of_the_first_release_is_brought_up_with_its_facts(new: Path) -> None:
    create_file(new)
    first = list_migrations()[0]
    with_apsw(
        new,
        first.sql,
        f"INSERT INTO migrations VALUES (1, '{first.name}', '{MOMENT}')",
        f"INSERT INTO groups (name, created) VALUES ('lab', '{MOMENT}')",
        "INSERT INTO buckets (name) VALUES ('lab-data')",
    )
    old_revision = with_apsw(new, "SELECT number FROM revision")[0][0]
    assert migrate(new, now=MOMENT) == list_migrations()[1:]
    assert with_apsw(new, "SELECT name FROM groups") == [("lab",)]
    assert with_apsw(new, "SELECT name, iam FROM buckets") == [("lab-data", 0)]
    database = open_current(new)
    assert database.revision() > old_revision
    assert database.changes_since(old_revision) == [(old_revision + 1, None, None)]
    assert database.changes_since(old_revision + 1) == []
    assert database.changes_since(old_revision - 1) is None  # what was before is not told
    database.close()
    assert with_apsw(new, "SELECT name FROM sqlite_schema WHERE name LIKE '%revision%'") == []


@pytest.mark.parametrize("attempt", range(20))  # each is another order of events
def test_several_who_migrate_at_once_make_one_database(new: Path, attempt: int) -> None:
    barrier = threading.Barrier(4)

    def migrate_together(_: int) -> int:
        barrier.wait()
        return len(migrate(new, now=MOMENT))

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(migrate_together, range(4))) == [0, 0, 0, len(list_migrations())]
    open_current(new).close()


def test_migrate_waits_for_a_program_that_writes_to_a_file_without_wal(
    new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_file(new)
    other = apsw.Connection(str(new))
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses another one's journal_mode = wal at once, without waiting

    def end_the_other_transaction(_: float) -> None:
        if other.in_transaction:
            other.execute("ROLLBACK")

    monkeypatch.setattr("dsgctl.store.sqlite.database.time.sleep", end_the_other_transaction)
    assert migrate(new, now=MOMENT) == list_migrations()
    other.close()


# Files that are not for this program


@pytest.mark.parametrize("number", [LATEST + 1, 999])
@pytest.mark.parametrize("opens", [open_current, lambda path: migrate(path, now=MOMENT)], ids=["open", "migrate"])
def test_a_newer_schema_is_refused_and_left_alone(path: Path, opens: Callable[[Path], object], number: int) -> None:
    with_apsw(path, f"INSERT INTO migrations VALUES ({number}, 'later', '{MOMENT}')", "CREATE TABLE later (a)")
    before = files(path.parent)
    with refused(f"{path} has schema {number}; this program knows schema {LATEST}", "newer release"):
        opens(path)
    assert files(path.parent) == before


def test_an_older_schema_is_refused_with_the_command_to_type(path: Path) -> None:
    with_apsw(path, "DELETE FROM migrations")
    with refused(f"{path} has schema 0; this program needs schema {LATEST}", "run 'dsgctl db migrate'"):
        open_current(path)


FOREIGN = {
    "of no known program": ["CREATE TABLE notes (text)"],
    "of a known program": ["PRAGMA application_id = 1196444487", "CREATE TABLE notes (text)"],
    "of a known program, empty": ["PRAGMA application_id = 1196444487", "PRAGMA user_version = 1"],
    "with migrations of its own": ["CREATE TABLE migrations (id TEXT)", "CREATE TABLE notes (text)"],
    "with migrations of its own, numbered": [
        "CREATE TABLE migrations (number INTEGER)",
        "INSERT INTO migrations VALUES (1)",
        "CREATE TABLE notes (text)",
    ],
    "with a view alone": ["CREATE VIEW notes AS SELECT 1"],
}


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("opens", [open_current, lambda path: migrate(path, now=MOMENT)], ids=["open", "migrate"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_database_of_another_program_is_refused_and_left_alone(
    new: Path, kind: str, opens: Callable[[Path], object], mode: str
) -> None:
    with_apsw(new, f"PRAGMA journal_mode = {mode}", *FOREIGN[kind])
    before = files(new.parent)
    with refused(f"{new} is a database of another program", "DATABASE_PATH"):
        opens(new)
    assert files(new.parent) == before
    assert with_apsw(new, "PRAGMA journal_mode") == [(mode,)]


def test_a_refused_file_is_not_kept_open(new: Path) -> None:
    with_apsw(new, "CREATE TABLE notes (text)")
    held = set(Path("/proc/self/fd").iterdir())
    kept = []
    for opens in (open_current, SqliteDatabase, lambda path: migrate(path, now=MOMENT)):
        try:
            opens(new)  # type: ignore[operator]
        except StoreError as error:
            kept.append(error)  # as somebody does who reports it later
    assert kept
    assert set(Path("/proc/self/fd").iterdir()) == held


def _text(path: Path) -> None:
    path.write_text("This is no database, but long enough to be one.\n" * 100)


def _directory(path: Path) -> None:
    path.mkdir()


def _cut_off(path: Path) -> None:
    migrate(path, now=MOMENT)
    path.write_bytes(path.read_bytes()[:5000])


def _overwritten(path: Path) -> None:
    migrate(path, now=MOMENT)
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * 4000 + content[4100:])


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "dsg.sqlite3")


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (_text, "is not a database"),
        (_directory, "cannot be opened"),
        (_cut_off, "is damaged"),
        (_overwritten, "is damaged"),
        (lambda path: None, "there is no database at"),
        (_dangling, "there is no database at"),
    ],
    ids=["text", "directory", "cut off", "overwritten", "missing", "dangling link"],
)
def test_what_is_no_database_is_refused(new: Path, make: Callable[[Path], None], part: str) -> None:
    make(new)
    before = files(new.parent)
    with refused(f"{new}", part):
        open_current(new)
    if make is not _cut_off:  # the engine may look for a journal of it, and no more
        assert files(new.parent) == before


def _socket(path: Path) -> None:
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # the path of a socket may have 107 bytes
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


def _chain(path: Path) -> None:
    path.symlink_to("middle")
    (path.parent / "middle").symlink_to("nowhere")


# What DATABASE_PATH may name by mistake, and what is said of it
NO_FILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a dangling link": (_dangling, "it is a symbolic link to {place}/nowhere/dsg.sqlite3, which does not exist"),
    "a link to a dangling link": (_chain, "it is a symbolic link to middle, which does not exist"),
    "a directory": (_directory, "it is a directory"),
    "a link to a directory": (lambda path: path.symlink_to("/"), "it is a directory"),
    "a pipe": (os.mkfifo, "it is a named pipe"),
    "a socket": (_socket, "it is a socket"),
    "a device": (lambda path: path.symlink_to("/dev/null"), "it is a device"),
    "an endless device": (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
}


@pytest.mark.parametrize("what", NO_FILE)
@pytest.mark.parametrize("opens", [open_current, SqliteDatabase, lambda path: migrate(path, now=MOMENT)])
def test_it_is_said_what_has_the_name(new: Path, what: str, opens: Callable[[Path], object]) -> None:
    make, words = NO_FILE[what]
    make(new)
    before = sorted(new.parent.iterdir())
    with refused(str(new), words.format(place=new.parent), "set DATABASE_PATH to the file of the database"):
        opens(new)
    assert sorted(new.parent.iterdir()) == before


def test_a_link_that_leads_round_is_an_error_in_one_line(new: Path) -> None:
    new.symlink_to(new)
    for opens in (open_current, lambda path: migrate(path, now=MOMENT)):
        with refused(f"{new}: it is a symbolic link to {new}, which leads to itself"):
            opens(new)


def test_a_link_to_a_database_is_one(new: Path, path: Path) -> None:
    new.symlink_to(path)
    assert migrate(new, now=MOMENT) == []
    open_current(new).close()


@pytest.mark.parametrize("make", [_text, _directory, _overwritten, _dangling])
def test_what_is_no_database_does_not_become_one(new: Path, make: Callable[[Path], None]) -> None:
    make(new)
    before = files(new.parent)
    with refused(f"{new}"):
        migrate(new, now=MOMENT)
    assert files(new.parent) == before


def test_a_database_is_not_made_where_there_is_no_directory(tmp_path: Path) -> None:
    with refused("does not exist", "install -d"):
        migrate(tmp_path / "no" / "dsg.sqlite3", now=MOMENT)
    (tmp_path / "file").touch()
    with refused("cannot create"):
        migrate(tmp_path / "file" / "dsg.sqlite3", now=MOMENT)
    assert list(files(tmp_path)) == ["file"]


# Whose the files are


@pytest.fixture
def mask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777], ids=oct)
@pytest.mark.parametrize(
    ("directory", "mode"), [(0o755, "0o600"), (0o770, "0o600"), (0o2750, "0o600"), (0o2770, "0o660")], ids=str
)
def test_files_are_readable_by_nobody_else_or_by_the_group_that_shares_the_directory(
    new: Path, mask: Callable[[int], int], umask: int, directory: int, mode: str
) -> None:
    new.parent.chmod(directory)
    mask(umask)
    migrate(new, now=MOMENT)
    database = open_current(new)
    with begin_change(database, "os:test") as opened:
        users.add(opened, "ana@x.org")
    assert modes(new.parent) == dict.fromkeys((new.name, f"{new.name}-wal", f"{new.name}-shm"), mode)
    database.close()


def test_the_mode_of_a_file_that_is_there_stays(new: Path) -> None:
    new.touch(0o640)
    migrate(new, now=MOMENT)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640


@pytest.fixture
def of_somebody() -> Iterator[Path]:
    """A directory of `SOMEBODY`, which they can reach: pytest's own directories are root's alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, SOMEBODY, SOMEBODY)
        yield Path(name)


@only_root
def test_what_root_makes_belongs_to_the_owner_of_the_directory_and_works_for_them(of_somebody: Path) -> None:
    path = of_somebody / "dsg.sqlite3"
    migrate(path, now=MOMENT)
    database = open_current(path)
    with begin_change(database, "os:root") as opened:
        users.add(opened, "root@x.org")
    assert {entry.name for entry in of_somebody.iterdir()} == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    assert {(entry.stat().st_uid, entry.stat().st_gid) for entry in of_somebody.iterdir()} == {(SOMEBODY, SOMEBODY)}
    # While root has it open, and after root has left.
    for email in ("one@x.org", "two@x.org"):
        listed = as_somebody(
            "database = open_current(path)\n"
            "with change(database, 'os:somebody') as opened:\n"
            f"    users.add(opened, {email!r})\n"
            "print(*(row['email'] for row in user_queries.list_users(database)))\n"
            "database.close()\n",
            path,
        )
        assert listed.split()[-1] == email
        database.close()
    database = open_current(path)
    assert [row["email"] for row in user_queries.list_users(database)] == ["root@x.org", "one@x.org", "two@x.org"]
    database.close()


SAYS_WHY = "try:\n    {}\nexcept StoreError as error:\n    print(error.message, error.hint, sep='; ')\n"


@only_root
@pytest.mark.parametrize(
    ("mode", "code", "part"),
    [
        (0o600, "open_current(path)", "cannot be opened"),
        (0o644, "open_current(path).enable_wal(); migrate(path, now='')", ""),
        (0o644, "change_it()", "cannot be written to"),
    ],
    ids=["no read", "read", "no write"],
)
def test_a_file_of_another_user_is_refused_as_far_as_they_may_not(
    of_somebody: Path, mode: int, code: str, part: str
) -> None:
    path = of_somebody / "dsg.sqlite3"
    migrate(path, now=MOMENT)
    os.chown(path, 0, 0)
    path.chmod(mode)
    printed = as_somebody(
        "def change_it():\n"
        "    with change(open_current(path), 'os:somebody') as opened:\n"
        "        users.add(opened, 'ana@x.org')\n" + SAYS_WHY.format(code),
        path,
    )
    assert part in printed
    assert printed.count("\n") == (1 if part else 0)


@only_root
@pytest.mark.parametrize("mode", [0o700, 0o000])
@pytest.mark.parametrize("call", ["open_current(path)", "migrate(path, now='')"])
def test_a_directory_that_cannot_be_entered_is_an_error_in_one_line(of_somebody: Path, call: str, mode: int) -> None:
    inner = of_somebody / "inner"
    inner.mkdir()
    migrate(inner / "dsg.sqlite3", now=MOMENT)
    os.chown(inner, 0, 0)
    inner.chmod(mode)
    printed = as_somebody(SAYS_WHY.format(call), inner / "dsg.sqlite3")
    assert printed.startswith(("cannot ", str(inner)))
    assert printed.count("\n") == 1


@only_root
def test_a_directory_that_cannot_be_written_to_is_an_error_in_one_line(of_somebody: Path) -> None:
    os.chown(of_somebody, 0, 0)
    of_somebody.chmod(0o755)
    printed = as_somebody(SAYS_WHY.format("migrate(path, now='')"), of_somebody / "dsg.sqlite3")
    assert "cannot create" in printed
    assert "who may write there" in printed


def test_making_a_file_that_is_there_changes_nothing(path: Path) -> None:
    before = files(path.parent)
    create_file(path)
    assert files(path.parent) == before
