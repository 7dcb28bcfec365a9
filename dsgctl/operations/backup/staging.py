"""The private directory that holds the contents of a bundle in clear, and the check of the database in it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core.errors import DsgError
from dsgctl.store import StoreError
from dsgctl.store.migrations import schema_number, schema_problems
from dsgctl.store.sqlite.database import SqliteDatabase


@contextmanager
def open_staging(config: Config) -> Iterator[Path]:
    """A new directory below ``DSG_BACKUP_STAGING_DIR``; it is deleted at the end.

    Raises:
        DsgError: it cannot be created or written to.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="dsg-backup-", dir=config.backup_staging_dir) as name:
            yield Path(name)
    except OSError as error:
        where = error.filename or config.backup_staging_dir
        raise DsgError(f"{where}: {error.strerror}", "make room there, or set DSG_BACKUP_STAGING_DIR") from error


def verify_copy(path: Path) -> tuple[int, dict[str, int]]:
    """Check a copied database. Returns its schema number, and the number of rows of each table.

    Raises:
        DsgError: it is damaged, or its schema is not that of a release.
    """
    database = None
    try:
        database = SqliteDatabase(path, read_only=True)
        # The schema first: a trigger or view that was added to it would run when the rest is read.
        problems = schema_problems(database) or database.integrity_problems()
        schema, rows = (0, {}) if problems else (schema_number(database), database.table_sizes())
    except StoreError as error:
        problems = [error.message]
    finally:
        if database:
            database.close()
    if problems:
        raise DsgError(f"the database is damaged: {problems[0]}", "'dsgctl db check' lists more; restore a backup")
    return schema, rows
