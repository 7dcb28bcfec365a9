"""Rows as they stand in the tables: read for an export, and put back under the ids that they had."""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import peewee

from dsgctl.store.database import Database


class RowRefused(Exception):
    """The engine does not take a row.

    Attributes:
        index: which of those that were given.
        reason: in words for an operator, one line.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


def raw(database: Database, model: Any) -> Iterator[tuple[Any, ...]]:
    """Every row of a table in the order of its primary key, its columns in the order of the model, as they are kept."""
    key = model._meta.primary_key
    names = key.field_names if isinstance(key, peewee.CompositeKey) else [key.name]
    query = model.select(*model._meta.sorted_fields).order_by(*(getattr(model, name) for name in names))
    compiled = database.compile(query)
    return database.execute(compiled.sql, compiled.parameters)


def insert(database: Database, model: Any, rows: list[dict[str, Any]]) -> None:
    """Insert rows as `Database.insert_many` does. Call it inside a transaction.

    Raises:
        RowRefused: one breaks a rule of the schema; those before it may be there already.
    """
    try:
        database.insert_many(model, rows)
        return
    except apsw.ConstraintError:
        pass  # the statement is undone; which row it was, only one at a time can tell
    for index, row in enumerate(rows):
        try:
            database.insert_many(model, [row])
        except apsw.ConstraintError as error:
            raise RowRefused(index, _reason(database, model, row, str(error))) from None


def refer(database: Database, model: Any, field: str, references: Sequence[tuple[int, int]]) -> None:
    """Set one reference of rows that are there: (id of the row, id that it is to refer to).

    Raises:
        RowRefused: one names nothing, or the row may not have one.
    """
    for index, (row_id, named) in enumerate(references):
        try:
            database.run(model.update({field: named}).where(model.id == row_id))
        except peewee.IntegrityError as error:
            column = model._meta.fields[field].column_name
            raise RowRefused(index, _reason(database, model, {field: named}, str(error), only=column)) from None


def _reason(database: Database, model: Any, row: dict[str, Any], said: str, only: str | None = None) -> str:
    """What a row breaks, from what SQLite says of it: https://sqlite.org/rescode.html#constraint."""
    said = said.rpartition("ConstraintError: ")[2]
    kind, _, rest = said.partition(" constraint failed")
    rest = rest.removeprefix(": ").replace(f"{model._meta.table_name}.", "").replace("\n", " ")
    match kind:
        case "FOREIGN KEY":
            return _dangling(database, model, row, only) or "it names a row that is not there"
        case "UNIQUE" | "PRIMARY KEY":
            # Of an index over expressions only the name is told: principals_email, grants_whole.
            what = rest.removeprefix("index '").removesuffix("'").removeprefix(f"{model._meta.table_name}_")
            return "another row says the same" if what == "whole" else f"there is another row of the same {what}"
        case "NOT NULL":
            return f"{rest} is missing"
        case "CHECK":
            return f"it must hold that {' '.join(rest.split())}"
        case _:
            return said


def _dangling(database: Database, model: Any, row: dict[str, Any], only: str | None) -> str:
    """Which reference of a row names nothing: https://sqlite.org/pragma.html#pragma_foreign_key_list."""
    columns = {model._meta.fields[name].column_name: value for name, value in row.items()}
    references: dict[int, list[tuple[str, str, str]]] = {}
    for number, _, parent, here, there, *_ in database.execute(
        f'PRAGMA foreign_key_list("{model._meta.table_name}")', []
    ):
        references.setdefault(number, []).append((parent, here, there))
    for parts in references.values():
        parent = parts[0][0]
        values = [columns.get(here) for _, here, _ in parts]
        if None in values or (only and only not in (here for _, here, _ in parts)):
            continue
        where = " AND ".join(f'"{there}" = ?' for _, _, there in parts)
        # The names are those of our own schema.
        if not list(database.execute(f'SELECT 1 FROM "{parent}" WHERE {where}', values)):  # noqa: S608
            said = ", ".join(f"{here} {value}" for (_, here, _), value in zip(parts, values, strict=True))
            return f"{said}: there is no such row of {parent}"
    return ""
