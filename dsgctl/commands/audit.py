"""``dsgctl audit``"""

import click

from dsgctl.commands.options import LIMIT, subcommand
from dsgctl.commands.parameters import ID, Number
from dsgctl.commands.session import Session
from dsgctl.core import audit, audit_chain, validation
from dsgctl.core.clock import now


@click.group()
def command() -> None:
    """The audit log: who changed what, and when."""


@subcommand(command, "list", example="dsgctl audit list --target ada@example.org --since 7d")
@click.option("--actor", help="Only records whose actor contains this text.")
@click.option("--target", help="Only records whose target contains this text: an email, a group, a dataset.")
@click.option("--since", metavar="7d|DATE", help="Only records of this time or later.")
@LIMIT
def list_(session: Session, actor: str | None, target: str | None, since: str | None, limit: int | None) -> None:
    """List changes, newest first."""
    rows = audit.list_records(
        session.database,
        actor=actor,
        target=target,
        since=validation.moment_before(since, now()) if since is not None else None,
        limit=limit,
    )
    session.output.print_rows(rows, ("id", "at", "actor", "action", "target"), value="id")


@subcommand(command, "show", example="dsgctl audit show 42")
@click.argument("record_id", metavar="ID", type=ID)
def show(session: Session, record_id: int) -> None:
    """Show one change, with the values before and after it."""
    session.output.print_record(audit.show(session.database, record_id), value="action")


@subcommand(command, "verify", example="dsgctl audit verify\ndsgctl audit verify -o value")
@click.option(
    "--seen",
    "earlier_head",
    metavar="ID:HASH",
    help="An earlier answer of this command: also check that the log still has it.",
)
def verify(session: Session, earlier_head: str | None) -> None:
    """Check that no record was changed, deleted or moved, and name the first one that was.

    Prints the id and the hash of the newest record. Store them on another host and pass them to --seen later, to
    detect that the whole log was rewritten.
    """
    head = audit_chain.require_intact(session.database, earlier_head)
    session.output.print_result(
        f"every record follows from the one before it; the last is {head}", value="head", head=head
    )


@subcommand(command, "export", example="dsgctl audit export -o jsonl --after 4200 >> audit.jsonl")
@click.option("--after", metavar="ID", type=Number(0), default=0, help="Only records after this one.")
def export(session: Session, after: int) -> None:
    """Print whole records, oldest first, with the values before and after, and the hash."""
    columns = ("id", "at", "actor", "action", "target", "before", "after", "imported_from", "hash")
    session.output.print_rows(audit.export_records(session.database, after), columns, value="id")
