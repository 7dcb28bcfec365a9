"""The file of a SQLite database: who may read it, how it is created, copied, and locked for one process."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsgctl.files import create_empty, describe_kind, write_file
from dsgctl.store.database import Database
from dsgctl.store.errors import StoreError


def file_identity(path: str | Path) -> tuple[int, int]:
    """What distinguishes a file from others, whatever its name: device and inode."""
    status = os.stat(path)  # noqa: PTH116  a third of the time of Path.stat; this is done at every request
    return status.st_dev, status.st_ino


def create_file(path: str | Path) -> None:
    """Create an empty database file that the service can use, whoever runs this. An existing file is left unchanged.

    The mode is 0600, and 0660 in a directory that a group shares (setgid and group-writable). A file that root
    creates is given to the directory's owner and group. SQLite then creates ``-wal`` and ``-shm`` with the same mode,
    owner and group (findCreateFileMode and robustFchown in its os_unix.c).

    Raises:
        StoreError: the directory does not exist or cannot be written to.
    """
    path = Path(path)
    try:
        mode, owner = mode_and_owner(path.parent)
        create_empty(path, mode=mode, owner=owner)
    except FileExistsError:
        try:
            refuse_other_kinds(path)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be opened: {error.strerror}", "check who may read its directory"
            ) from error
    except FileNotFoundError as error:
        raise StoreError(
            f"the directory {path.parent} does not exist",
            f"make it: install -d -o dsg -g dsg -m 2770 {path.parent}",
        ) from error
    except OSError as error:
        raise StoreError(f"cannot create {path}: {error.strerror}", "check who may write there") from error


def mode_and_owner(directory: Path) -> tuple[int, tuple[int, int] | None]:
    """The mode of a database file in a directory, and its user and group id; None for those of the process.

    Raises:
        OSError: there is no such directory.
    """
    status = directory.stat()
    shared = stat.S_ISGID | stat.S_IWGRP
    mode = 0o660 if status.st_mode & shared == shared else 0o600
    return mode, (status.st_uid, status.st_gid) if os.geteuid() == 0 else None


def write_private_copy(database: Database, target: Path) -> None:
    """Copy a database into a new file in its own directory, with the mode and owner of a database there.

    The copy is made in a directory that no other user can enter: SQLite, which creates it, follows symbolic links.

    Raises:
        StoreError: the copy cannot be written.
    """
    import tempfile  # not at the top: few commands copy a database

    try:
        with tempfile.TemporaryDirectory(prefix=".copy-", dir=target.parent) as name:
            copy = Path(name) / "copy"
            database.copy_to(copy)
            mode, owner = mode_and_owner(target.parent)
            with copy.open("rb") as source:
                write_file(target, source, mode=mode, owner=owner)
    except OSError as error:
        raise StoreError(
            f"cannot create {target}: {error.strerror}", "check who may write there, and the free space"
        ) from error


def refuse_other_kinds(path: Path) -> None:
    """Refuse what is not a regular file.

    Raises:
        StoreError: it is a directory, a device, a link that leads nowhere, …
        OSError: nothing has this name, or it cannot be examined.
    """
    if kind := describe_kind(path):
        problem = f"there is no database at {path}" if path.is_symlink() else f"{path} cannot be opened"
        raise StoreError(f"{problem}: it is {kind}", "set DATABASE_PATH to the file of the database, or move that away")


# The bytes that every connection to a file in WAL mode locks, shared, for as long as it is open:
# SHARED_FIRST and SHARED_SIZE in SQLite's os.h.
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510


@contextmanager
def exclusive_access(path: str | Path) -> Iterator[None]:
    """Keep every other process off a database file, so that it can be replaced.

    This process must have no connection to it.

    Raises:
        StoreError: another process has it open.
    """
    if not Path(path).exists():
        yield
        return
    with Path(path).open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except OSError as error:
            raise StoreError(
                f"{path} is in use", "stop the servers and other commands first: systemctl stop 'dsgserve*'"
            ) from error
        yield
