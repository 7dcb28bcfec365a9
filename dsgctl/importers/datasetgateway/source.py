"""The database of the original server: opened without touching it, checked, and read row by row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from dsgctl.core.errors import Invalid
from dsgctl.importers.rows import MOST, Row

# The tables and columns that are read. A file that lacks one is of another program or another release of it.
NEEDED = {
    "dsg_user": "id google_sub email name display_name admin is_active pi read_only created notes picture_url"
    " parent_id",
    "affiliation": "id name user_id",
    "dsg_group": "id name",
    "user_group": "id is_admin group_id user_id",
    "permission": "id name",
    "dataset": "id name description access_mode tos_id",
    "dataset_version": "id version prefix is_public dataset_id",
    "dataset_bucket": "id name dataset_id",
    "dataset_version_buckets": "id datasetversion_id datasetbucket_id",
    "grant": "id source created dataset_id dataset_version_id granted_by_id user_id group_id permission_id",
    "group_dataset_permission": "id dataset_id group_id permission_id",
    "service": "id name display_name base_url",
    "service_table": "id service_name table_name dataset_id",
    "public_root": "id root_id service_table_id",
    "tos_document": "id name text invite_token effective_date retired_date dataset_id dataset_version_id service_id",
    "tos_acceptance": "id accepted_at ip_address user_id tos_document_id",
    "api_key": "id key description created last_used user_id expires_at",
    "service_account": "id name description is_active created created_by_id",
    "service_account_token": "id key description created last_used service_account_id",
    "service_account_grant": "id created dataset_id dataset_version_id granted_by_id permission_id service_account_id",
    "audit_log": "id action target_type target_id before_state after_state timestamp actor_id",
}
# Columns of these tables that decide nothing here. Any other is of a release that knows more than we do:
# to leave out, say, a date on which a grant ends would give away more than that server does.
_LEFT_OUT = {
    "dsg_user": "password last_login gdpr_consent scim_id external_id updated",
    "dsg_group": "scim_id external_id",
    "dataset": "scim_id external_id",
    "service_account": "updated",
}
# Facts that have no place here: table, column, the condition that there is something in it.
_LOST = (
    ("dsg_user", "gdpr_consent", "gdpr_consent = 1"),
    *(
        (table, column, f"{column} IS NOT NULL")
        for table in ("dsg_user", "dsg_group", "dataset")
        for column in ("scim_id", "external_id")
    ),
)
_OF_DJANGO = ("django_", "auth_", "account_", "socialaccount_", "sqlite_")  # tables of the framework


class Source:
    """The rows of one state of the file."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @property
    def name(self) -> str:
        return str(self._path)

    def rows(self, table: str) -> Iterator[Row]:
        """Every row in the order of ids.

        Raises:
            Invalid: one cannot be read; it can only be named by the one before.
        """
        columns = NEEDED[table].split()
        quoted = ", ".join(f'"{column}"' for column in columns)
        last: Any = None
        with _readable(self._path, lambda: f"{table}, the row after {last}" if last is not None else f"{table} row 1"):
            # Names are our own; the table `grant` is a word of SQL.
            for values in self._connection.execute(f'SELECT {quoted} FROM "{table}" ORDER BY id'):  # noqa: S608
                last = values[0]
                yield Row(table, dict(zip(columns, values, strict=True)))

    def total(self) -> int:
        """How many rows there are in all."""
        return sum(self._number(f'SELECT count(*) FROM "{table}"') for table in NEEDED)  # noqa: S608

    def last_user_id(self) -> int:
        """The highest id that a user ever had, those since deleted included."""
        found = self._number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'dsg_user'")
        if not 0 <= found < MOST:
            raise Invalid(f"{self._path}: sqlite_sequence of dsg_user is out of range", "mend it there first")
        return found

    def lost(self) -> Iterator[str]:
        """What there is in the file that has no place here, a line each."""
        for table, column, condition in _LOST:
            if count := self._number(f'SELECT count(*) FROM "{table}" WHERE {condition}'):  # noqa: S608
                rows = "row" if count == 1 else "rows"
                yield f"{column} of {count} {rows} of {table}: there is no place for it here"
        for table in sorted(_tables(self._connection)):
            if table not in NEEDED and not table.startswith(_OF_DJANGO):
                yield f"the table {_plain(table)}: it is not known here"

    def _number(self, sql: str) -> int:
        with _readable(self._path):
            found = next(self._connection.execute(sql))[0]
            return int(found) if isinstance(found, int) else -1


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Read a database of the original server; the file is not changed, nor anything made beside it.

    All is read of one state of it, also while its server writes.

    Raises:
        Invalid: it is not one, or it is damaged.
    """
    try:
        if not path.is_file():
            raise Invalid(f"{path} is not a file", "name the SQLite file of the original server, often db.sqlite3")
        uri = f"{path.absolute().as_uri()}?{_mode(path)}"
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}", "check who may read it") from None
    connection: apsw.Connection | None = None
    try:
        with _readable(path):
            connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            connection.set_busy_timeout(5000)
            for pragma in ("trusted_schema = 0", "cell_size_check = 1", "mmap_size = 0"):  # it may be anybody's file
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            _check(connection, path)
        yield Source(connection, path)
    finally:
        if connection is not None:
            connection.close()


def _mode(path: Path) -> str:
    """How to open the file so that nothing is made beside it.

    SQLite cannot read a database in WAL mode without ``-wal`` and ``-shm``, and would make them; but where
    there is no ``-wal``, nobody has it open, and it may be read as one that cannot change.
    """
    with path.open("rb") as file:
        header = file.read(20)
    in_wal_mode = header[18:20] == b"\x02\x02"  # https://sqlite.org/fileformat.html#file_format_version_numbers
    return "immutable=1" if in_wal_mode and not path.with_name(path.name + "-wal").exists() else "mode=ro"


@contextmanager
def _readable(path: Path, where: Callable[[], str] | None = None) -> Iterator[None]:
    """Turn what SQLite says of the source into `Invalid`; what happens to our own database is not its affair."""
    try:
        yield
    except apsw.BusyError:
        raise Invalid(f"{path} is being written to", "try again, stop its server, or import a copy") from None
    except apsw.ReadOnlyError:
        raise Invalid(
            f"{path} has a transaction that was cut short, and {path.name}-journal to undo it",
            "start and stop its server once, which undoes it, then import",
        ) from None
    except (apsw.CantOpenError, apsw.IOError, apsw.PermissionsError) as error:
        raise Invalid(f"cannot read {path}: {_plain(error)}", "check who may read it and its directory") from None
    except UnicodeDecodeError:
        raise Invalid(
            f"{path}: {where() + ': ' if where else ''}there is text that is not UTF-8", "mend it there first"
        ) from None
    except apsw.Error as error:
        raise Invalid(
            f"{path} is damaged or not an SQLite database ({_plain(error)})", "take a new copy of it"
        ) from None


def _plain(words: object) -> str:
    """What SQLite says, in one line."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(words)).split())


def _tables(connection: apsw.Connection) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def _check(connection: apsw.Connection, path: Path) -> None:
    """Raises:
    Invalid: a table or column is missing, one is not known, or SQLite finds the file damaged.
    """
    tables = _tables(connection)
    for table, columns in NEEDED.items():
        if table not in tables:
            raise Invalid(f"{path} has no table {table}", "is it a database of the original DatasetGateway?")
        there = [str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')]
        known = [*columns.split(), *_LEFT_OUT.get(table, "").split()]
        missing = [column for column in columns.split() if column not in there]
        if missing:
            raise Invalid(
                f"{path}: the table {table} has no column {missing[0]}",
                "it is of an older release; run that server's own migrations first",
            )
        strange = [column for column in there if column not in known]
        if strange:
            raise Invalid(
                f"{path}: the table {table} has a column {_plain(strange[0])} that is not known here",
                "it is of a newer release of DatasetGateway than can be read here",
            )
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
    if problems:
        raise Invalid(f"{path} is damaged ({_plain(problems[0])})", "take a new copy of it")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        if table in NEEDED:
            raise Invalid(f"{path}: {table} row {row} names a row of {parent} that is not there", "mend it there first")
