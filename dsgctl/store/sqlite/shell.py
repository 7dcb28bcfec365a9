"""SQL that an operator types, run by apsw's SQLite: the host's may corrupt the WAL (database.py, MINIMUM_VERSION)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import apsw

from dsgctl.store.database import Database
from dsgctl.store.errors import StoreError

# Those that only report about the file or its schema; others change how the engine works.
_PRAGMAS = frozenset(
    {
        "application_id",
        "compile_options",
        "data_version",
        "database_list",
        "foreign_key_check",
        "foreign_key_list",
        "freelist_count",
        "function_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "module_list",
        "page_count",
        "page_size",
        "quick_check",
        "schema_version",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
_SETTABLE = frozenset({"application_id", "page_size", "schema_version"})  # a value would set them
_READS = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE})
_WRITES = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})


class BadStatement(StoreError):
    """The statement is not SQL, is not allowed in this shell, or breaks a rule of the schema."""


@dataclass(slots=True)
class ResultSet:
    """The rows of a statement.

    Attributes:
        columns: their names, made unique: the second ``name`` is ``name:2``.
    """

    columns: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)


def is_complete(sql: str) -> bool:
    """Whether a text ends at the end of a statement."""
    return apsw.complete(sql)


def run_statements(database: Database, sql: str, *, write: bool) -> list[ResultSet]:
    """Run statements, in the caller's transaction if there is one.

    They may read rows, and with ``write`` change them. They may not attach or write another file, change the schema,
    which belongs to the migrations, or begin and end transactions, which belong to the caller.

    Raises:
        BadStatement: a statement cannot be run.
        StoreError: the file cannot be used.
    """
    results: list[ResultSet] = []
    names: tuple[str, ...] = ()
    with database.translate_errors(), _restrict(database.connection(), write=write) as connection:
        cursor = connection.cursor()
        for row in cursor.execute(sql):
            row_names = tuple(name for name, _ in cursor.get_description())
            if not results or row_names != names:
                names = row_names
                results.append(ResultSet(_unique_names(names)))
            results[-1].rows.append(tuple(value.hex() if isinstance(value, bytes) else value for value in row))
    return results


@contextmanager
def _restrict(connection: apsw.Connection, *, write: bool) -> Iterator[apsw.Connection]:
    """Inside, the connection refuses what this shell may not do (https://sqlite.org/c3ref/set_authorizer.html)."""
    allowed = _READS | _WRITES if write else _READS

    def authorize(operation: int, first: str | None, second: str | None, *_: str | None) -> int:
        is_allowed = operation in allowed
        if operation == apsw.SQLITE_PRAGMA:
            is_allowed = first in _PRAGMAS and (second is None or first not in _SETTABLE)
        if operation in _WRITES and str(first).startswith("sqlite_"):
            is_allowed = False
        return apsw.SQLITE_OK if is_allowed else apsw.SQLITE_DENY

    connection.authorizer = authorize
    try:
        yield connection
    except apsw.AuthError:
        hint = "schema, other files, settings and transactions are not for this shell"
        hint += "" if write else "; rows are changed with --write"
        raise BadStatement("this statement is not allowed here", hint) from None
    except (apsw.SQLError, apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError) as error:
        raise BadStatement(f"SQL: {' '.join(str(error).split())}", "PRAGMA table_list shows the tables") from None
    except apsw.BindingsError:
        raise BadStatement("SQL: there are no values for its parameters", "write the values out") from None
    finally:
        connection.authorizer = None


def _unique_names(names: tuple[str, ...]) -> list[str]:
    columns: list[str] = []
    for name in names:
        count = sum(column.split(":")[0] == name for column in columns)
        columns.append(f"{name}:{count + 1}" if name in columns else name)
    return columns
