"""Selects that are turned into SQL once, for the hot path: peewee needs longer for that than SQLite for the rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from peewee import Value

from dsgctl.store.database import Database


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str


def parameter(name: str) -> Any:
    """Stands in a query for a value that comes with each run: text, a number or bytes."""
    return Value(_Parameter(name), converter=False)


class Prepared:
    """A select of columns, some of its conditions `given`. Make it once, at import; call it for its rows."""

    def __init__(self, query: Any) -> None:
        self._query = query
        self._compiled: tuple[str, list[Any], list[tuple[int, Any]]] | None = None

    def __call__(self, database: Database, **values: Any) -> list[tuple[Any, ...]]:
        """The rows.

        Args:
            values: one for each `given` name.
        """
        return list(self.stream(database, **values))

    def stream(self, database: Database, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows, one at a time: a long answer is never held in memory."""
        if self._compiled is None:
            self._compiled = database.compiled(self._query)
        sql, parameters, convert = self._compiled
        rows = database.execute(sql, [values[one.name] if isinstance(one, _Parameter) else one for one in parameters])
        return (_convert(row, convert) for row in rows) if convert else rows


def _convert(row: tuple[Any, ...], convert: list[tuple[int, Any]]) -> tuple[Any, ...]:
    cells = list(row)
    for at, to_python in convert:
        cells[at] = to_python(cells[at])
    return tuple(cells)
