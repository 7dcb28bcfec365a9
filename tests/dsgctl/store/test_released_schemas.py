"""A database of every released schema is brought to the latest one, with its rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl import settings
from dsgctl.core import user_queries, users
from dsgctl.core.clock import now
from dsgctl.operations.doctor.check import Case, Status
from dsgctl.operations.doctor.database import check_database
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST, list_migrations, migrate, open_current, schema_number, schema_problems
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.commands.running import Quick
from tests.dsgctl.store.builders import MOMENT, refused, with_apsw
from tests.dsgctl.store.schema_dumps import DIRECTORY, build_dump

NUMBERS = [step.number for step in list_migrations()]


@pytest.fixture(params=NUMBERS)
def number(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def old_path(tmp_path: Path, number: int) -> Path:
    """The file of a database with an old schema."""
    path = tmp_path / "old" / "dsg.sqlite3"
    path.parent.mkdir()
    with_apsw(path, (DIRECTORY / f"{number:04}.sql").read_text(encoding="utf-8"))
    return path


@pytest.fixture
def upgraded_database(old_path: Path) -> Iterator[Database]:
    """The same database, migrated and open."""
    migrate(old_path, now=MOMENT)
    database = open_current(old_path)
    yield database
    database.close()


def _read_tables(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows, without those of SQLite and of the search index."""
    names = with_apsw(
        path,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*' "
        "AND name NOT GLOB 'principals_search*'",
    )
    connection = apsw.Connection(str(path))
    try:
        tables = {}
        for (name,) in names:
            cursor = connection.execute(f'SELECT * FROM "{name}"')
            columns = [column for column, *_ in connection.execute(f"SELECT name FROM pragma_table_info('{name}')")]
            tables[name] = [dict(zip(columns, row, strict=True)) for row in cursor]
        return tables
    finally:
        connection.close()


def test_every_schema_has_its_dump() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == {f"{number:04}.sql" for number in NUMBERS}, "make schemas"


def test_a_released_migration_is_not_edited(number: int) -> None:
    """Its statements make the schema of its dump, text for text. For a new migration: make schemas."""
    assert build_dump(number) == (DIRECTORY / f"{number:04}.sql").read_text(encoding="utf-8")


def test_a_dump_has_rows_in_every_table(old_path: Path) -> None:
    empty = {name for name, rows in _read_tables(old_path).items() if not rows}
    assert empty == set()


def test_an_old_database_is_whole_and_named_as_old(old_path: Path, number: int) -> None:
    database = SqliteDatabase(old_path)
    assert schema_number(database) == number
    assert schema_problems(database) == database.integrity_problems() == database.dangling_rows() == []
    database.close()
    if number < LATEST:
        with refused(f"has schema {number}; this program needs schema {LATEST}", "dsgctl db migrate"):
            open_current(old_path)


def test_the_missing_migrations_run(old_path: Path, number: int) -> None:
    assert migrate(old_path, now=MOMENT) == list_migrations()[number:]
    assert migrate(old_path, now=MOMENT) == []


def test_every_row_is_kept(old_path: Path) -> None:
    before = _read_tables(old_path)
    migrate(old_path, now=MOMENT)
    after = _read_tables(old_path)
    for table in before.keys() - {"revision"}:  # migration 2 replaces it by the table changes
        columns = before[table][0].keys()
        rows = [{column: row[column] for column in columns} for row in after[table]]
        if table in ("migrations", "changes"):
            rows = rows[: len(before[table])]
        assert rows == before[table], table


def test_the_upgraded_schema_is_that_of_a_new_database(upgraded_database: Database) -> None:
    assert schema_number(upgraded_database) == LATEST
    assert (
        schema_problems(upgraded_database)
        == upgraded_database.integrity_problems()
        == upgraded_database.dangling_rows()
        == []
    )


def test_the_upgraded_database_is_found_by_search_and_by_email(upgraded_database: Database) -> None:
    assert [row["email"] for row in user_queries.list_users(upgraded_database, search="EXAMPLE.ORG")] == [
        "Ana@example.org",
        "bo@example.org",
    ]
    assert users.find(upgraded_database, "ana@EXAMPLE.org").id == 1


def test_new_ids_continue_after_the_upgrade(upgraded_database: Database) -> None:
    tables = dict(with_apsw(Path(upgraded_database.path), "SELECT name, seq FROM sqlite_sequence"))
    last_token = with_apsw(Path(upgraded_database.path), "SELECT max(id) FROM tokens")[0][0]
    assert (tables["principals"], tables["tokens"], tables["groups"]) == (9, last_token, 2)


def test_doctor_is_content_with_the_upgraded_database(upgraded_database: Database) -> None:
    case = Case(settings.read_settings({"DATABASE_PATH": upgraded_database.path}), Path("/etc/dsg/dsg.env"), now())
    states = {check.name: check.status for check in check_database(case)}
    assert (states["database"], states["audit log"]) == (Status.OK, Status.OK)


def test_commands_read_check_and_change_the_upgraded_database(upgraded_database: Database, home: Path) -> None:
    run = Quick(home, Path(upgraded_database.path))
    run("db", "check").ok()
    assert run("user", "list", "-o", "value").ok().out.split() == ["Ana@example.org", "bo@example.org"]
    run("user", "disable", "bo@example.org").ok()
    run("db", "check").ok()
