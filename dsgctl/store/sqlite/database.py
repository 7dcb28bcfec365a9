"""The handle on a SQLite file."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import apsw

from dsgctl.store.database import CHANGES_KEPT, ROWS_A_STATEMENT, ChangeRecord, Compiled, Database
from dsgctl.store.errors import LockedError, StoreError
from dsgctl.store.sqlite import change_log, constraints, integrity
from dsgctl.store.sqlite.errors import ErrorTranslation
from dsgctl.store.sqlite.files import file_identity, refuse_other_kinds

# Before 3.51.3, two processes that checkpoint and write the same WAL at the same moment can corrupt it
# (https://sqlite.org/wal.html#walresetbug). The system's library may be older; apsw contains its own.
MINIMUM_VERSION = (3, 51, 3)
APPLICATION_ID = 0x44534731  # set by migrations/0001_facts.sql
BUSY_TIMEOUT = 25.0  # seconds that a writer waits for others; nginx waits 30 for an answer (nginx/dsg.conf)
GAP = 0.002  # seconds between two changes of one writer, in which others get their turn
# Of each connection. A mapped file turns a disk error into a crash of the process. What was acknowledged survives a
# power cut only if synchronous is full.
_PRAGMAS = "PRAGMA foreign_keys = 1; PRAGMA mmap_size = 0; PRAGMA synchronous = full"


class SqliteDatabase(Database):
    """The data in one SQLite file."""

    violations = (apsw.ConstraintError,)

    def __init__(self, path: str | Path, *, read_only: bool = False, busy_timeout: float = BUSY_TIMEOUT) -> None:
        """Open an existing database. The schema is not checked; see `migrations.open_current`.

        Raises:
            StoreError: there is no such file, it belongs to another program, or SQLite is too old.
        """
        require_version(apsw.sqlite_lib_version())
        self.path = str(path)
        self.is_replaced = False
        self._compiled: dict[object, Compiled] = {}
        self._error_translation = ErrorTranslation(self.path)
        try:
            refuse_other_kinds(Path(path))
            self._identity = file_identity(path)
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(
                f"there is no database at {path}",
                "create it with 'dsgctl db migrate', or set DATABASE_PATH",
            ) from None
        except OSError as error:
            raise StoreError(
                f"{path} cannot be opened: {error.strerror}", "check who may read its directory"
            ) from error
        self._flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
        self._busy_timeout = busy_timeout
        self._thread = threading.local()
        try:
            self._refuse_foreign()
        except StoreError:
            self.close()
            raise

    def _refuse_foreign(self) -> None:
        with self.snapshot():  # another process may be creating the tables of a new file
            application = self.scalar("PRAGMA application_id")
            is_new = application == 0 and not self.scalar("SELECT 1 FROM sqlite_master")
        if application != APPLICATION_ID and not is_new:
            raise StoreError(f"{self.path} is a database of another program", "check DATABASE_PATH")

    def translate_errors(self) -> AbstractContextManager[None]:
        return self._error_translation

    def connection(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = self._thread.connection = self._connect()
        return connection

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(self.path, flags=self._flags)
        try:
            connection.set_busy_timeout(int(self._busy_timeout * 1000))
            connection.execute(_PRAGMAS).fetchall()
            # Otherwise SQLite, which apsw builds with STAT4, plans a statement anew for other bound values, which takes
            # longer than to run it (https://sqlite.org/c3ref/c_dbconfig_defensive.html, "ENABLE_QPSG").
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        except apsw.Error:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        connection: apsw.Connection | None = getattr(self._thread, "connection", None)
        if connection is not None:
            self._thread.connection = None
            with self.translate_errors():
                connection.close()

    @cached_property
    def _db(self) -> Any:
        from dsgctl.store.sqlite.query_runner import QueryRunner  # not at the top: it imports peewee

        return QueryRunner(self.path, self.connection)

    def require_writable(self) -> None:
        with self.translate_errors():
            if self.connection().readonly("main"):
                raise StoreError(
                    f"{self.path} cannot be written to", "check the owner and mode of the file and its directory"
                )

    def enable_wal(self) -> None:
        """Let readers and a writer work at the same time. The file keeps this mode. Not in a transaction.

        Two processes that do this to a new file at the same moment both hold the lock that the other one needs.
        SQLite then refuses immediately, without the busy timeout, so the waiting is done here.
        """
        deadline = time.monotonic() + BUSY_TIMEOUT
        while self.scalar("PRAGMA journal_mode") != "wal":
            try:
                self.scalar("PRAGMA journal_mode = wal")
            except LockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(GAP)

    # Reading

    def execute(self, sql: str, parameters: list[Any]) -> Iterator[tuple[Any, ...]]:
        with self.translate_errors():
            yield from self.connection().execute(sql, parameters)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._error_translation:
            rows: list[tuple[Any, ...]] = self.connection().execute(sql, parameters).fetchall()
        return rows

    def scalar(self, sql: str) -> Any:
        with self._error_translation:
            row = self.connection().execute(sql).fetchone()
        return row[0] if row else None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.translate_errors(), self._all_or_nothing("BEGIN DEFERRED"):
            yield

    # Writing

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.translate_errors(), self._all_or_nothing("BEGIN IMMEDIATE"):
            yield
        # A process that writes one change after the other would hardly let others in: those that wait do not queue,
        # but try again once a millisecond (osSetPosixAdvisoryLock in SQLite's os_unix.c).
        time.sleep(GAP)

    @contextmanager
    def _all_or_nothing(self, begin: str) -> Iterator[None]:
        """A transaction, or in another one a savepoint."""
        connection = self.connection()
        if connection.in_transaction:
            with connection:
                yield
            return
        connection.execute(begin)
        try:
            yield
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:  # not after COMMIT, nor where SQLite has ended it because the disk is full
                connection.execute("ROLLBACK")

    def script(self, sql: str) -> None:
        """Run several statements, as a migration does."""
        with self.translate_errors():
            self.connection().execute(sql)

    def insert_many(self, model: Any, rows: list[dict[str, Any]]) -> None:
        from dsgctl.store.queries import UNCONVERTED  # not at the top: it imports peewee

        if not rows:
            return
        fields = {name: model._meta.fields[name] for name in rows[0]}
        names = ", ".join(f'"{field.column_name}"' for field in fields.values())
        placeholders = f"({', '.join('?' * len(fields))})"
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            batch = rows[start : start + ROWS_A_STATEMENT]
            # By name: rows whose keys are in another order must not end up in each other's columns.
            columns = [[row[name] for row in batch] for name in fields]
            for index, field in enumerate(fields.values()):
                if type(field) not in UNCONVERTED:  # mostly flags and one time: each is converted once
                    stored = {value: field.db_value(value) for value in set(columns[index])}
                    columns[index] = [stored[value] for value in columns[index]]
            with self.translate_errors():
                # One statement for many rows: the search index is written out at the end of each statement.
                # The names come from our own models; the values are bound.
                self.connection().execute(
                    f'INSERT INTO "{model._meta.table_name}" ({names}) VALUES {", ".join([placeholders] * len(batch))}',  # noqa: S608
                    list(chain.from_iterable(zip(*columns, strict=True))),
                )

    def describe_violation(self, error: Exception, model: Any, row: dict[str, Any], only: str | None = None) -> str:
        return constraints.describe_violation(self.connection(), error, model, row, only)

    # SQLite stores the highest id that a table ever had: https://sqlite.org/autoinc.html.

    def next_id(self, model: Any) -> int:
        with self.translate_errors():
            query = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = ?"
            row: Any = self.connection().execute(query, (model._meta.table_name,)).fetchone()
        return int(row[0])

    def reserve_ids(self, model: Any, up_to: int) -> None:
        if self.next_id(model) > up_to:
            return
        table = model._meta.table_name
        with self.translate_errors():
            self.connection().execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self.connection().execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, up_to))

    # The log of changes

    def change_marker(self) -> int:
        """https://sqlite.org/pragma.html#pragma_data_version, after a check that the path still names this file."""
        try:
            self.is_replaced = file_identity(self.path) != self._identity
        except OSError:
            self.is_replaced = True
        if self.is_replaced:
            raise StoreError(
                f"{self.path} is not the file that was opened: it was replaced or removed",
                "restart the server; next time use 'dsgctl db restore'",
            )
        with self.translate_errors():
            row: Any = self.connection().execute("PRAGMA data_version").fetchone()
        return int(row[0])

    def never_wait(self) -> None:
        self.connection().set_busy_timeout(0)

    def revision(self) -> int:
        return int(self.scalar("SELECT max(number) FROM changes"))

    def content_number(self) -> int:
        return int(self.scalar("PRAGMA schema_version"))  # sqlite3_backup_step and VACUUM increment it

    def changes_since(self, revision: int) -> list[ChangeRecord] | None:
        query = "SELECT number, principal_id, group_id FROM changes WHERE number > ? ORDER BY number LIMIT ?"
        rows = self.read(query, (revision, CHANGES_KEPT + 1))  # the sqlite3 shell leaves a longer log
        is_complete = not rows or (rows[0][0] == revision + 1 and len(rows) <= CHANGES_KEPT)
        return [ChangeRecord._make(row) for row in rows] if is_complete else None

    def forget_changes(self) -> None:
        with self.translate_errors():
            change_log.keep_newest(self.connection(), CHANGES_KEPT)

    # Checks and copies

    def integrity_problems(self) -> list[str]:
        with self.translate_errors():
            return integrity.list_problems(self.connection())

    def dangling_rows(self) -> list[str]:
        with self.translate_errors():
            return integrity.list_dangling_rows(self.connection())

    def mend_dangling_rows(self) -> None:
        with self.translate_errors():
            integrity.mend_dangling_rows(self.connection())

    def table_sizes(self) -> dict[str, int]:
        with self.translate_errors():
            return integrity.count_rows(self.connection())

    def copy_to(self, path: str | Path) -> None:
        with self.translate_errors():
            self.connection().execute("VACUUM INTO ?", (str(path),))

    @staticmethod
    def engine_name() -> str:
        return f"SQLite {apsw.sqlite_lib_version()}"


def require_version(version: str) -> None:
    """Refuse to run on a SQLite that may corrupt the database.

    Args:
        version: as SQLite reports it, ``3.51.3``.

    Raises:
        StoreError: it is older than `MINIMUM_VERSION`.
    """
    if tuple(int(part) for part in version.split(".")[:3]) < MINIMUM_VERSION:
        need = ".".join(map(str, MINIMUM_VERSION))
        raise StoreError(
            f"SQLite {version} can corrupt a database that several programs write to; {need} or later is needed",
            "pip install --upgrade apsw",
        )
