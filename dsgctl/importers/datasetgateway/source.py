"""The database of the original server: opened without changing it, checked, and read row by row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from dsgctl.core.errors import Invalid
from dsgctl.importers.datasetgateway import releases
from dsgctl.importers.datasetgateway.releases import GIVING, NO_PLACE, OTHER_TABLES, TABLES
from dsgctl.importers.engine.row import CORRECT, MAX_ID, Row, quote_value

_OF_DJANGO = ("django_", "auth_", "account_", "socialaccount_", "sqlite_")  # tables of the framework
_LONGEST = 2**24  # bytes of a value; terms and audit records are far below


class Source:
    """The rows of one snapshot of the file."""

    def __init__(self, connection: apsw.Connection, path: Path, columns: Mapping[str, Sequence[str]]) -> None:
        """
        Args:
            columns: table of `TABLES` -> the columns of the file that are read.
        """
        self._connection = connection
        self._path = path
        self._columns = columns

    @property
    def name(self) -> str:
        return str(self._path)

    def rows(self, table: str) -> Iterator[Row]:
        """Every row in the order of ids.

        Raises:
            Invalid: a row cannot be read; the message names the row before it.
        """
        columns = self._columns.get(table, ())
        if not columns:
            return
        absent = {name: releases.default_value(name) for name in TABLES[table].columns if name not in columns}
        quoted = ", ".join(f'"{column}"' for column in columns)
        last: Any = None
        with _translate_errors(
            self._path, lambda: f"{table}, the row after {last}" if last is not None else f"{table} row 1"
        ):
            # Names are our own; the table `grant` is a word of SQL.
            for values in self._connection.execute(f'SELECT {quoted} FROM "{table}" ORDER BY id'):  # noqa: S608
                last = quote_value(values[0])
                yield Row(table, dict(zip(columns, values, strict=True)) | absent)

    def total(self) -> int:
        """The number of all rows."""
        return sum(self._number(f'SELECT count(*) FROM "{table}"') for table in self._columns)  # noqa: S608

    def last_user_id(self) -> int:
        """The highest id that a user ever had, including deleted ones."""
        last_id = self._number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'dsg_user'")
        if not 0 <= last_id < MAX_ID:
            raise Invalid(f"{self._path}: sqlite_sequence of dsg_user is out of range", CORRECT)
        return last_id

    def describe_ignored(self) -> Iterator[str]:
        """What the file holds that has no place here, a line each."""
        tables = _list_tables(self._connection)
        for table, column, condition in NO_PLACE:
            if table not in tables or column not in _list_columns(self._connection, table):
                continue
            if count := self._number(f'SELECT count(*) FROM "{table}" WHERE {condition}'):  # noqa: S608
                rows = "row" if count == 1 else "rows"
                yield f"{column} of {count} {rows} of {table}: there is no place for it here"
        for table in sorted(_list_unknown(tables)):
            yield f"the table {_plain(table)}: it is not known here"

    def _number(self, sql: str) -> int:
        with _translate_errors(self._path):
            number = next(self._connection.execute(sql))[0]
            return int(number) if isinstance(number, int) else -1


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a database of the original server. The file is not changed, and no file is created beside it.

    Everything is read from one snapshot, also while its server writes.

    Raises:
        Invalid: it is not such a database, or it is damaged.
    """
    try:
        if not path.is_file():
            raise Invalid(f"{path} is not a file", "name the SQLite file of the original server, often db.sqlite3")
        uri = f"{path.absolute().as_uri()}?{_mode(path)}"
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}", "check who may read it") from None
    connection: apsw.Connection | None = None
    try:
        with _translate_errors(path):
            connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            connection.set_busy_timeout(5000)
            for pragma in (
                "trusted_schema = 0",
                "cell_size_check = 1",
                "mmap_size = 0",
            ):  # the file may come from anybody
                connection.execute(f"PRAGMA {pragma}")
            connection.limit(apsw.SQLITE_LIMIT_LENGTH, _LONGEST)
            connection.execute("BEGIN")
            columns = _check(connection, path)
        yield Source(connection, path, columns)
    finally:
        if connection is not None:
            connection.close()


def _mode(path: Path) -> str:
    """The parameter of the URI that keeps SQLite from creating files beside the database.

    SQLite cannot read a database in WAL mode without ``-wal`` and ``-shm``, and would create them. Without a ``-wal``
    nobody has it open, and it can be read as immutable.
    """
    with path.open("rb") as file:
        header = file.read(20)
    in_wal_mode = header[18:20] == b"\x02\x02"  # https://sqlite.org/fileformat.html#file_format_version_numbers
    return "immutable=1" if in_wal_mode and not path.with_name(path.name + "-wal").exists() else "mode=ro"


