"""``dsgctl backup``"""

from pathlib import Path

import click

from dsgctl.commands.options import subcommand
from dsgctl.commands.session import Session
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid, NotFound
from dsgctl.operations.backup.bundles import Tiers, describe_bundles, list_bundles, require_whole
from dsgctl.operations.backup.encryption import is_encrypted
from dsgctl.operations.backup.restore import open_bundle


@click.group()
def command() -> None:
    """Backups: bundles in DSG_BACKUP_DIR. 'dsgctl db backup' makes one, 'dsgctl db restore' restores one."""


@subcommand(command, "list", example="dsgctl backup list")
@click.option(
    "--dir",
    "directory",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    help="List the bundles here, not in DSG_BACKUP_DIR.",
)
def list_(session: Session, directory: Path | None) -> None:
    """List bundles, newest first, with their age, size, and the tiers that keep them.

    A bundle that no tier keeps is deleted when the next one is made.
    """
    at = now()
    rows = (
        {
            "bundle": row.path.name,
            "created": row.created,
            "age": _age((at - row.created).total_seconds()),
            "bytes": row.size,
            "tier": row.tiers,
            "encrypted": row.encrypted,
        }
        for row in describe_bundles(_directory(session, directory), Tiers.of(session.config))
    )
    session.output.print_rows(rows, ["bundle", "created", "age", "bytes", "tier", "encrypted"], value="bundle")


@subcommand(command, "check", example="dsgctl backup check")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--identity",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read the secret age keys from here, not from DSG_BACKUP_AGE_IDENTITY_FILE.",
)
def check(session: Session, bundle: Path | None, identity: Path | None) -> None:
    """Check a bundle, or the newest one.

    With a secret key, the check is that the bundle can be restored; without, that it is unchanged.
    """
    if bundle is None:
        newest = next(iter(list_bundles(_directory(session, None))), None)
        if newest is None:
            raise NotFound(f"there is no bundle in {session.config.backup_dir}", "dsgctl db backup makes one")
        bundle = newest
    if identity is None and session.config.backup_identity is None and is_encrypted(bundle):
        whole = require_whole(bundle)
        session.output.print_result(
            f"{bundle.name} is whole: {whole} bytes, as it was made; with --identity its content is checked too",
            value="bundle",
            bundle=str(bundle),
            whole=True,
            sound=None,
        )
        return
    with open_bundle(bundle, session.config, identity=identity) as (_, manifest):
        rows = sum(manifest.rows.values())
        session.output.print_result(
            f"{bundle.name} is sound: made {manifest.created} by {manifest.version}, {rows} rows",
            value="bundle",
            bundle=str(bundle),
            whole=True,
            sound=True,
        )


def _directory(session: Session, directory: Path | None) -> Path:
    place = directory or session.config.backup_dir
    if place is None:
        raise Invalid("there is no backup directory", "set DSG_BACKUP_DIR, or say --dir DIRECTORY")
    if not place.is_dir():
        raise NotFound(f"{place} is not a directory", "check DSG_BACKUP_DIR")
    return place


def _age(seconds: float) -> str:
    """``3 days``, ``5 hours``, ``12 min``: in the largest unit of which there are at least two."""
    for unit, length in (("day", 86400), ("hour", 3600)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}s"
    return f"{max(0, seconds) // 60:.0f} min"
