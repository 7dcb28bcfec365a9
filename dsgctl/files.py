"""Writes files, and reads files that another person named, without following a planted symbolic link.

A program that root runs in another user's directory must not write through a symbolic link there. The functions work on
the directory that they opened, and create new names only (O_EXCL, O_NOFOLLOW).
"""

import errno
import os
import shutil
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

SETTINGS_MODE: Final = 0o640  # of settings and secrets: readable by root and the group of the service's user


def write_file(
    path: Path,
    content: bytes | BinaryIO,
    *,
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
    replace: bool = False,
    sha256: str | None = None,
    durable: bool = True,
) -> None:
    """Write a file. Until it is complete, its name has the former file, or none.

    Args:
        owner: user and group id; None for those of the process.
        replace: replace what has this name; a symbolic link is replaced, not followed.
        sha256: the hash that the written file must have when it is read back.
        durable: wait until the file is on the disk.

    Raises:
        FileExistsError: something has this name, and ``replace`` is False.
        OSError: the file cannot be written.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    import secrets  # not at the top: a command that only reads starts without it

    partial = f".{path.name}.{secrets.token_hex(8)}.part"
    try:
        if not replace and _exists(path.name, directory):  # before anything is written
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        _create(partial, directory, content, mode, owner, durable=durable)
        if sha256 is not None and _hash(partial, directory) != sha256:
            raise OSError(errno.EIO, "the written file differs from what was sent", str(path))
        if replace:
            os.rename(partial, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            _publish(partial, path.name, directory)
        if durable:
            os.fsync(directory)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(partial, dir_fd=directory)
        os.close(directory)


def create_empty(path: Path, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Create an empty file. Of several processes that try at once, one succeeds.

    Raises:
        FileExistsError: something has this name, even a symbolic link that leads nowhere.
        OSError: the file cannot be created.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _create(path.name, directory, b"", mode, owner, durable=False)
    finally:
        os.close(directory)


def open_below(directory: Path, name: str) -> BinaryIO:
    """Open a regular file below a directory for reading, by a name that another person wrote.

    Raises:
        PermissionError: the name is absolute, leads out of the directory (``..``), or goes through a symbolic link.
        OSError: it does not exist, cannot be read, or is not a regular file.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise PermissionError(errno.EPERM, f"it must be a name below {directory}", name)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for number, part in enumerate(parts, 1):
            # Without O_NONBLOCK, opening a pipe would wait for its other end.
            kind = os.O_DIRECTORY if number < len(parts) else os.O_NONBLOCK
            try:
                below = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=descriptor)
            except OSError as error:
                if _is_link(part, descriptor):
                    raise PermissionError(errno.EPERM, "symbolic links are not followed", name) from error
                raise
            os.close(descriptor)
            descriptor = below
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", name)
        return os.fdopen(os.dup(descriptor), "rb")
    finally:
        os.close(descriptor)


def describe_kind(path: Path) -> str:
    """The kind of a file in words, such as ``a directory``; empty for a regular file.

    Raises:
        OSError: it does not exist, or cannot be examined.
    """
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            if error.errno not in _NOWHERE:
                raise
            return f"a symbolic link to {path.readlink()}, {_NOWHERE[error.errno]}"
    for test, words in _KINDS:
        if test(mode):
            return words
    return ""


_NOWHERE = {
    errno.ENOENT: "which does not exist",
    errno.ENOTDIR: "which does not exist",
    errno.ELOOP: "which leads to itself",
}
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def owner_name(path: Path) -> str:
    """The name of a file's owner; the number where no user has it."""
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return _hash_open(file)


def _create(
    name: str, directory: int, content: bytes | BinaryIO, mode: int, owner: tuple[int, int] | None, *, durable: bool
) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    with os.fdopen(descriptor, "wb") as target:
        if isinstance(content, bytes):
            target.write(content)
        else:
            shutil.copyfileobj(content, target)
        target.flush()
        if owner is not None:
            os.fchown(target.fileno(), *owner)
        os.fchmod(target.fileno(), mode)
        if durable:
            os.fsync(target.fileno())


def _publish(partial: str, name: str, directory: int) -> None:
    """Give a file its name, unless it is taken: unlike renaming, creating a hard link fails then."""
    try:
        os.link(partial, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        os.rename(partial, name, src_dir_fd=directory, dst_dir_fd=directory)  # a file system without hard links


def _hash(name: str, directory: int) -> str:
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory), "rb") as file:
        return _hash_open(file)


def _hash_open(file: BufferedReader) -> str:
    import hashlib  # not at the top, as secrets above

    return hashlib.file_digest(file, "sha256").hexdigest()


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_link(name: str, directory: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return False
