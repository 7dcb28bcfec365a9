"""Which rule of the schema a row breaks, in words, from SQLite's message."""

from typing import Any

import apsw


def describe_violation(
    connection: apsw.Connection, error: Exception, model: Any, row: dict[str, Any], only: str | None
) -> str:
    """What a row breaks, from what SQLite reports (https://sqlite.org/rescode.html#constraint).

    Args:
        row: values by the names of the model's fields.
        only: of the references, look at the one of this column.
    """
    message = str(error)
    rule, _, details = message.partition(" constraint failed")
    details = details.removeprefix(": ").replace(f"{model._meta.table_name}.", "").replace("\n", " ")
    match rule:
        case "FOREIGN KEY":
            return _describe_missing_parent(connection, model, row, only) or "it names a row that is not there"
        case "UNIQUE" | "PRIMARY KEY":
            # For an index over expressions the message has its name alone: principals_email, grants_whole.
            key = details.removeprefix("index '").removesuffix("'").removeprefix(f"{model._meta.table_name}_")
            return "another row says the same" if key == "whole" else f"there is another row of the same {key}"
        case "NOT NULL":
            return f"{details} is missing"
        case "CHECK":
            return f"it must hold that {' '.join(details.split())}"
        case _:
            return message


def _describe_missing_parent(connection: apsw.Connection, model: Any, row: dict[str, Any], only: str | None) -> str:
    """The reference of a row that names nothing: https://sqlite.org/pragma.html#pragma_foreign_key_list."""
    columns = {model._meta.fields[name].column_name: value for name, value in row.items()}
    references: dict[int, list[tuple[str, str, str]]] = {}
    for number, _, parent, child_column, parent_column, *_ in connection.execute(
        f'PRAGMA foreign_key_list("{model._meta.table_name}")'
    ):
        references.setdefault(int(number), []).append((parent, child_column, parent_column))
    for parts in references.values():
        parent = parts[0][0]
        values = [columns.get(child_column) for _, child_column, _ in parts]
        if None in values or (only and only not in (child_column for _, child_column, _ in parts)):
            continue
        where = " AND ".join(f'"{parent_column}" = ?' for _, _, parent_column in parts)
        # The names are those of our own schema.
        if not list(connection.execute(f'SELECT 1 FROM "{parent}" WHERE {where}', values)):  # noqa: S608
            key = ", ".join(
                f"{child_column} {value}" for (_, child_column, _), value in zip(parts, values, strict=True)
            )
            return f"{key}: there is no such row of {parent}"
    return ""
