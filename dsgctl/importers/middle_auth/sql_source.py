"""middle_auth's tables in its own database, PostgreSQL or MySQL: one snapshot, read in parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dsgctl.core.errors import Invalid
from dsgctl.importers.engine.row import CORRECT, Row
from dsgctl.importers.middle_auth import drivers
from dsgctl.importers.middle_auth.tables import IGNORED, NEEDED, convert_value, map_columns
from dsgctl.store.queries import peewee

_PART_ROWS = 2000


class SqlTables:
    """The rows of one snapshot of the database, also while its server writes."""

    def __init__(self, database: peewee.Database, name: str) -> None:
        """Raises:
        Invalid: a table is missing, or has other columns.
        """
        self._database = database
        self._name = name
        with _translate_errors(name, "its tables"):
            tables = set(database.get_tables())
        self._unknown = sorted(tables - NEEDED.keys() - IGNORED)
        self._columns: dict[str, dict[str, str]] = {}
        for table in NEEDED:
            if table not in tables:
                raise Invalid(f"{name} has no table {table}", "is it a database of middle_auth?")
            with _translate_errors(name, table):
                columns = [column.name for column in database.get_columns(table)]
            self._columns[table] = map_columns(f"{name}: the table {table}", table, columns)

    @property
    def name(self) -> str:
        return self._name

    def rows(self, table: str) -> Iterator[Row]:
        """In the order of ids, in parts: neither the program nor the driver holds a whole table."""
        columns, kinds = self._columns[table], NEEDED[table]
        selected = peewee.Table(table).bind(self._database)
        selected_columns = [getattr(selected.c, name) for name in columns.values()]
        last: int | None = None
        while True:
            query = selected.select(*selected_columns).order_by(selected.c.id).limit(_PART_ROWS)
            with _translate_errors(self._name, f"{table}, after row {last}" if last is not None else table):
                part = list((query.where(selected.c.id > last) if last is not None else query).tuples())
            for values in part:
                row = {key: convert_value(kinds[key], cell) for key, cell in zip(columns, values, strict=True)}
                yield Row(table, row)
                last = values[0]
            if len(part) < _PART_ROWS:
                return

    def total(self) -> int:
        count = 0
        for table in NEEDED:
            with _translate_errors(self._name, table):
                count += int(peewee.Table(table).bind(self._database).select().count())
        return count

    def unknown(self) -> list[str]:
        return self._unknown

    def last_user_id(self) -> int:
        if not isinstance(self._database, peewee.PostgresqlDatabase):
            return 0  # MySQL's counter is not of the same moment, and often not up to date
        with _translate_errors(self._name, "user"):
            sequence = self._scalar("SELECT pg_get_serial_sequence('\"user\"', 'id')")
            return int(self._scalar(f"SELECT coalesce(pg_sequence_last_value('{sequence}'), 0)")) if sequence else 0

    def _scalar(self, sql: str) -> Any:
        return _execute(self._database, sql).fetchone()[0]

    def check_unchanged(self) -> None:
        """Nothing to check: the transaction reads one snapshot."""


def _execute(database: Any, sql: str) -> Any:
    return database.execute_sql(sql)


@contextmanager
def open_source(url: str) -> Iterator[SqlTables]:
    """Connect to a database, which is only read.

    Raises:
        Invalid: it cannot be reached or read, or is not middle_auth's.
    """
    name = drivers.address(url)
    database, statements = drivers.build_database(url)
    try:
        with _translate_errors(name, "connecting"):
            database.connect()
            for statement in statements:
                _execute(database, statement)
        yield SqlTables(database, name)
    finally:
        database.close()


@contextmanager
def _translate_errors(name: str, where: str) -> Iterator[None]:
    """Turn errors of the server and its driver into `Invalid`."""
    try:
        yield
    except UnicodeDecodeError:
        raise Invalid(f"{name}: {where}: there is text that is not UTF-8", CORRECT) from None
    except peewee.PeeweeException as error:
        last = error.args[-1] if error.args else error  # of MySQL's, the first is a number
        message = " ".join(str(last).split())
        if "lock timeout" in message or "Lock wait timeout" in message:
            raise Invalid(f"{name}: {where}: it is being written to", "try again, or stop its server") from None
        hint = "check the URL, and the password in PGPASSWORD, MYSQL_PWD or ~/.pgpass"
        raise Invalid(f"{name}: {where}: {message}", hint) from None
