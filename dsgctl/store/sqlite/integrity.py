"""Whether a SQLite file is sound: its pages, and the references between its rows."""

from typing import Any

import apsw


def list_problems(connection: apsw.Connection) -> list[str]:
    """What SQLite finds wrong with the file (https://sqlite.org/pragma.html#pragma_integrity_check)."""
    lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    return [line for line in lines if line != "ok"]


def list_dangling_rows(connection: apsw.Connection) -> list[str]:
    """The rows that refer to a missing row, each in words."""
    violations = connection.execute("PRAGMA foreign_key_check").fetchall()
    return [f"a row of {table} refers to a row of {parent} that is not there" for table, _, parent, _ in violations]


def mend_dangling_rows(connection: apsw.Connection) -> None:
    """Delete these rows, or set their reference to NULL, as the schema demands when the other row is deleted."""
    tables = {str(row[0]) for row in connection.execute("PRAGMA foreign_key_check")}
    for table in sorted(tables):
        by_key: dict[int, list[Any]] = {}
        rows: list[Any] = connection.execute(f'PRAGMA foreign_key_list("{table}")').fetchall()
        for row in rows:
            by_key.setdefault(row[0], []).append(row)
        for columns in by_key.values():
            _mend_reference(connection, table, columns)


def _mend_reference(connection: apsw.Connection, table: str, columns: list[Any]) -> None:
    """The same for one foreign key.

    Args:
        columns: its rows of https://sqlite.org/pragma.html#pragma_foreign_key_list. The names are our schema's.
    """
    parent, on_delete = columns[0][2], columns[0][6]
    is_set = " AND ".join(f'"{table}"."{column[3]}" IS NOT NULL' for column in columns)
    matches = " AND ".join(f'"p"."{column[4] or column[3]}" = "{table}"."{column[3]}"' for column in columns)
    where = f'{is_set} AND NOT EXISTS (SELECT 1 FROM "{parent}" AS "p" WHERE {matches})'  # noqa: S608
    if on_delete == "SET NULL":
        assignments = ", ".join(f'"{column[3]}" = NULL' for column in columns)
        connection.execute(f'UPDATE "{table}" SET {assignments} WHERE {where}')  # noqa: S608
    else:
        connection.execute(f'DELETE FROM "{table}" WHERE {where}')  # noqa: S608


def count_rows(connection: apsw.Connection) -> dict[str, int]:
    """The number of rows of each table, by name, without those of SQLite and of the search index."""
    names: list[Any] = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' "
        "AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'principals!_search%' ESCAPE '!' ORDER BY 1"
    ).fetchall()
    sizes: dict[str, int] = {}
    for (name,) in names:
        size: Any = connection.execute(f'SELECT count(*) FROM "{name}"').get  # noqa: S608  a name of our own schema
        sizes[name] = size
    return sizes
