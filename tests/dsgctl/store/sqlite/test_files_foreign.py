"""Files that are no database of this program, or of another schema, are refused and left alone."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dsgctl.store import StoreError
from dsgctl.store.migrations import LATEST, migrate, open_current
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.store.builders import MOMENT, files, refused, with_apsw


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
    descriptors = set(Path("/proc/self/fd").iterdir())
    errors = []
    for opens in (open_current, SqliteDatabase, lambda path: migrate(path, now=MOMENT)):
        try:
            opens(new)  # type: ignore[operator]
        except StoreError as error:
            errors.append(error)  # as somebody does who reports it later
    assert errors
    assert set(Path("/proc/self/fd").iterdir()) == descriptors


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
def test_a_file_that_is_not_a_database_is_refused(new: Path, make: Callable[[Path], None], part: str) -> None:
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


@pytest.mark.parametrize("kind", NO_FILE)
@pytest.mark.parametrize("opens", [open_current, SqliteDatabase, lambda path: migrate(path, now=MOMENT)])
def test_the_error_says_what_kind_of_file_has_the_name(new: Path, kind: str, opens: Callable[[Path], object]) -> None:
    make, words = NO_FILE[kind]
    make(new)
    before = sorted(new.parent.iterdir())
    with refused(str(new), words.format(place=new.parent), "set DATABASE_PATH to the file of the database"):
        opens(new)
    assert sorted(new.parent.iterdir()) == before


def test_a_circular_link_is_an_error_in_one_line(new: Path) -> None:
    new.symlink_to(new)
    for opens in (open_current, lambda path: migrate(path, now=MOMENT)):
        with refused(f"{new}: it is a symbolic link to {new}, which leads to itself"):
            opens(new)


def test_a_link_to_a_database_is_opened(new: Path, path: Path) -> None:
    new.symlink_to(path)
    assert migrate(new, now=MOMENT) == []
    open_current(new).close()


@pytest.mark.parametrize("make", [_text, _directory, _overwritten, _dangling])
def test_migrate_leaves_a_file_that_is_not_a_database_alone(new: Path, make: Callable[[Path], None]) -> None:
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
