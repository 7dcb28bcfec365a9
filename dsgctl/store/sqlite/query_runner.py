"""Runs peewee's queries on the connections of a handle."""

from collections.abc import Callable
from typing import Any

import apsw

import dsgctl.store.queries  # noqa: F401  first: it imports peewee without its drivers

# isort: split
from playhouse.apsw_ext import APSWDatabase


class QueryRunner(APSWDatabase):  # type: ignore[misc]  # playhouse has no types
    """peewee's database: it words queries for SQLite. It opens no connection and begins no transaction of its own."""

    def __init__(self, path: str, connection: Callable[[], apsw.Connection]) -> None:
        """
        Args:
            connection: returns that of the calling thread.
        """
        super().__init__(path)
        self._connection = connection

    def connection(self) -> apsw.Connection:
        return self._connection()

    def execute_sql(self, sql: str, params: Any = None) -> apsw.Cursor:
        return self._connection().execute(sql, params or ())
