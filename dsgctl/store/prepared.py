"""Selects that each database compiles to SQL once. Compiling one takes peewee longer than SQLite takes to run it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dsgctl.store.database import Database
from dsgctl.store.queries import Value


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str


def parameter(name: str) -> Any:
    """A placeholder in a query for a value that each run supplies: text, a number or bytes."""
    return Value(_Parameter(name), converter=False)


class Prepared:
    """A select of columns whose conditions may contain `parameter`. Create it at import; call it for its rows.

    It belongs to no database: the compiled SQL is kept by each `Database` that runs it.
    """

    def __init__(self, query: Any) -> None:
        self._query = query

    def __call__(self, database: Database, **values: Any) -> list[tuple[Any, ...]]:
        """The rows.

        Args:
            values: one for each `parameter`, by name.
        """
        sql, bindings, conversions = self._bind(database, values)
        rows = database.read(sql, bindings)
        return [_convert(row, conversions) for row in rows] if conversions else rows

    def stream(self, database: Database, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows, one at a time: a long result is never held in memory."""
        sql, bindings, conversions = self._bind(database, values)
        rows = database.execute(sql, bindings)
        return (_convert(row, conversions) for row in rows) if conversions else rows

    def stream_stored(self, database: Database, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows as they are stored, one at a time: flags are 0 or 1, moments text, which compares as time does."""
        sql, bindings, _ = self._bind(database, values)
        return database.execute(sql, bindings)

    def _bind(self, database: Database, values: dict[str, Any]) -> tuple[str, list[Any], list[tuple[int, Any]]]:
        """The SQL, the values of its placeholders, and how to convert the rows."""
        sql, parameters, conversions = database.compile_once(self, self._query)
        return sql, [values[item.name] if type(item) is _Parameter else item for item in parameters], conversions


def _convert(row: tuple[Any, ...], conversions: list[tuple[int, Any]]) -> tuple[Any, ...]:
    cells = None  # most rows need no copy: what is converted is often NULL
    for column, to_python in conversions:
        if row[column] is not None:
            cells = cells or list(row)
            cells[column] = to_python(row[column])
    return row if cells is None else tuple(cells)
