"""``dsgctl audit``"""

import click

from dsgctl.commands.session import ID, LIMIT, Session
from dsgctl.commands.session import command as subcommand
from dsgctl.core import audit, names
from dsgctl.core.change import now


@click.group()
def command() -> None:
    """Who changed what, when."""


@subcommand(command, "list", example="dsgctl audit list --target ada@example.org --since 7d")
@click.option("--actor", help="Part of who did it.")
@click.option("--target", help="Part of what it was done to: an email, a group, a dataset.")
@click.option("--since", metavar="7d|DATE", help="Not before then.")
@LIMIT
def list_(session: Session, actor: str | None, target: str | None, since: str | None, limit: int | None) -> None:
    """List changes, the newest first."""
    rows = audit.listed(
        session.database,
        actor=actor,
        target=target,
        since=names.moment_before(since, now()) if since is not None else None,
        limit=limit,
    )
    session.output.rows(rows, ("id", "at", "actor", "action", "target"), value="id")


@subcommand(command, "show", example="dsgctl audit show 42")
@click.argument("record_id", metavar="ID", type=ID)
def show(session: Session, record_id: int) -> None:
    """One change, with what was before and after."""
    session.output.one(audit.show(session.database, record_id), value="action")
