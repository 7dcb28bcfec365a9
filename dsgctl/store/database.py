"""The handle on a database, whatever its engine: queries, transactions, the log of changes, and checks.

Queries are peewee's, built from dsgctl/store/models.py, or text. A handle runs them, rather than a model that is bound
to one database, so that a process can have several handles: the server reads through one and writes through another.

peewee is imported with the first query of its own: a command whose queries are text starts without it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, cast

from dsgctl.store.row_shapes import list_conversions

if TYPE_CHECKING:
    from peewee import Model, ModelSelect

Table = TypeVar("Table", bound="Model")
Row = TypeVar("Row", bound=Mapping[str, Any])  # a TypedDict

CHANGES_KEPT = 1000  # a server that has missed more discards all its cached responses
# Rows of one INSERT: apsw keeps no statement compiled that is longer than 16 KB.
ROWS_A_STATEMENT = 200


class ChangeRecord(NamedTuple):
    """One change to the data: whose permissions it may affect; everybody's if neither id is set."""

    number: int
    principal_id: int | None
    group_id: int | None


class Compiled(NamedTuple):
    """A select as SQL.

    Attributes:
        parameters: the values of its placeholders, in their order.
        conversions: of the columns that are not returned as stored: index, and the function that converts a value.
    """

    sql: str
    parameters: list[Any]
    conversions: list[tuple[int, Any]]


