"""Creates a backup: copies the database while it is in use, verifies, encrypts and ships the copy."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from dsgctl import __version__
from dsgctl.config import Config
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.files import hash_file, write_file
from dsgctl.operations.backup.archive import CLIENT, DATABASE, RECIPIENTS, SETTINGS, Manifest, pack
from dsgctl.operations.backup.bundles import Tiers, bundle_name, explain_unwritable, prune_directory, write_meta
from dsgctl.operations.backup.encryption import encrypt, read_recipients
from dsgctl.operations.backup.staging import open_staging, verify_copy
from dsgctl.store.sqlite.database import SqliteDatabase


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A finished backup.

    Attributes:
        path: of the bundle; None if it went to a stream.
        size: bytes.
        pruned: the names of the bundles that were deleted.
    """

    path: Path | None
    size: int
    sha256: str
    manifest: Manifest
    pruned: list[str] = field(default_factory=list)


def create_backup(
    config: Config,
    at: datetime,
    *,
    to: Path | None = None,
    stream: BinaryIO | None = None,
    env_file: Path | None = None,
    in_clear: bool = False,
    prune: bool = True,
) -> BackupResult:
    """Create a bundle and store it in a directory, or write it to a stream.

    Args:
        to: a directory; None for ``DSG_BACKUP_DIR``.
        stream: receives the bundle instead of a directory.
        env_file: the settings file to include.
        in_clear: do not encrypt. The bundle has token hashes and addresses, but no settings and no secrets.
        prune: afterwards delete the bundles that no tier keeps.

    Raises:
        Invalid: there is no recipient, or no directory.
        DsgError: the copy is damaged, or the bundle did not arrive whole; older bundles are not touched.
    """
    recipients = None if in_clear else read_recipients(config.backup_recipients)
    directory = to or config.backup_dir
    if directory is None and stream is None:
        raise Invalid("there is nowhere to put a backup", "set DSG_BACKUP_DIR, or use --to DIRECTORY or --to-stdout")
    if stream is None and directory is not None and not directory.is_dir():
        raise Invalid(f"{directory} is not a directory", "create it, writable for the service's user")
    with open_staging(config) as staging:
        manifest = _collect(config, staging, at, env_file, settings=config.backup_include_secrets and not in_clear)
        bundle = staging / bundle_name(at)
        pack(staging, bundle, manifest)
        if recipients is not None:
            bundle = encrypt(bundle, recipients)
        size, digest = bundle.stat().st_size, hash_file(bundle)
        if stream is not None or directory is None:
            with bundle.open("rb") as source:
                shutil.copyfileobj(source, stream)  # type: ignore[arg-type]  # one of the two is there: see above
            return BackupResult(None, size, digest, manifest)
        path = _ship(bundle, directory, digest)
    try:
        write_meta(path, manifest, size, digest)
    except OSError as error:
        raise explain_unwritable(directory, error) from error
    pruned = prune_directory(directory, Tiers.of(config), new=path) if prune else []
    return BackupResult(path, size, digest, manifest, pruned)


def _collect(config: Config, staging: Path, at: datetime, env_file: Path | None, *, settings: bool) -> Manifest:
    """Copy the database, and the files of settings that exist, into the staging directory."""
    copy = staging / DATABASE
    database = SqliteDatabase(config.database, read_only=True)
    try:
        database.copy_to(copy)
    finally:
        database.close()
    schema, rows = verify_copy(copy)
    if settings:
        sources = ((env_file, SETTINGS), (config.client_credentials, CLIENT), (config.backup_recipients, RECIPIENTS))
        for source, name in sources:
            if source is not None and source.exists():
                shutil.copyfile(source, staging / name)
    files = {path.name: hash_file(path) for path in sorted(staging.iterdir())}
    created = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Manifest(created, __version__, schema, SqliteDatabase.engine_name(), rows, files)


def _ship(bundle: Path, directory: Path, digest: str) -> Path:
    """Copy a bundle into a directory and read it back; its name appears once it is whole."""
    target = directory / bundle.name
    try:
        with bundle.open("rb") as source:
            write_file(target, source, sha256=digest)
    except FileExistsError:
        raise Conflict(f"{target} exists already", "wait a second, and run it again") from None
    except OSError as error:
        raise explain_unwritable(directory, error) from error
    return target
