"""One handle on the SQLite file: how it is made, opened, checked and written to."""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, overload

import apsw
from peewee import AutoField, ForeignKeyField, IntegerField, Model, ModelSelect, TextField
from playhouse.apsw_ext import APSWDatabase

from dsgctl.files import create_empty, kind_of, write_file
from dsgctl.store.errors import LockedError, StoreError, translate_errors

Table = TypeVar("Table", bound=Model)
Row = TypeVar("Row", bound=Mapping[str, Any])  # a TypedDict

_AS_IT_IS = (AutoField, ForeignKeyField, IntegerField, TextField)  # what these hold needs no conversion

# Before 3.51.3 two processes that checkpoint and write one WAL at the same moment
# can corrupt it (https://sqlite.org/wal.html#walresetbug), so the system's library
# will not do; apsw carries its own.
MINIMUM_SQLITE = (3, 51, 3)
APPLICATION_ID = 0x44534731  # set by migrations/0001_facts.sql
BUSY_TIMEOUT = 10.0  # seconds that a writer waits for another one
GAP = 0.002  # seconds between two changes of one writer, in which others get their turn
MAX_PARAMETERS = 10_000  # of one statement; SQLite takes 32,766
CHANGES_KEPT = 1000  # a server that has missed more forgets all its answers


class ChangeRecord(NamedTuple):
    """One change of the facts: whose permissions it may have moved; those of everybody if neither is set."""

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


