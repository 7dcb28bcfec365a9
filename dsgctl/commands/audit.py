"""``dsgctl audit``"""

import click

from dsgctl.commands.options import LIMIT, subcommand
from dsgctl.commands.parameters import ID, Number
from dsgctl.commands.session import Session
from dsgctl.core import audit, validation
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError


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
    rows = audit.list_records(
        session.database,
        actor=actor,
        target=target,
        since=validation.moment_before(since, now()) if since is not None else None,
        limit=limit,
    )
    session.output.rows(rows, ("id", "at", "actor", "action", "target"), value="id")


@subcommand(command, "show", example="dsgctl audit show 42")
@click.argument("record_id", metavar="ID", type=ID)
def show(session: Session, record_id: int) -> None:
    """One change, with what was before and after."""
    session.output.one(audit.show(session.database, record_id), value="action")


@subcommand(command, "verify", example="dsgctl audit verify\ndsgctl audit verify -o value")
@click.option("--seen", metavar="ID:HASH", help="What this command once printed; the log must still have it.")
def verify(session: Session, seen: str | None) -> None:
    """Find any record that was changed, taken out or moved, and say which.

    Prints the id and the hash of the newest record. Kept elsewhere, they also show whether the whole log was
    written anew: give them with --seen.
    """
    with session.database.snapshot():
        broken = audit.verify(session.database)
        head = audit.read_head(session.database)
        kept = seen is None or audit.contains(session.database, seen)
    hint = "compare with a backup: dsgctl db restore BUNDLE"
    if broken is not None:
        raise DsgError(f"audit record {broken} does not follow from the one before it: somebody changed the log", hint)
    if not kept:
        raise DsgError(f"the log has no record {seen}: somebody wrote it anew", hint)
    session.output.done(f"every record follows from the one before it; the last is {head}", value="head", head=head)


@subcommand(command, "export", example="dsgctl audit export -o jsonl --after 4200 >> audit.jsonl")
@click.option("--after", metavar="ID", type=Number(0), default=0, help="Only later records than this one.")
def export(session: Session, after: int) -> None:
    """Print whole records, the oldest first: what was before and after, and the hash."""
    columns = ("id", "at", "actor", "action", "target", "before", "after", "imported_from", "hash")
    session.output.rows(audit.export_records(session.database, after), columns, value="id")
