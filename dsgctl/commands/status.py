"""``dsgctl status``"""

import click

from dsgctl.commands.session import Session, output_option
from dsgctl.core import overview
from dsgctl.core.change import now


@click.command(epilog="\b\nExample:\n  dsgctl status -o json")
@output_option
@click.pass_obj
def command(session: Session) -> None:
    """What there is, on one screen."""
    database = session.database
    record = {"database": database.path, "origin": session.config.origin, **overview.counts(database, now())}
    session.output.one(record, value="users")