class Database(ABC):
    """A database, for one process; each thread has its own connection.

    Writes go through `transaction`. A read needs nothing around it; several that must agree go through `snapshot`.
    Every method raises `StoreError` if the database cannot be used: locked, damaged, full, not writable.

    Attributes:
        path: the name of the database in messages.
        is_replaced: whether `change_marker` has found another database in its place.
        violations: the exceptions of a row that breaks a rule of the schema; see `describe_violation`.
    """

    path: str
    is_replaced: bool
    violations: ClassVar[tuple[type[Exception], ...]]
    _compiled: dict[object, Compiled]

    @abstractmethod
    def translate_errors(self) -> AbstractContextManager[None]:
        """Inside, the driver's errors about the database are raised as `StoreError`."""

    @abstractmethod
    def connection(self) -> Any:
        """The driver's connection of this thread, for the modules of this package."""

    @abstractmethod
    def close(self) -> None:
        """Close this thread's connection. The handle can be used again."""

    @property
    @abstractmethod
    def _db(self) -> Any:
        """peewee's database, which runs queries on the connection of the calling thread."""

    @abstractmethod
    def require_writable(self) -> None:
        """Fail now rather than at the first write.

        Raises:
            StoreError: the database can only be read.
        """

    # Reading

    def rows(self, query: Any, shape: type[Row]) -> Iterator[Row]:
        """The rows of a select as dicts, one at a time: a long result is never held in memory.

        Args:
            query: peewee's, or text without parameters. Its columns, under their own name or alias, are the keys of
                ``shape`` in their order.
            shape: the TypedDict that describes a row.

        Raises:
            TypeError: the select has other columns than ``shape`` has keys.
        """
        keys = list(shape.__annotations__)
        if isinstance(query, str):
            rows = self.execute(query, [])
        else:
            columns = [getattr(column, "_alias", None) or column.name for column in query._returning]
            if columns != keys:
                raise TypeError(f"{shape.__name__} has the keys {keys}, the select has {columns}")
            rows = self.execute(*self._db.get_sql_context().sql(query).query())
        conversions = list_conversions(shape)
        for values in rows:
            row = dict(zip(keys, values, strict=True))
            for key, convert in conversions:
                if row[key] is not None:
                    row[key] = convert(row[key])
            yield cast(Row, row)

    def tuples(self, query: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a select as tuples, one at a time."""
        with self.translate_errors():
            yield from query.tuples().iterator(self._db)

    def objects(self, query: "ModelSelect[Table]") -> list[Table]:
        """The rows of a select of one model, as instances of it."""
        with self.translate_errors():
            return list(query.execute(self._db))

    def first(self, query: "ModelSelect[Table]") -> Table | None:
        """The first row of a select of one model, or None."""
        instances = self.objects(query.limit(1))
        return instances[0] if instances else None

    def count(self, query: Any) -> int:
        """The number of rows of a select."""
        with self.translate_errors():
            return int(query.count(self._db))

    def compile(self, query: Any) -> Compiled:
        """A select as SQL of this engine."""
        from dsgctl.store.queries import UNCONVERTED  # not at the top: it imports peewee

        columns = [getattr(column, "field", column) for column in query._returning]
        conversions = [
            (index, field.python_value) for index, field in enumerate(columns) if type(field) not in UNCONVERTED
        ]
        sql, parameters = self._db.get_sql_context().sql(query).query()
        return Compiled(sql, parameters, conversions)

    def compile_once(self, key: object, query: Any) -> Compiled:
        """The same, cached under a key for the lifetime of this handle; see `prepared.Prepared`."""
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = self.compile(query)
        return compiled

    @abstractmethod
    def execute(self, sql: str, parameters: list[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows of a select that was compiled, as stored, one at a time."""

    @abstractmethod
    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a select that is text, as stored."""

    @abstractmethod
    def scalar(self, sql: str) -> Any:
        """The first column of the first row of a select that is text; None if there is no row."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Reads inside see one state of the database."""

    # Writing

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing. There is one writer at a time from the beginning, so what is read inside stays true."""

    def run(self, query: Any) -> int:
        """Run an insert (returns the new id), update or delete (returns the number of rows)."""
        with self.translate_errors():
            return int(query.execute(self._db) or 0)

    @abstractmethod
    def insert_many(self, model: Any, rows: list[dict[str, Any]]) -> None:
        """Insert rows with the same keys, in their order; much faster than one by one."""

    @abstractmethod
    def describe_violation(self, error: Exception, model: Any, row: dict[str, Any], only: str | None = None) -> str:
        """Which rule of the schema a row breaks, in words for an operator.

        Args:
            error: one of `violations`.
            only: of the references, look at the one of this column.
        """

    @abstractmethod
    def next_id(self, model: Any) -> int:
        """The id that the next row of a table gets; in a transaction it stays the same until a row is inserted."""

    @abstractmethod
    def reserve_ids(self, model: Any, up_to: int) -> None:
        """Let the next row of a table get an id above ``up_to``."""

    # The log of changes, which triggers write: it tells a reader cheaply whether the data has changed.

    @abstractmethod
    def change_marker(self) -> int:
        """A number that differs from this thread's last one if another connection has committed.

        Costs microseconds. Only for a connection that never writes: its own commits do not change the number.

        Raises:
            StoreError: another database is in the place of this one, which receives no changes any more.
        """

    @abstractmethod
    def never_wait(self) -> None:
        """From now on, let this thread's connection raise `LockedError` where it would wait for another's lock."""

    @abstractmethod
    def revision(self) -> int:
        """The number of the latest change to the data that decides access."""

    @abstractmethod
    def content_number(self) -> int:
        """A number that differs after the whole content was replaced, as by ``.restore`` of the sqlite3 shell.

        Revisions before that mean nothing any more.
        """

    @abstractmethod
    def changes_since(self, revision: int) -> list[ChangeRecord] | None:
        """The changes after a revision, in their order.

        Returns:
            None if they are more than `CHANGES_KEPT`, or some are no longer in the log.
        """

    @abstractmethod
    def forget_changes(self) -> None:
        """Delete all but the newest changes, so that the log does not grow."""

    # Checks and copies

    @abstractmethod
    def integrity_problems(self) -> list[str]:
        """What the engine finds wrong with the database; empty if nothing."""

    @abstractmethod
    def dangling_rows(self) -> list[str]:
        """The rows that refer to a missing row, each in words.

        The sqlite3 shell, which enforces no references unless told to, leaves such rows. They grant no access.
        """

    @abstractmethod
    def mend_dangling_rows(self) -> None:
        """Delete these rows, or clear their references, as the schema demands when the other row is deleted."""

    @abstractmethod
    def table_sizes(self) -> dict[str, int]:
        """The number of rows of each table, by name."""

    @abstractmethod
    def copy_to(self, path: str | Path) -> None:
        """Copy a snapshot of the database into a new file, while others read and write it."""

    @staticmethod
    @abstractmethod
    def engine_name() -> str:
        """The engine and its version, such as ``SQLite 3.51.3``."""
