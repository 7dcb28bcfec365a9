"""SQLite's errors about the file are in words; faults of the program pass through."""

import apsw
import pytest

from dsgctl.store import StoreError
from dsgctl.store.errors import LockedError
from dsgctl.store.sqlite.errors import ErrorTranslation

ABOUT_THE_FILE = {
    apsw.BusyError: "is locked by another program",
    apsw.LockedError: "is locked by another program",
    apsw.ProtocolError: "is locked by another program",
    apsw.FullError: "cannot grow: the disk is full",
    apsw.ReadOnlyError: "cannot be written to",
    apsw.CantOpenError: "cannot be opened",
    apsw.PermissionsError: "cannot be opened",
    apsw.IOError: "cannot be read or written: the disk reports an error",
    apsw.CorruptError: "is damaged",
    apsw.NotADBError: "is not a database",
}


@pytest.mark.parametrize("error", ABOUT_THE_FILE, ids=lambda error: error.__name__)
def test_an_error_about_the_file_names_it(error: type[apsw.Error]) -> None:
    message = f"^/data/dsg.sqlite3 {ABOUT_THE_FILE[error]}"
    with pytest.raises(StoreError, match=message) as caught, ErrorTranslation("/data/dsg.sqlite3"):
        raise error("of SQLite")
    assert isinstance(caught.value, LockedError) == ("locked" in ABOUT_THE_FILE[error])
    assert caught.value.hint


@pytest.mark.parametrize("error", [apsw.SQLError, apsw.ConstraintError, apsw.MisuseError, ValueError])
def test_a_fault_of_the_program_passes_through(error: type[Exception]) -> None:
    with pytest.raises(error), ErrorTranslation("/data/dsg.sqlite3"):
        raise error("of ours")
