"""What can go wrong with the database file, in words for an operator."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw
import peewee


class StoreError(Exception):
    """The database cannot be used as asked. Nothing was changed.

    Attributes:
        message: one line: what is wrong, with which file.
        hint: one line: what to do about it; empty if there is nothing to say.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class LockedError(StoreError):
    """Another program holds the database. Trying again later helps."""


# Keyed by the name of apsw's exception, one for each of SQLite's primary result codes
# (https://sqlite.org/rescode.html).
_MEANING = {
    "BusyError": ("is locked by another program", "wait for it to finish, then try again"),
    "LockedError": ("is locked by another program", "wait for it to finish, then try again"),
    "FullError": ("cannot grow: the disk is full", "free some space, then try again; nothing was changed"),
    "ReadOnlyError": ("cannot be written to", "check the owner and mode of the file and its directory"),
    "CantOpenError": ("cannot be opened", "check that the file exists and who may read its directory"),
    "PermissionsError": ("cannot be opened", "check the owner and mode of the file and its directory"),
    "IOError": ("cannot be read or written: the disk reports an error", "check the disk and its free space"),
    "CorruptError": ("is damaged", "restore a backup; see 'dsgctl db check'"),
    "NotADBError": ("is not a database", "check DATABASE_PATH"),
}


@contextmanager
def translate_errors(path: str) -> Iterator[None]:
    """Turn the engine's complaints about the file ``path`` into `StoreError`.

    Mistakes of ours (a wrong query, a broken constraint) pass through: they are
    faults of the program, not of the file.
    """
    try:
        yield
    except (peewee.PeeweeException, apsw.Error) as error:
        cause: BaseException = error
        while isinstance(cause, peewee.PeeweeException) and hasattr(cause, "orig"):
            cause = cause.orig  # peewee wraps what apsw says, while it connects even twice
        meaning = _MEANING.get(type(cause).__name__)
        if meaning is None:
            raise
        what, hint = meaning
        kind = LockedError if isinstance(cause, (apsw.BusyError, apsw.LockedError)) else StoreError
        raise kind(f"{path} {what}", hint) from error