@contextmanager
def _translate_errors(path: Path, where: Callable[[], str] | None = None) -> Iterator[None]:
    """Turn errors of SQLite about the source into `Invalid`. Use it around reads of the source alone."""
    try:
        yield
    except apsw.BusyError:
        raise Invalid(f"{path} is being written to", "try again, stop its server, or import a copy") from None
    except apsw.ReadOnlyError:
        raise Invalid(
            f"{path} has a transaction that was cut short, and {path.name}-journal to undo it",
            "start and stop its server once, which undoes it, then import",
        ) from None
    except (apsw.CantOpenError, apsw.IOError, apsw.PermissionsError) as error:
        raise Invalid(f"cannot read {path}: {_plain(error)}", "check who may read it and its directory") from None
    except UnicodeDecodeError:
        raise Invalid(f"{path}: {where() + ': ' if where else ''}there is text that is not UTF-8", CORRECT) from None
    except apsw.TooBigError:
        at = where() + ": " if where else ""
        raise Invalid(f"{path}: {at}there is a value of more than {_LONGEST} bytes", CORRECT) from None
    except apsw.Error as error:
        raise Invalid(
            f"{path} is damaged or not an SQLite database ({_plain(error)})", "take a new copy of it"
        ) from None


def _plain(text: object) -> str:
    """A message of SQLite in one line."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def _list_tables(connection: apsw.Connection) -> set[str]:
    """Its tables, without views and virtual tables, whose contents are computed."""
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'create virtual%'"
    return {str(row[0]) for row in connection.execute(query)}


def _list_unknown(tables: Iterable[str]) -> set[str]:
    return {name for name in tables if name not in TABLES and name not in OTHER_TABLES and not _is_djangos(name)}


def _is_djangos(table: str) -> bool:
    return table.startswith(_OF_DJANGO)


def _list_columns(connection: apsw.Connection, table: str) -> list[str]:
    """The columns of a table, including computed ones."""
    quoted = table.replace('"', '""')
    return [str(row[1]) for row in connection.execute(f'PRAGMA table_xinfo("{quoted}")')]


def _check(connection: apsw.Connection, path: Path) -> dict[str, list[str]]:
    """Check that the file is complete, and that its tables and columns are known.

    Returns:
        Table -> the columns to read.

    Raises:
        Invalid: a table or column is missing or not known, or the file is damaged.
    """
    tables = _list_tables(connection)
    for table, expected in TABLES.items():
        if table not in tables and expected.itself.is_due({1}):
            raise Invalid(f"{path} has no table {table}", "is it a database of the original DatasetGateway?")
    applied = _read_applied(connection, path, tables)
    columns: dict[str, list[str]] = {}
    for table, expected in TABLES.items():
        if table in tables:
            columns[table] = _columns_to_read(connection, path, table, applied)
        elif expected.itself.is_due(applied):
            raise Invalid(f"{path} has no table {table}, which its migrations made", "take a new copy of it")
    for table in sorted(_list_unknown(tables)):
        quoted = table.replace('"', '""')
        for reference in connection.execute(f'PRAGMA foreign_key_list("{quoted}")'):
            if reference[2] in GIVING:
                raise Invalid(
                    f"{path} has a table {_plain(table)} that is not known here and refers to {reference[2]}",
                    "it may restrict grants: it is from a newer release than this one can read",
                )
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
    if problems:
        raise Invalid(f"{path} is damaged ({_plain(problems[0])})", "take a new copy of it")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        if table in TABLES:
            raise Invalid(f"{path}: {table} row {row} names a row of {parent} that is not there", CORRECT)
    return columns


def _read_applied(connection: apsw.Connection, path: Path, tables: set[str]) -> set[int]:
    """The numbers of the migrations that were applied to the file.

    Raises:
        Invalid: there is none, or one that is not known.
    """
    if "django_migrations" not in tables:
        raise Invalid(f"{path} has no table django_migrations", "is it a database of the original DatasetGateway?")
    query = "SELECT name FROM django_migrations WHERE app = 'core' ORDER BY id"
    applied = {str(name): releases.migration_number(str(name)) for (name,) in connection.execute(query)}
    unknown = [name for name, number in applied.items() if number is None]
    if unknown:
        raise Invalid(
            f"{path} has had the migration {_plain(unknown[0])}, which is not known here",
            "it is from a newer release of DatasetGateway than this one can read",
        )
    if not applied:
        raise Invalid(f"{path} has had no migration of core", "is it a database of the original DatasetGateway?")
    return {number for number in applied.values() if number is not None}


def _columns_to_read(connection: apsw.Connection, path: Path, table: str, applied: set[int]) -> list[str]:
    columns, expected = _list_columns(connection, table), TABLES[table]
    missing = [name for name, column in expected.columns.items() if column.is_due(applied) and name not in columns]
    if missing:
        raise Invalid(
            f"{path}: the table {table} has no column {missing[0]}, which its migrations made", "take a new copy of it"
        )
    unknown = [column for column in columns if column not in expected.column_names]
    if unknown:
        names = ", ".join(_plain(column) for column in unknown)
        column, which = ("a column", "that is") if len(unknown) == 1 else ("columns", "that are")
        raise Invalid(
            f"{path}: the table {table} has {column} {names} {which} not known here",
            "it is from a newer release of DatasetGateway than this one can read",
        )
    return [name for name in expected.columns if name in columns]