class Database:
    """The facts in one SQLite file, for one process; connections are per thread.

    Writes go through `transaction`; reads need nothing around them, or `snapshot`
    where several must agree.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False, busy_timeout: float = BUSY_TIMEOUT) -> None:
        """Open an existing database; the schema is not looked at (see `migrations.open_current`).

        Raises:
            StoreError: there is no such file, it is not ours, or SQLite is too old.
        """
        require_sqlite(apsw.sqlite_lib_version())
        self.path = str(path)
        self._compiled: dict[object, Compiled] = {}
        self.replaced = False  # whether `change_marker` has found another file at the path
        try:
            _refuse_kinds(Path(path))
            self._file = _identity(path)
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(
                f"there is no database at {path}",
                "create it with 'dsgctl db migrate', or set DATABASE_PATH",
            ) from None
        except OSError as error:
            raise StoreError(
                f"{path} cannot be opened: {error.strerror}", "check who may read its directory"
            ) from error
        pragmas: dict[str, Any] = {
            "foreign_keys": 1,
            "mmap_size": 0,  # a mapped file turns a disk error into a crash of the process
            "synchronous": "full",  # what was acknowledged survives a power cut
        }
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
        self._db = APSWDatabase(self.path, pragmas=pragmas, timeout=busy_timeout, flags=flags)
        try:
            self._refuse_foreign()
        except StoreError:
            self._db.close()
            raise

    def _refuse_foreign(self) -> None:
        with self.snapshot():  # another process may be making the tables of a new file
            application = self.scalar("PRAGMA application_id")
            is_new = application == 0 and not self.scalar("SELECT 1 FROM sqlite_master")
        if application != APPLICATION_ID and not is_new:
            raise StoreError(f"{self.path} is a database of another program", "check DATABASE_PATH")

    def close(self) -> None:
        """Close this thread's connection; the handle can be used again."""
        with translate_errors(self.path):
            self._db.close()

    def require_writable(self) -> None:
        """Find out now, rather than at the first write.

        Raises:
            StoreError: the file can only be read.
        """
        with translate_errors(self.path):
            if self._db.connection().readonly("main"):
                raise StoreError(
                    f"{self.path} cannot be written to", "check the owner and mode of the file and its directory"
                )

    # Reading and writing. Queries are peewee's, made from dsgctl.store.models; they are
    # run here rather than on a model bound to one database, so that a process may hold
    # several handles (the server reads through one and writes through another).

    @overload
    def rows(self, query: Any) -> Iterator[dict[str, Any]]: ...

    @overload
    def rows(self, query: Any, shape: type[Row]) -> Iterator[Row]: ...

    def rows(self, query: Any, shape: type[Row] | None = None) -> Iterator[Any]:
        """The rows of a select as dicts, one at a time: a long answer is never held in memory.

        Keys are the selected columns in the order of the select, under their own name or alias.

        Args:
            shape: the TypedDict that describes a row.

        Raises:
            TypeError: the select has other columns than ``shape`` has keys.
        """
        keys = [getattr(column, "_alias", None) or column.name for column in query._returning]
        if shape is not None and keys != list(shape.__annotations__):
            raise TypeError(f"{shape.__name__} has the keys {list(shape.__annotations__)}, the select has {keys}")
        for row in self.tuples(query):
            yield dict(zip(keys, row, strict=True))

    def tuples(self, query: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a select as tuples, one at a time."""
        with translate_errors(self.path):
            yield from query.tuples().iterator(self._db)

    def objects(self, query: "ModelSelect[Table]") -> list[Table]:
        """The rows of a select of one model, as instances of it."""
        with translate_errors(self.path):
            return list(query.execute(self._db))

    def compile(self, query: Any) -> "Compiled":
        """A select as SQL of this engine."""
        columns = [getattr(column, "field", column) for column in query._returning]
        conversions = [(at, field.python_value) for at, field in enumerate(columns) if type(field) not in _AS_IT_IS]
        sql, parameters = self._db.get_sql_context().sql(query).query()
        return Compiled(sql, parameters, conversions)

    def compile_once(self, key: object, query: Any) -> "Compiled":
        """The same, kept under a key for as long as this handle lasts; see `prepared.Prepared`."""
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = self.compile(query)
        return compiled

    def execute(self, sql: str, parameters: list[Any]) -> Iterator[tuple[Any, ...]]:
        """Run a select that was compiled."""
        with translate_errors(self.path):
            yield from self._db.connection().execute(sql, parameters)

    def first(self, query: "ModelSelect[Table]") -> Table | None:
        """The first row of a select of one model, or None."""
        found = self.objects(query.limit(1))
        return found[0] if found else None

    def count(self, query: Any) -> int:
        with translate_errors(self.path):
            return int(query.count(self._db))

    def use_wal(self) -> None:
        """Let readers and a writer work at once. Lasts in the file; may not run in a transaction.

        Two processes that do this to a new file at the same moment both hold the lock that the other one needs.
        SQLite then refuses at once, without the busy timeout, so the waiting is done here.
        """
        deadline = time.monotonic() + BUSY_TIMEOUT
        while self.scalar("PRAGMA journal_mode") != "wal":
            try:
                self.scalar("PRAGMA journal_mode = wal")
            except LockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(GAP)

    def run(self, query: Any) -> int:
        """Run an insert (returns the new id), update or delete (returns how many rows)."""
        with translate_errors(self.path):
            return int(query.execute(self._db) or 0)

    def insert_many(self, model: Any, rows: list[dict[str, Any]]) -> None:
        """Insert rows of one shape in one go, in their order; far faster than one by one."""
        if not rows:
            return
        fields = {name: model._meta.fields[name] for name in rows[0]}
        columns = ", ".join(f'"{field.column_name}"' for field in fields.values())
        # Text and numbers go in as they are; only what a field changes is worth a call for every row.
        to_columns = [(name, None if type(field) in _AS_IT_IS else field.db_value) for name, field in fields.items()]
        one_row = f"({', '.join('?' * len(fields))})"
        at_once = MAX_PARAMETERS // len(fields)
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            values: list[Any] = []
            for row in part:
                # By name: rows whose keys are in another order must not end up in each other's columns.
                values += [to_column(row[name]) if to_column else row[name] for name, to_column in to_columns]
            with translate_errors(self.path):
                # One statement for many rows: at the end of each statement the search index is written out.
                # Names come from our own models; values are bound.
                self._db.connection().execute(
                    f'INSERT INTO "{model._meta.table_name}" ({columns}) VALUES {", ".join([one_row] * len(part))}',  # noqa: S608
                    values,
                )

    # Where SQLite keeps the highest id that a table ever had: https://sqlite.org/autoinc.html.

    def next_id(self, model: Any) -> int:
        """The id that the next row of a table gets; it stays so for the rest of a transaction."""
        with translate_errors(self.path):
            query = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = ?"
            return int(self._db.execute_sql(query, (model._meta.table_name,)).fetchone()[0])

    def reserve_ids(self, model: Any, up_to: int) -> None:
        """Number the next row of a table above ``up_to``."""
        if self.next_id(model) > up_to:
            return
        table = model._meta.table_name
        with translate_errors(self.path):
            self._db.execute_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self._db.execute_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, up_to))

    def scalar(self, sql: str) -> Any:
        with translate_errors(self.path):
            row = self._db.execute_sql(sql).fetchone()
        return row[0] if row else None

    def script(self, sql: str) -> None:
        """Run several statements, as a migration does."""
        with translate_errors(self.path):
            self._db.connection().execute(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, from BEGIN IMMEDIATE on, so that what is read inside stays true."""
        with translate_errors(self.path), self._db.atomic("IMMEDIATE"):
            yield
        # Whoever writes one change after the other would hardly let go: those who wait do not queue, but try
        # again once a millisecond (osSetPosixAdvisoryLock in SQLite's os_unix.c).
        time.sleep(GAP)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside see one state of the database."""
        with translate_errors(self.path), self._db.atomic("DEFERRED"):
            yield

    # What tells a reader, cheaply, whether the facts have changed.

    def change_marker(self) -> int:
        """A number that differs from this thread's last one if another connection committed.

        Costs microseconds. Only for a connection that never writes: a connection's own
        commits do not move it (https://sqlite.org/pragma.html#pragma_data_version).

        Raises:
            StoreError: somebody has put another file into the place of this one, which nobody writes to any more.
        """
        try:
            self.replaced = _identity(self.path) != self._file
        except OSError:
            self.replaced = True
        if self.replaced:
            raise StoreError(
                f"{self.path} is not the file that was opened: somebody replaced it or took it away",
                "start the server anew; next time use 'dsgctl db restore'",
            )
        row = self._db.connection().execute("PRAGMA data_version").fetchone()
        return int(row[0])

    def revision(self) -> int:
        """The number that triggers move with every change to the facts that decide access."""
        return int(self.scalar("SELECT max(number) FROM changes"))

    def changes_since(self, revision: int) -> list[ChangeRecord] | None:
        """Whom the changes after a revision concern, in their order; None if some of them are forgotten."""
        with translate_errors(self.path):
            query = "SELECT number, principal_id, group_id FROM changes WHERE number > ? ORDER BY number"
            found = [ChangeRecord(*row) for row in self._db.connection().execute(query, (revision,))]
        return found if not found or found[0].number == revision + 1 else None

    def forget_changes(self) -> None:
        """Keep the newest changes only, so that the list of them does not grow."""
        with translate_errors(self.path):
            query = "DELETE FROM changes WHERE number <= (SELECT max(number) FROM changes) - ?"
            self._db.connection().execute(query, (CHANGES_KEPT,))

    # What the engine knows of itself.

    def integrity_problems(self) -> list[str]:
        """What SQLite finds wrong with the file; empty if nothing."""
        with translate_errors(self.path):
            found = [str(row[0]) for row in self._db.execute_sql("PRAGMA integrity_check")]
        return [line for line in found if line != "ok"]

    def dangling(self) -> list[str]:
        """The rows that refer to one that is not there, each in words. The sqlite3 shell, which looks after no
        references unless it is told to, leaves such behind; nobody gets anything by them."""
        with translate_errors(self.path):
            found = self._db.execute_sql("PRAGMA foreign_key_check").fetchall()
        return [f"a row of {table} refers to a row of {parent} that is not there" for table, _, parent, _ in found]

    def mend_dangling(self) -> None:
        """Do what the shell left undone: what the schema says of such rows when the other one is deleted."""
        with translate_errors(self.path):
            tables = {row[0] for row in self._db.execute_sql("PRAGMA foreign_key_check").fetchall()}
            for table in sorted(tables):
                by_key: dict[int, list[Any]] = {}
                for row in self._db.execute_sql(f'PRAGMA foreign_key_list("{table}")').fetchall():
                    by_key.setdefault(row[0], []).append(row)
                for columns in by_key.values():
                    self._mend(table, columns)

    def _mend(self, table: str, columns: list[Any]) -> None:
        """Of one foreign key (https://sqlite.org/pragma.html#pragma_foreign_key_list). The names are our schema's."""
        parent, on_delete = columns[0][2], columns[0][6]
        given = " AND ".join(f'"{table}"."{column[3]}" IS NOT NULL' for column in columns)
        same = " AND ".join(f'"p"."{column[4] or column[3]}" = "{table}"."{column[3]}"' for column in columns)
        where = f'{given} AND NOT EXISTS (SELECT 1 FROM "{parent}" AS "p" WHERE {same})'  # noqa: S608
        if on_delete == "SET NULL":
            nothing = ", ".join(f'"{column[3]}" = NULL' for column in columns)
            self._db.execute_sql(f'UPDATE "{table}" SET {nothing} WHERE {where}')  # noqa: S608
        else:
            self._db.execute_sql(f'DELETE FROM "{table}" WHERE {where}')  # noqa: S608

    def table_sizes(self) -> dict[str, int]:
        """The number of rows of each table of ours, by name."""
        with translate_errors(self.path):
            names = self._db.execute_sql(
                "SELECT name FROM sqlite_schema WHERE type = 'table' "
                "AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'principals!_search%' ESCAPE '!' ORDER BY 1"
            ).fetchall()
            # The names are those of our own schema.
            return {
                name: int(self._db.execute_sql(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608
                for (name,) in names
            }

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a select."""
        with translate_errors(self.path):
            return list(self._db.connection().execute(sql))

    def raw(self) -> apsw.Connection:
        """This thread's connection itself, for the modules of this package."""
        connection: apsw.Connection = self._db.connection()
        return connection

    def schema(self) -> "Schema":
        """What the database is made of; see `Schema`."""
        return _schema_of(self.read(_SCHEMA))

    def copy_to(self, path: str | Path) -> None:
        """Copy the database into a new file as it is at one moment, while others read and write it."""
        with translate_errors(self.path):
            self._db.execute_sql("VACUUM INTO ?", (str(path),))

    @staticmethod
    def engine() -> str:
        return f"SQLite {apsw.sqlite_lib_version()}"


# (type, name) -> the statement that made it, of each table, index, trigger and view; statistics aside.
Schema = dict[tuple[str, str], str | None]

_SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_stat[1-4]'"
_OF_THE_INDEX = "principals_search_"  # tables that FTS5 makes for itself, in words of its own


def _schema_of(rows: list[tuple[Any, ...]]) -> Schema:
    return {
        (kind, name): None if name.startswith(_OF_THE_INDEX) and kind == "table" else sql for kind, name, sql in rows
    }


def schema_after(scripts: list[str]) -> Schema:
    """The schema that these scripts make of an empty database."""
    connection = apsw.Connection(":memory:")
    try:
        for script in scripts:
            connection.execute(script)
        return _schema_of(list(connection.execute(_SCHEMA)))
    finally:
        connection.close()


def _identity(path: str | Path) -> tuple[int, int]:
    """What tells one file from another, whatever its name."""
    found = os.stat(path)  # noqa: PTH116  a third of the time of Path.stat; this is done at every request
    return found.st_dev, found.st_ino


def require_sqlite(version: str) -> None:
    """Refuse to run on a SQLite that may corrupt the database.

    Args:
        version: as SQLite tells it, ``3.51.3``.

    Raises:
        StoreError: it is older than `MINIMUM_SQLITE`.
    """
    if tuple(int(part) for part in version.split(".")[:3]) < MINIMUM_SQLITE:
        need = ".".join(map(str, MINIMUM_SQLITE))
        raise StoreError(
            f"SQLite {version} can corrupt a database that several programs write to; {need} or later is needed",
            "pip install --upgrade apsw",
        )


def owner_name(path: Path) -> str:
    """Whose a file is; a number where nobody of that number is known."""
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)


def create_file(path: str | Path) -> None:
    """Make an empty database file that the service can use, whoever runs this.

    The file is 0600; 0660 in a directory that a group shares (setgid and group-writable).
    Made by root, it is given to the directory's owner and group: SQLite then makes
    ``-wal`` and ``-shm`` with the same mode, owner and group
    (findCreateFileMode and robustFchown in its os_unix.c).

    Raises:
        StoreError: the directory is not there or may not be written to.
    """
    path = Path(path)
    try:
        mode, owner = ownership(path.parent)
        create_empty(path, mode=mode, owner=owner)
    except FileExistsError:
        try:
            _refuse_kinds(path)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be opened: {error.strerror}", "check who may read its directory"
            ) from error
    except FileNotFoundError as error:
        raise StoreError(
            f"the directory {path.parent} does not exist",
            f"make it: install -d -o dsg -g dsg -m 2770 {path.parent}",
        ) from error
    except OSError as error:
        raise StoreError(f"cannot create {path}: {error.strerror}", "check who may write there") from error


def ownership(directory: Path) -> tuple[int, tuple[int, int] | None]:
    """Mode and owner of a database file in a directory; no owner where it need not be given away.

    Raises:
        OSError: there is no such directory.
    """
    state = directory.stat()
    shared = stat.S_ISGID | stat.S_IWGRP
    mode = 0o660 if state.st_mode & shared == shared else 0o600
    return mode, (state.st_uid, state.st_gid) if os.geteuid() == 0 else None


def private_copy(database: Database, target: Path) -> None:
    """Copy a database beside itself, for those alone who may read the original's directory.

    It is made in a directory that nobody else can enter: SQLite, which makes the file, follows symbolic links.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".copy-", dir=target.parent) as name:
            copy = Path(name) / "copy"
            database.copy_to(copy)
            mode, owner = ownership(target.parent)
            with copy.open("rb") as source:
                write_file(target, source, mode=mode, owner=owner)
    except OSError as error:
        raise StoreError(
            f"cannot create {target}: {error.strerror}", "check who may write there, and the room"
        ) from error


def _refuse_kinds(path: Path) -> None:
    """Raises:
    StoreError: something has this name that is not a file.
    OSError: nothing has it, or it cannot be looked at.
    """
    if kind := kind_of(path):
        what = f"there is no database at {path}: it" if path.is_symlink() else f"{path} cannot be opened: it"
        raise StoreError(f"{what} is {kind}", "set DATABASE_PATH to the file of the database, or move that away")


# Where a connection to a file holds its shared lock for as long as it is open in WAL mode:
# SHARED_FIRST and SHARED_SIZE in SQLite's os.h.
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510


@contextmanager
def exclusive(path: str | Path) -> Iterator[None]:
    """Keep everybody off a database file, so that it can be replaced. This process must have no connection to it.

    Raises:
        StoreError: somebody has it open.
    """
    if not Path(path).exists():
        yield
        return
    with Path(path).open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except OSError as error:
            raise StoreError(
                f"{path} is in use", "stop the servers and other commands first: systemctl stop 'dsgserve*'"
            ) from error
        yield
