"""SQLite's errors about the file, in words for an operator."""

from contextlib import AbstractContextManager
from types import TracebackType

import apsw

from dsgctl.store.errors import LockedError, StoreError

# The name of apsw's exception, one for each of SQLite's primary result codes (https://sqlite.org/rescode.html) ->
# what is wrong with the file, and what to do.
_MESSAGES = {
    "BusyError": ("is locked by another program", "wait for it to finish, then try again"),
    "LockedError": ("is locked by another program", "wait for it to finish, then try again"),
    # Somebody keeps a lock that SQLite expects for moments only: it gives up after some ten seconds.
    "ProtocolError": ("is locked by another program", "wait for it to finish, then try again"),
    "FullError": ("cannot grow: the disk is full", "free some space, then try again; nothing was changed"),
    "ReadOnlyError": ("cannot be written to", "check the owner and mode of the file and its directory"),
    "CantOpenError": ("cannot be opened", "check that the file exists and who may read its directory"),
    "PermissionsError": ("cannot be opened", "check the owner and mode of the file and its directory"),
    "IOError": ("cannot be read or written: the disk reports an error", "check the disk and its free space"),
    "CorruptError": ("is damaged", "restore a backup; see 'dsgctl db check'"),
    "NotADBError": ("is not a database", "check DATABASE_PATH"),
}
_LOCKED = (apsw.BusyError, apsw.LockedError, apsw.ProtocolError)


class ErrorTranslation(AbstractContextManager[None]):
    """Inside, SQLite's errors about the file ``path`` are raised as `StoreError`.

    A wrong query and a violated constraint pass through: they are faults of the program, not of the file.

    It has no state: one serves every statement, and enters at a fraction of the cost of a generator.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, apsw.Error):
            return
        message = _MESSAGES.get(type(error).__name__)
        if message is None:
            return
        problem, hint = message
        error_class = LockedError if isinstance(error, _LOCKED) else StoreError
        raise error_class(f"{self._path} {problem}", hint) from error
