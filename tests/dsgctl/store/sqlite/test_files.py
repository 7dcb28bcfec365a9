"""Who may read and write the files of a database."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsgctl.core import user_queries, users
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.sqlite.files import create_file
from tests.dsgctl.store.builders import MOMENT, SOMEBODY, as_somebody, files, modes, only_root


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
    with begin_change(database, "os:test") as change:
        users.add(change, "ana@x.org")
    assert modes(new.parent) == dict.fromkeys((new.name, f"{new.name}-wal", f"{new.name}-shm"), mode)
    database.close()


def test_the_mode_of_an_existing_file_stays(new: Path) -> None:
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
def test_a_file_created_by_root_belongs_to_the_owner_of_the_directory(of_somebody: Path) -> None:
    path = of_somebody / "dsg.sqlite3"
    migrate(path, now=MOMENT)
    database = open_current(path)
    with begin_change(database, "os:root") as change:
        users.add(change, "root@x.org")
    assert {entry.name for entry in of_somebody.iterdir()} == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    assert {(entry.stat().st_uid, entry.stat().st_gid) for entry in of_somebody.iterdir()} == {(SOMEBODY, SOMEBODY)}
    # While root has it open, and after root has left.
    for email in ("one@x.org", "two@x.org"):
        listed = as_somebody(
            "database = open_current(path)\n"
            "with begin_change(database, 'os:somebody') as change:\n"
            f"    users.add(change, {email!r})\n"
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
        "    with begin_change(open_current(path), 'os:somebody') as change:\n"
        "        users.add(change, 'ana@x.org')\n" + SAYS_WHY.format(code),
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
