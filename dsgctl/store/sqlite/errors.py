"""SQLite's errors about the file, in words for an operator."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from dsgctl.store.errors import LockedError, StoreError

# The name of apsw's exception, one for each of SQLite's primary result codes (https://sqlite.org/rescode.html) ->
# what is wrong with the file, and what to do.
_MESSAGES = {
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
    """Raise SQLite's errors about the file ``path`` as `StoreError`.

    A wrong query and a violated constraint pass through: they are faults of the program, not of the file.
    """
    try:
        yield
    except apsw.Error as error:
        message = _MESSAGES.get(type(error).__name__)
        if message is None:
            raise
        problem, hint = message
        kind = LockedError if isinstance(error, (apsw.BusyError, apsw.LockedError)) else StoreError
        raise kind(f"{path} {problem}", hint) from error
