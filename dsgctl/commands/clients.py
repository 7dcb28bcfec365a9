"""``dsgctl client``"""

from collections.abc import Callable

import click

from dsgctl.commands.messages import format_holdings
from dsgctl.commands.options import Function, dry_run_option, subcommand, yes_option
from dsgctl.commands.session import Session
from dsgctl.core import clients
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid

_COLUMNS = ("id", "name", "origin", "owner", "active", "created")


@click.group()
def command() -> None:
    """Web applications that may be handed a key of the person in the browser."""


def _app_url(help: str) -> Callable[[Function], Function]:
    return click.option("--app-url", "app_urls", metavar="ORIGIN", multiple=True, help=help)


@subcommand(
    command,
    "add",
    example="dsgctl client add atlas --origin https://lab.github.io --owner lee@example.org",
)
@click.argument("name")
@click.option(
    "--origin", metavar="ORIGIN", required=True, help="The origin of its pages, such as https://lab.github.io."
)
@click.option("--owner", metavar="EMAIL", required=True, help="The person who is responsible for it.")
@_app_url("The origin of a server with data, to which Neuroglancer may send its keys; can be repeated.")
def add(session: Session, name: str, origin: str, owner: str, app_urls: tuple[str, ...]) -> None:
    """Register a client. Its pages can ask for a key, which each person allows for themselves."""
    with session.change() as change:
        client, added = clients.add(change, name, origin=origin, owner=owner, app_urls=app_urls)
    session.output.print_result(
        f"added client {name} at {origin}" if added else f"client {name} already exists, unchanged",
        value="id",
        id=client.id,
        name=name,
        changed=added,
    )


@subcommand(command, "list", example="dsgctl client list")
def list_(session: Session) -> None:
    """List clients."""
    session.output.print_rows(clients.list_clients(session.database), _COLUMNS, value="name")


@subcommand(command, "show", example="dsgctl client show atlas")
@click.argument("name")
def show(session: Session, name: str) -> None:
    """Show a client, with its valid keys, and the people who are not asked again."""
    session.output.print_record(clients.show(session.database, name, now()), value="origin")


@subcommand(
    command,
    "set",
    example="dsgctl client set atlas --owner bo@example.org\n"
    "dsgctl client set atlas --app-url https://data.example.org --app-url https://more.example.org",
)
@click.argument("name")
@click.option("--origin", metavar="ORIGIN", help="The new origin of its pages; everybody is asked again.")
@click.option("--owner", metavar="EMAIL", help="The person who is responsible for it now; everybody is asked again.")
@_app_url("The origin of a server with data; can be repeated. Replaces all present ones.")
@click.option("--no-app-urls", is_flag=True, help="Remove the present ones.")
def set_(
    session: Session, name: str, *, origin: str | None, owner: str | None, app_urls: tuple[str, ...], no_app_urls: bool
) -> None:
    """Change a client; options that are left out change nothing."""
    if app_urls and no_app_urls:
        raise Invalid("--app-url and --no-app-urls contradict each other", "use only one of them")
    urls = app_urls if app_urls or no_app_urls else None
    with session.change() as change:
        changed = clients.set_attributes(change, name, origin=origin, owner=owner, app_urls=urls)
    session.output.print_result(
        f"changed client {name}" if changed else f"client {name} is unchanged", name=name, changed=changed
    )


@subcommand(command, "disable", example="dsgctl client disable atlas")
@click.argument("name")
def disable(session: Session, name: str) -> None:
    """Give a client no more keys. The keys that it has end within seven days; 'dsgctl token revoke' ends one now."""
    with session.change() as change:
        changed = clients.set_active(change, name, False)
    session.output.print_result(
        f"disabled client {name}" if changed else f"client {name} is already disabled", name=name, changed=changed
    )


@subcommand(command, "enable", example="dsgctl client enable atlas")
@click.argument("name")
def enable(session: Session, name: str) -> None:
    """Enable a disabled client again."""
    with session.change() as change:
        changed = clients.set_active(change, name, True)
    session.output.print_result(
        f"enabled client {name}" if changed else f"client {name} is already enabled", name=name, changed=changed
    )


@subcommand(command, "remove", example="dsgctl client remove atlas --dry-run")
@click.argument("name")
@yes_option
@dry_run_option
def remove(session: Session, name: str, yes: bool, dry_run: bool) -> None:
    """Delete a client, and revoke its keys."""
    holdings = clients.list_holdings(session.database, clients.find(session.database, name), now())
    if not dry_run:
        session.confirm(f"client {name} will be deleted, with {format_holdings(holdings)}", yes=yes)
    with session.change(dry_run=dry_run) as change:
        holdings = clients.remove(change, name)
    if not dry_run:
        session.output.print_result(
            f"removed client {name}, with {format_holdings(holdings)}", name=name, changed=True, **holdings
        )
