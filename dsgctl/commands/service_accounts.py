"""``dsgctl service-account``"""

import click

from dsgctl.commands.messages import format_holdings
from dsgctl.commands.options import dry_run_option, subcommand, yes_option
from dsgctl.commands.parameters import SERVICE_ACCOUNT
from dsgctl.commands.session import Session
from dsgctl.core import service_accounts


@click.group()
def command() -> None:
    """Accounts of programs. 'dsgctl grant' gives them permissions, 'dsgctl token' tokens."""


@subcommand(command, "add", example="dsgctl service-account add nightly-export --description 'exports synapses'")
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
def add(session: Session, name: str, description: str) -> None:
    """Add a service account."""
    with session.change() as change:
        account, added = service_accounts.add(change, name, description=description)
    session.output.print_result(
        f"added service account {name}, id {account.id}"
        if added
        else f"service account {name} already exists, unchanged",
        value="id",
        id=account.id,
        name=name,
        changed=added,
    )


@subcommand(command, "list", example="dsgctl service-account list")
def list_(session: Session) -> None:
    """List service accounts, with the numbers of their tokens."""
    columns = ("id", "name", "description", "active", "tokens", "last_used")
    session.output.print_rows(service_accounts.list_service_accounts(session.database), columns, value="name")


@subcommand(command, "show", example="dsgctl service-account show nightly-export")
@click.argument("name", type=SERVICE_ACCOUNT)
def show(session: Session, name: str) -> None:
    """Show a service account, with its grants and tokens."""
    session.output.print_record(service_accounts.show(session.database, name), value="name")


@subcommand(command, "disable", example="dsgctl service-account disable nightly-export")
@click.argument("name", type=SERVICE_ACCOUNT)
def disable(session: Session, name: str) -> None:
    """Refuse all its tokens from the next request on. Nothing is deleted."""
    with session.change() as change:
        changed = service_accounts.set_active(change, name, False)
    session.output.print_result(
        f"disabled service account {name}" if changed else f"service account {name} is already disabled",
        name=name,
        changed=changed,
    )


@subcommand(command, "enable", example="dsgctl service-account enable nightly-export")
@click.argument("name", type=SERVICE_ACCOUNT)
def enable(session: Session, name: str) -> None:
    """Accept the tokens of a disabled service account again."""
    with session.change() as change:
        changed = service_accounts.set_active(change, name, True)
    session.output.print_result(
        f"enabled service account {name}" if changed else f"service account {name} is already enabled",
        name=name,
        changed=changed,
    )


@subcommand(command, "remove", example="dsgctl service-account remove nightly-export --dry-run")
@click.argument("name", type=SERVICE_ACCOUNT)
@yes_option
@dry_run_option
def remove(session: Session, name: str, yes: bool, dry_run: bool) -> None:
    """Delete a service account, with its grants and tokens."""
    holdings = service_accounts.list_holdings(session.database, service_accounts.find(session.database, name))
    if not dry_run:
        session.confirm(f"service account {name} will be deleted, with {format_holdings(holdings)}", yes=yes)
    with session.change(dry_run=dry_run) as change:
        holdings = service_accounts.remove(change, name)
    if not dry_run:
        session.output.print_result(
            f"removed {name}, with {format_holdings(holdings)}", name=name, changed=True, **holdings
        )
