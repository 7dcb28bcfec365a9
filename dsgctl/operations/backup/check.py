"""Checks a bundle: that it can be restored, or without a secret key, that it is unchanged."""

from dataclasses import dataclass
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core.errors import NotFound
from dsgctl.operations.backup.archive import Manifest
from dsgctl.operations.backup.bundles import find_directory, list_bundles, require_whole
from dsgctl.operations.backup.encryption import is_encrypted
from dsgctl.operations.backup.restore import open_bundle


@dataclass(frozen=True, slots=True)
class CheckedBundle:
    """A bundle that passed the check.

    Attributes:
        size: bytes; None if its content was checked.
        manifest: None if its content was not checked.
    """

    path: Path
    size: int | None = None
    manifest: Manifest | None = None


def check_bundle(bundle: Path | None, config: Config, *, identity: Path | None = None) -> CheckedBundle:
    """Check a bundle. Without a key for an encrypted one, compare it with its meta file.

    Args:
        bundle: None for the newest one in ``DSG_BACKUP_DIR``.
        identity: file with age identities; None for ``DSG_BACKUP_AGE_IDENTITY_FILE``.

    Raises:
        NotFound: there is no such bundle, no directory of bundles, or no meta file to compare with.
        Invalid: no directory is set, these identities cannot decrypt it, or it is not a bundle.
        DsgError: it is damaged, or of a later release.
    """
    path = bundle or _find_newest(config)
    if identity is None and config.backup_identity is None and is_encrypted(path):
        return CheckedBundle(path, size=require_whole(path))
    with open_bundle(path, config, identity=identity) as (_, manifest):
        return CheckedBundle(path, manifest=manifest)


def _find_newest(config: Config) -> Path:
    directory = find_directory(config)
    newest = next(iter(list_bundles(directory)), None)
    if newest is None:
        raise NotFound(f"there is no bundle in {directory}", "dsgctl db backup makes one")
    return newest
