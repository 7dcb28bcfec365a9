"""The numbered steps from an empty file to the current schema.

A step is a file ``NNNN_name.sql`` in this directory. It is never changed once released.
"""

from dataclasses import dataclass
from pathlib import Path

from dsgctl.store.database import Database
from dsgctl.store.errors import StoreError
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgctl.store.sqlite.files import create_file, write_private_copy
from dsgctl.store.sqlite.schema import build_schema, list_differences, read_schema
from dsgctl.store.times import UtcTime


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str


def list_migrations() -> list[Migration]:
    """Every migration of this program, in order."""
    from importlib import resources  # not at the top: few commands migrate

    migrations = []
    for entry in resources.files(__name__).iterdir():
        number, _, name = entry.name.removesuffix(".sql").partition("_")
        if entry.name.endswith(".sql"):
            migrations.append(Migration(int(number), name, entry.read_text(encoding="utf-8")))
    return sorted(migrations, key=lambda migration: migration.number)


def schema_number(database: Database) -> int:
    """The number of the last migration that ran on this database; 0 for an empty file."""
    if not database.scalar("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'"):
        return 0
    return int(database.scalar("SELECT coalesce(max(number), 0) FROM migrations"))


def schema_problems(database: Database) -> list[str]:
    """How the tables, indexes, triggers and views of a database differ from those that the migrations create.

    An added trigger would act on every change, and a view can replace a table.

    Returns:
        What is added, missing or changed, each in words; empty for the schema of this or an earlier release.
    """
    with database.translate_errors():
        schema = read_schema(database.connection())
    if not schema:
        return []
    steps = list_migrations()
    # Without this table the number of the schema can be neither read nor trusted.
    if schema.get(("table", "migrations")) != build_schema([steps[0].sql])["table", "migrations"]:
        return ["the table migrations is not that of this program"]
    applied = [(number, name) for number, name in database.read("SELECT number, name FROM migrations ORDER BY number")]
    if applied != [(step.number, step.name) for step in steps[: len(applied)]]:
        return ["its migrations are not those of this program"]
    return list_differences(schema, build_schema([step.sql for step in steps[: len(applied)]]))


# The number of the last migration, written here so that a start need not list the directory.
LATEST = 12


def open_current(path: str | Path, *, read_only: bool = False) -> SqliteDatabase:
    """Open a database whose schema is the latest.

    Raises:
        StoreError: the file is missing or another program's, or its schema is older or newer.
    """
    database = SqliteDatabase(path, read_only=read_only)
    try:
        _refuse_newer(database)
        number = schema_number(database)
        if number < LATEST:
            raise StoreError(
                f"{path} has schema {number}; this program needs schema {LATEST}", "run 'dsgctl db migrate'"
            )
        if not read_only:
            database.enable_wal()
    except StoreError:
        database.close()
        raise
    return database


def require_latest(database: Database) -> None:
    """Refuse an open database whose schema another release has changed meanwhile.

    Raises:
        StoreError: its schema is no longer the latest.
    """
    number = schema_number(database)
    if number != LATEST:
        raise StoreError(
            f"{database.path} has schema {number} now; this program knows schema {LATEST}", "start the new release"
        )


def copy_before_migration(path: Path, now: UtcTime) -> Path | None:
    """Copy a database that `migrate` is about to change, for the way back: stop its users, and put the copy in place.

    Returns:
        The path of the copy; None if there is nothing to migrate.
    """
    if not path.exists():
        return None
    database = SqliteDatabase(path)
    try:
        _refuse_newer(database)
        number = schema_number(database)
        if number in (0, LATEST):
            return None
        copy = path.with_name(f"{path.name}.schema-{number}-{now[:19].replace('-', '').replace(':', '')}Z")
        write_private_copy(database, copy)
        return copy
    finally:
        database.close()


def migrate(path: str | Path, *, now: UtcTime) -> list[Migration]:
    """Create the database if there is none, and upgrade it to the latest schema.

    All steps run in one transaction: either all of them succeed, or the schema stays the old one.

    Returns:
        The migrations that ran; empty if there was nothing to do.
    """
    create_file(path)
    database = SqliteDatabase(path)
    try:
        _refuse_newer(database)
        database.enable_wal()
        with database.transaction():
            number = schema_number(database)
            missing = [migration for migration in list_migrations() if migration.number > number]
            for migration in missing:
                database.script(migration.sql)
                database.script(
                    f"INSERT INTO migrations VALUES ({migration.number}, '{migration.name}', '{now}')"  # noqa: S608
                )
        return missing
    finally:
        database.close()


def _refuse_newer(database: Database) -> None:
    number = schema_number(database)
    if number > LATEST:
        raise StoreError(
            f"{database.path} has schema {number}; this program knows schema {LATEST}",
            "a newer release has migrated it: use that release",
        )
