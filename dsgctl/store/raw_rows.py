"""Rows as they are stored: read for an export, and written back under the ids that they had."""

from collections.abc import Iterator, Sequence
from typing import Any

from dsgctl.store.database import ROWS_A_STATEMENT, Database
from dsgctl.store.queries import CompositeKey


class RowRefused(Exception):
    """The database does not accept a row.

    Attributes:
        index: the position of the row in the list that was passed.
        reason: in words for an operator, one line.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


def read_rows(database: Database, model: Any) -> Iterator[tuple[Any, ...]]:
    """Every row of a table in the order of its primary key, with the columns of the model in their order, as stored."""
    key = model._meta.primary_key
    names = key.field_names if isinstance(key, CompositeKey) else [key.name]
    query = model.select(*model._meta.sorted_fields).order_by(*(getattr(model, name) for name in names))
    compiled = database.compile(query)
    return database.execute(compiled.sql, compiled.parameters)


def insert_rows(database: Database, model: Any, rows: list[dict[str, Any]]) -> None:
    """Insert rows as `Database.insert_many` does. Call it in a transaction.

    Raises:
        RowRefused: one breaks a rule of the schema; those before it may have been inserted.
    """
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        batch = rows[start : start + ROWS_A_STATEMENT]
        try:
            database.insert_many(model, batch)
        except database.violations:
            # The statement is undone; only one row at a time shows which of them it was.
            _insert_singly(database, model, batch, start)


def _insert_singly(database: Database, model: Any, rows: list[dict[str, Any]], first: int) -> None:
    for index, row in enumerate(rows, first):
        try:
            database.insert_many(model, [row])
        except database.violations as error:
            raise RowRefused(index, database.describe_violation(error, model, row)) from None


def set_references(database: Database, model: Any, field: str, references: Sequence[tuple[int, int]]) -> None:
    """Set one reference of existing rows.

    Args:
        references: pairs of a row's id and the id that it refers to.

    Raises:
        RowRefused: one names nothing, or the row may not have one.
    """
    for index, (row_id, parent_id) in enumerate(references):
        try:
            database.run(model.update({field: parent_id}).where(model.id == row_id))
        except database.violations as error:
            column = model._meta.fields[field].column_name
            reason = database.describe_violation(error, model, {field: parent_id}, only=column)
            raise RowRefused(index, reason) from None
