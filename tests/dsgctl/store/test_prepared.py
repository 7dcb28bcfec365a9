"""A prepared select belongs to no database: every handle compiles it once, and runs it with its own values."""

from pathlib import Path

from dsgctl.core import users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgctl.store.models import Principal
from dsgctl.store.prepared import Prepared, parameter

BY_EMAIL = Prepared(Principal.select(Principal.id, Principal.active).where(Principal.email == parameter("email")))


def add(database: Database, email: str) -> None:
    with begin_change(database, "os:test") as change:
        users.add(change, email)


def test_each_database_answers_from_its_own_rows(database: Database, tmp_path: Path, empty_database: Path) -> None:
    path = tmp_path / "other.sqlite3"
    path.write_bytes(empty_database.read_bytes())
    other = open_current(path)
    add(database, "ana@x.org")
    add(other, "bo@x.org")
    add(other, "ana@x.org")
    assert BY_EMAIL(database, email="ana@x.org") == [(1, True)]
    assert BY_EMAIL(other, email="ana@x.org") == [(2, True)]
    assert BY_EMAIL(database, email="bo@x.org") == []
    database.close()
    assert BY_EMAIL(other, email="bo@x.org") == [(1, True)]
    other.close()


def test_a_handle_compiles_a_statement_once(database: Database, path: Path) -> None:
    first = database.compile_once(BY_EMAIL, BY_EMAIL._query)
    assert database.compile_once(BY_EMAIL, BY_EMAIL._query) is first
    other = open_current(path)
    assert other.compile_once(BY_EMAIL, BY_EMAIL._query) is not first
    other.close()


def test_rows_come_one_at_a_time(database: Database) -> None:
    add(database, "ana@x.org")
    rows = BY_EMAIL.stream(database, email="ana@x.org")
    assert next(rows) == (1, True)
    assert list(rows) == []
