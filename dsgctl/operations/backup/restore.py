"""Restores a bundle: verifies it, and puts its database and its settings into place."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core.errors import Conflict, DsgError, Invalid, NotFound
from dsgctl.files import SETTINGS_MODE, write_file
from dsgctl.operations.backup.archive import CLIENT, DATABASE, RECIPIENTS, SETTINGS, Manifest, unpack
from dsgctl.operations.backup.bundles import TIME_FORMAT, explain_unwritable
from dsgctl.operations.backup.encryption import decrypt, is_encrypted
from dsgctl.operations.backup.staging import open_staging, verify_copy
from dsgctl.operations.maintenance import Begin
from dsgctl.settings import load
from dsgctl.store import StoreError
from dsgctl.store.migrations import LATEST
from dsgctl.store.sqlite.files import exclusive_access, mode_and_owner


@contextmanager
def open_bundle(bundle: Path, config: Config, *, identity: Path | None = None) -> Iterator[tuple[Path, Manifest]]:
    """Decrypt, unpack and verify a bundle. Yields the directory of its files, and its manifest.

    Args:
        identity: file with age identities; None for ``DSG_BACKUP_AGE_IDENTITY_FILE``.

    Raises:
        NotFound: there is no such file.
        Invalid: these identities cannot decrypt it, or it is not a bundle.
        DsgError: it is damaged, or of a later release.
    """
    encrypted = is_encrypted(bundle)
    with open_staging(config) as staging:
        archive = bundle
        if encrypted:
            archive = staging / "bundle.tar.gz"
            decrypt(bundle, archive, identity or config.backup_identity)
        manifest = unpack(archive, bundle.name, staging)
        _verify_database(staging, manifest, bundle.name)
        yield staging, manifest


def _verify_database(staging: Path, manifest: Manifest, name: str) -> None:
    if manifest.schema > LATEST:
        raise DsgError(
            f"{name} has schema {manifest.schema}; this program knows schema {LATEST}",
            f"install release {manifest.version} or later first",
        )
    if DATABASE not in manifest.files:
        raise DsgError(f"{name} is damaged: it contains no database", "use another backup")
    schema, rows = verify_copy(staging / DATABASE)
    if (schema, rows) != (manifest.schema, manifest.rows):
        raise DsgError(f"{name} is damaged: its database does not match the manifest", "use another backup")


def restore_database(files: Path, manifest: Manifest, path: Path, at: datetime, begin: Begin) -> Path | None:
    """Replace the database with that of a bundle, and record it; the former one is kept beside it.

    Args:
        files: of `open_bundle`.
        path: of the database.
        begin: opens a change of the restored database. It is not called if its schema is of an earlier release.

    Returns:
        The path of the former database; None if there was none.

    Raises:
        Conflict: the database is in use.
        StoreError: the directory does not exist or cannot be written to.
    """
    former = replace_database(files / DATABASE, path, at)
    if manifest.schema == LATEST:
        with begin() as change:
            change.record("db.restore", f"database:{path}", after={"created": manifest.created})
    return former


def replace_database(copy: Path, path: Path, at: datetime) -> Path | None:
    """Put a copy into the place of the database, whose former file and journal are renamed.

    Returns, Raises: as `restore_database`.
    """
    former = path.with_name(f"{path.name}.before-{at.astimezone(UTC):{TIME_FORMAT}}")
    arriving = path.with_name(f".{path.name}.{secrets.token_hex(8)}.arriving")
    try:
        mode, owner = mode_and_owner(path.parent)
        with copy.open("rb") as source:
            write_file(arriving, source, mode=mode, owner=owner)
        with exclusive_access(path):
            existed = path.exists()
            for suffix in ("", "-wal", "-shm"):  # a journal belongs to its database
                file = path.with_name(path.name + suffix)
                if file.exists():
                    file.rename(former.with_name(former.name + suffix))
            arriving.rename(path)
    except OSError as error:
        raise StoreError(f"cannot put the database at {path}: {error.strerror}", "check who may write there") from error
    finally:
        with suppress(OSError):  # the directory may not exist
            arriving.unlink(missing_ok=True)
    return former if existed else None


def restore_settings(files: Path, manifest: Manifest, directory: Path) -> list[Path]:
    """Write the settings file, OAuth client and recipients of a bundle into a directory.

    The files are for root and the group of the directory, as `dsgctl setup` leaves them: the service reads them.

    Returns:
        The paths of the new files.

    Raises:
        NotFound: the bundle has none of them.
        Conflict: one of them exists already; none is written.
    """
    names = [name for name in (SETTINGS, CLIENT, RECIPIENTS) if name in manifest.files]
    if not names:
        raise NotFound("the bundle has no settings", "it was made --in-clear, or with DSG_BACKUP_INCLUDE_SECRETS=0")
    if not directory.is_dir():
        raise NotFound(f"there is no directory {directory}", "'make install' creates /etc/dsg")
    for name in names:
        if os.path.lexists(directory / name):
            raise Conflict(f"{directory / name} exists already", "name an empty directory")
    owner = (0, directory.stat().st_gid) if os.geteuid() == 0 else None
    try:
        for name in names:
            with (files / name).open("rb") as source:
                write_file(directory / name, source, mode=SETTINGS_MODE, owner=owner)
    except OSError as error:
        raise explain_unwritable(directory, error) from error
    return [directory / name for name in names]


def list_misplaced_settings(directory: Path, database: Path) -> list[str]:
    """A sentence for each path in restored settings that differs from where the file is now."""
    if not (directory / SETTINGS).exists():
        return []
    try:
        config = load({}, str(directory / SETTINGS))
    except Invalid as error:  # settings of another release: they are restored, and doctor reports the same
        return [error.message]
    places = (
        ("DATABASE_PATH", config.database, database),
        ("CLIENT_CREDENTIALS_PATH", config.client_credentials, directory / CLIENT),
        ("DSG_BACKUP_AGE_RECIPIENTS_FILE", config.backup_recipients, directory / RECIPIENTS),
    )
    return [
        f"{name} is {setting}, not {path}: edit {directory / SETTINGS}, or move the file"
        for name, setting, path in places
        if setting is not None and setting != path and (path.exists() or path == database)
    ]
