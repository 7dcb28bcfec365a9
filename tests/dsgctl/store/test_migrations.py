"""From an empty file to the schema that the models describe."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import LATEST, Migration, list_migrations, migrate, open_current, schema_number
from dsgctl.store.sqlite.files import create_file
from tests.dsgctl.store.builders import MOMENT, files, refused, with_apsw


@pytest.mark.parametrize("model", m.TABLES, ids=lambda model: model.__name__)
def test_a_model_has_the_columns_of_its_table(database: Database, model: type[m.Model]) -> None:
    columns = database._db.get_columns(model._meta.table_name)
    kinds = {"INT": "INTEGER", "AUTO": "INTEGER", "BOOL": "INTEGER", "TEXT": "TEXT", "BLOB": "BLOB"}
    fields = {}
    for field in model._meta.sorted_fields:
        column = field.rel_field if isinstance(field, m.ForeignKeyField) else field
        fields[field.column_name] = kinds[column.field_type]
    assert fields == {column.name: column.data_type for column in columns}


def test_every_table_has_a_model(database: Database) -> None:
    tables = {name for name in database._db.get_tables() if not name.startswith(("sqlite_", "principals_search"))}
    assert tables - {"migrations", "changes"} == {model._meta.table_name for model in m.TABLES}


def test_every_table_of_facts_checks_the_types_of_its_values(path: Path) -> None:
    strict = dict(with_apsw(path, "SELECT name, strict FROM pragma_table_list WHERE type = 'table'"))
    assert all(strict[model._meta.table_name] for model in m.TABLES)
    for statement in (
        "INSERT INTO groups (name, created) VALUES (x'00', '2026-11-20T12:00:00.000000Z')",
        "INSERT INTO groups (name, created) VALUES ('lab', '2026-11-20')",
        "INSERT INTO datasets (name, access, created) VALUES ('fish2', 'open', '2026-11-20T12:00:00.000000Z')",
        "INSERT INTO public_roots VALUES ('one', 'two')",
    ):
        with pytest.raises(apsw.ConstraintError):
            with_apsw(path, statement)


def test_migrations_are_numbered_without_a_gap_up_to_the_latest() -> None:
    assert [migration.number for migration in list_migrations()] == list(range(1, LATEST + 1))
    assert all(migration.name and migration.sql for migration in list_migrations())


def test_a_new_database_has_every_migration_and_says_when(new: Path) -> None:
    assert migrate(new, now=MOMENT) == list_migrations()
    database = open_current(new)
    assert schema_number(database) == LATEST
    database.close()
    assert with_apsw(new, "SELECT number, name, applied FROM migrations") == [
        (migration.number, migration.name, MOMENT) for migration in list_migrations()
    ]
    assert with_apsw(new, "PRAGMA application_id") == [(0x44534731,)]


def test_there_is_nothing_to_do_a_second_time(new: Path) -> None:
    migrate(new, now=MOMENT)
    before = files(new.parent)
    assert migrate(new, now="2027-01-01T00:00:00.000000Z") == []
    assert files(new.parent) == before


def test_an_empty_file_becomes_a_database(new: Path) -> None:
    new.touch()
    with refused(f"has schema 0; this program needs schema {LATEST}", "dsgctl db migrate"):
        open_current(new)
    assert migrate(new, now=MOMENT) == list_migrations()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        *list_migrations(),
        Migration(LATEST + 1, "good", "CREATE TABLE good (a);"),
        Migration(LATEST + 2, "bad", "CREATE TABLE bad (a); INSERT INTO absent VALUES (1);"),
    ]
    monkeypatch.setattr("dsgctl.store.migrations.list_migrations", lambda: steps)
    with pytest.raises(Exception, match="no such table: absent"):
        migrate(path, now=MOMENT)
    monkeypatch.undo()
    assert with_apsw(path, "SELECT max(number) FROM migrations") == [(LATEST,)]
    assert with_apsw(path, "SELECT name FROM sqlite_schema WHERE name IN ('good', 'bad')") == []
    open_current(path).close()


def test_a_database_of_the_first_release_is_brought_up_with_its_facts(new: Path) -> None:
    create_file(new)
    first = list_migrations()[0]
    with_apsw(
        new,
        first.sql,
        f"INSERT INTO migrations VALUES (1, '{first.name}', '{MOMENT}')",
        f"INSERT INTO groups (name, created) VALUES ('lab', '{MOMENT}')",
        "INSERT INTO buckets (name) VALUES ('lab-data')",
    )
    old_revision = with_apsw(new, "SELECT number FROM revision")[0][0]
    assert migrate(new, now=MOMENT) == list_migrations()[1:]
    assert with_apsw(new, "SELECT name FROM groups") == [("lab",)]
    assert with_apsw(new, "SELECT name, iam FROM buckets") == [("lab-data", 0)]
    database = open_current(new)
    assert database.revision() > old_revision
    assert database.changes_since(old_revision) == [(old_revision + 1, None, None)]
    assert database.changes_since(old_revision + 1) == []
    assert database.changes_since(old_revision - 1) is None  # what was before is not told
    database.close()
    assert with_apsw(new, "SELECT name FROM sqlite_schema WHERE name LIKE '%revision%'") == []


@pytest.mark.parametrize("attempt", range(20))  # each is another order of events
def test_several_who_migrate_at_once_make_one_database(new: Path, attempt: int) -> None:
    barrier = threading.Barrier(4)

    def migrate_together(_: int) -> int:
        barrier.wait()
        return len(migrate(new, now=MOMENT))

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(migrate_together, range(4))) == [0, 0, 0, len(list_migrations())]
    open_current(new).close()


def test_migrate_waits_for_a_program_that_writes_to_a_file_without_wal(
    new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_file(new)
    other = apsw.Connection(str(new))
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses another one's journal_mode = wal at once, without waiting

    def end_the_other_transaction(_: float) -> None:
        if other.in_transaction:
            other.execute("ROLLBACK")

    monkeypatch.setattr("dsgctl.store.sqlite.database.time.sleep", end_the_other_transaction)
    assert migrate(new, now=MOMENT) == list_migrations()
    other.close()
