"""``dsgctl backup``"""

from pathlib import Path

import click

from dsgctl.commands.options import subcommand
from dsgctl.commands.session import Session
from dsgctl.core.clock import now
from dsgctl.operations.backup.bundles import Tiers, describe_bundles, find_directory
from dsgctl.operations.backup.check import check_bundle


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
        for row in describe_bundles(find_directory(session.config, directory), Tiers.of(session.config))
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
    result = check_bundle(bundle, session.config, identity=identity)
    name = result.path.name
    if result.manifest is None:
        sentence = f"{name} is whole: {result.size} bytes, as it was made; with --identity its content is checked too"
    else:
        rows = sum(result.manifest.rows.values())
        sentence = f"{name} is sound: made {result.manifest.created} by {result.manifest.version}, {rows} rows"
    session.output.print_result(
        sentence,
        value="bundle",
        bundle=str(result.path),
        whole=True,
        sound=None if result.manifest is None else True,
    )


def _age(seconds: float) -> str:
    """``3 days``, ``5 hours``, ``12 min``: in the largest unit of which there are at least two."""
    for unit, length in (("day", 86400), ("hour", 3600)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}s"
    return f"{max(0, seconds) // 60:.0f} min"
