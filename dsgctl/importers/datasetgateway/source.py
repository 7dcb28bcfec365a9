"""The database of the original server: opened without touching it, checked, and read row by row."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from dsgctl.core.errors import Invalid

# The tables and columns that are read. A file that lacks one is of another program or another release of it.
NEEDED = {
    "dsg_user": "id google_sub email name display_name admin is_active pi read_only created notes picture_url "
    "parent_id",
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


@dataclass(frozen=True, slots=True)
class Row:
    """One row, which knows where it stands, so that what is wrong with it can be named."""

    table: str
    values: dict[str, Any]

    @property
    def id(self) -> int:
        return int(self.values["id"])

    @property
    def where(self) -> str:
        return f"{self.table} row {self.values['id']}"

    def text(self, column: str) -> str:
        found = self.values[column]
        if not isinstance(found, str):
            raise Invalid(f"{self.where}: {column} is not text")
        return found

    def flag(self, column: str) -> bool:
        found = self.values[column]
        if found not in (0, 1):
            raise Invalid(f"{self.where}: {column} is neither 0 nor 1")
        return bool(found)

    def number(self, column: str) -> int:
        found = self.values[column]
        if not isinstance(found, int):
            raise Invalid(f"{self.where}: {column} is not a number")
        return found

    def moment(self, column: str) -> datetime:
        """A time; Django keeps them as UTC text without a zone."""
        try:
            found = datetime.fromisoformat(self.text(column))
        except ValueError:
            raise Invalid(f"{self.where}: {column} is not a time") from None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

    def moment_or_none(self, column: str) -> datetime | None:
        return None if self.values[column] is None else self.moment(column)


class Source:
    """The rows of one state of the file."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(self, table: str) -> Iterator[Row]:
        columns = NEEDED[table].split()
        quoted = ", ".join(f'"{column}"' for column in columns)
        # Names are our own; the table `grant` is a word of SQL.
        for values in self._connection.execute(f'SELECT {quoted} FROM "{table}" ORDER BY id'):  # noqa: S608
            yield Row(table, dict(zip(columns, values, strict=True)))

    def total(self) -> int:
        """How many rows there are in all."""
        tables = " UNION ALL ".join(f'SELECT count(*) AS n FROM "{table}"' for table in NEEDED)  # noqa: S608
        return int(next(self._connection.execute(f"SELECT sum(n) FROM ({tables})"))[0])  # noqa: S608


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Read a database of the original server; the file is not changed, nor anything made beside it.

    Raises:
        Invalid: it is not one, or it is damaged.
    """
    if not path.is_file():
        raise Invalid(f"{path} is not a file", "name the SQLite file of the original server, often db.sqlite3")
    wal = path.with_name(path.name + "-wal")
    # Without a write-ahead log nothing is to be found but in the file itself, and SQLite need not look for more.
    mode = "mode=ro" if wal.exists() and wal.stat().st_size else "immutable=1"
    uri = f"file:{quote(str(path.absolute()))}?{mode}"
    try:
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        connection.setbusytimeout(5000)
        try:
            connection.execute("BEGIN")
            _check(connection, path)
            yield Source(connection)
        finally:
            connection.close()
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise Invalid(f"{path} is damaged or not an SQLite database ({error})", "take a new copy of it") from None
    except apsw.BusyError:
        raise Invalid(f"{path} is being written to", "stop its server, or import a copy") from None
    except (apsw.CantOpenError, apsw.IOError, apsw.PermissionsError) as error:
        raise Invalid(f"cannot read {path}: {error}", "check who may read it") from None


def _check(connection: apsw.Connection, path: Path) -> None:
    """Raises:
    Invalid: a table or column is missing, or SQLite finds the file damaged.
    """
    for table, columns in NEEDED.items():
        there = {row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')}
        missing = [column for column in columns.split() if column not in there]
        if not there:
            raise Invalid(f"{path} has no table {table}", "is it a database of the original DatasetGateway?")
        if missing:
            raise Invalid(
                f"{path}: the table {table} has no column {missing[0]}",
                "it is of another release of DatasetGateway than can be read here",
            )
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
    if problems:
        raise Invalid(f"{path} is damaged ({problems[0]})", "take a new copy of it")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        if table in NEEDED:
            raise Invalid(f"{path}: {table} row {row} names a row of {parent} that is not there", "mend it there first")
