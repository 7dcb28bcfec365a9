"""Maintenance of the database file: upgrade it, check and mend it, run SQL on it, describe it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypedDict

from dsgctl.core import audit_chain, delegated_grants
from dsgctl.core.change import Change
from dsgctl.core.errors import DsgError
from dsgctl.core.validation import MAX_TEXT
from dsgctl.files import owner_name
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST, copy_before_migration, migrate, schema_number, schema_problems
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgctl.store.sqlite.shell import ResultSet, run_statements
from dsgctl.store.times import utc_text

Begin = Callable[[], AbstractContextManager[Change]]

_SHOWN = 3  # problems that an error names
_RECORDED = 1000  # rows that an audit record names


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A migrated database.

    Attributes:
        migrations: how many ran; 0 if the schema was the latest.
        created: there was no file before.
        former: a copy of the database before it; None if it was new or unchanged.
    """

    migrations: int
    created: bool
    former: Path | None


class DatabaseInfo(TypedDict):
    """``bytes`` of the file; ``owner``: a user name; ``mode``: four octal digits."""

    path: str
    schema: int
    schema_of_this_release: int
    engine: str
    bytes: int
    owner: str
    mode: str


def upgrade_database(path: Path, at: datetime) -> Upgrade:
    """Create a database, or bring it to the schema of this release; a copy of the former one is kept beside it.

    Raises:
        StoreError: it is of a later release, or cannot be written.
    """
    moment, existed = utc_text(at), path.exists()
    former = copy_before_migration(path, moment)
    migrations = migrate(path, now=moment)
    return Upgrade(len(migrations), created=not existed, former=former)


def require_sound(database: Database, begin: Begin, *, mend: bool) -> None:
    """Check the file, its schema, its references, delegated grants and the chain of audit records.

    Args:
        begin: opens a change of this database.
        mend: delete what the sqlite3 shell left of deleted rows, and end delegated grants that lack support.

    Raises:
        DsgError: something is wrong, and was not mended.
    """
    path = database.path
    if foreign := schema_problems(database):
        raise DsgError(
            f"{path}: {_summarize(foreign)}",
            "a trigger or view can undo any rule: find out who did it, and restore a backup",
        )
    # SQLite checks the file in one call, during which another thread can compute the hashes.
    with ThreadPoolExecutor(max_workers=1) as pool:
        verification = pool.submit(_verify_chain, database)
        problems = database.integrity_problems()
        if not problems:
            _require_references(database, begin, mend=mend)
            _require_support(database, begin, mend=mend)
        broken = verification.result()
    if broken is not None:
        problems.append(f"audit record {broken} does not follow from the one before it: somebody changed the log")
    if problems:
        raise DsgError(f"{path}: {_summarize(problems)}", "restore a backup")


def _verify_chain(database: Database) -> int | None:
    try:
        return audit_chain.verify(database)
    finally:
        database.close()  # this thread's connection


def _require_references(database: Database, begin: Begin, *, mend: bool) -> None:
    dangling = database.dangling_rows()
    if dangling and mend:
        with begin() as change:
            database.mend_dangling_rows()
            change.record("db.mend", f"database:{database.path}", before={"rows": dangling[:_RECORDED]})
        dangling = database.dangling_rows()
    if dangling:
        more = f" and {len(dangling) - 1} more such" if len(dangling) > 1 else ""
        raise DsgError(f"{database.path}: {dangling[0]}{more}", "dsgctl db check --mend deletes what is left")


def _require_support(database: Database, begin: Begin, *, mend: bool) -> None:
    unsupported = delegated_grants.count_unsupported(database)
    if unsupported and mend:
        with begin():
            pass  # every change ends what lacks support
    elif unsupported:
        raise DsgError(
            f"{database.path}: delegated grants (--as) exceed what the people who gave them may give: "
            f"{unsupported} to take back or shorten",
            "the next change does it, or dsgctl db check --mend",
        )


def _summarize(problems: list[str]) -> str:
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return f"{'; '.join(problems[:_SHOWN])}{more}"


def run_sql(database: Database, sql: str, begin: Begin | None) -> list[ResultSet]:
    """Run SQL statements.

    Args:
        begin: opens a change of this database, in which the statements may write rows; None to read only.

    Returns:
        The rows of each statement that has any.

    Raises:
        BadStatement: a statement is not SQL, or not allowed.
    """
    if begin is None:
        return run_statements(database, sql, write=False)
    with begin() as change:
        answers = run_statements(database, sql, write=True)
        change.record("db.shell", f"database:{database.path}", after={"sql": sql[:MAX_TEXT]})
    return answers


def describe_database(path: Path) -> DatabaseInfo:
    """Raises:
    StoreError: there is no database, or it cannot be read.
    """
    database = SqliteDatabase(path)
    try:
        status = path.stat()
        return {
            "path": str(path),
            "schema": schema_number(database),
            "schema_of_this_release": LATEST,
            "engine": database.engine_name(),
            "bytes": status.st_size,
            "owner": owner_name(path),
            "mode": f"{status.st_mode & 0o777:04o}",
        }
    finally:
        database.close()
