"""``dsgctl group``"""

import click

from dsgctl.commands.messages import format_holdings
from dsgctl.commands.options import dry_run_option, subcommand, yes_option
from dsgctl.commands.parameters import GROUP
from dsgctl.commands.session import Session
from dsgctl.core import groups


@click.group()
def command() -> None:
    """Groups of people, and their leads."""


@subcommand(command, "add", example="dsgctl group add lab-1")
@click.argument("name")
def add(session: Session, name: str) -> None:
    """Add a group."""
    with session.change() as change:
        group, added = groups.add(change, name)
    session.output.print_result(
        f"added group {name}" if added else f"group {name} already exists",
        value="id",
        id=group.id,
        name=name,
        changed=added,
    )


@subcommand(command, "list", example="dsgctl group list")
def list_(session: Session) -> None:
    """List groups, with the numbers of their members and leads."""
    session.output.print_rows(groups.list_groups(session.database), ("id", "name", "members", "leads"), value="name")


@subcommand(command, "show", example="dsgctl group show lab-1")
@click.argument("name", type=GROUP)
def show(session: Session, name: str) -> None:
    """Show a group, with its members, leads and grants."""
    session.output.print_record(groups.show(session.database, name, delegate=session.delegate), value="name")


@subcommand(command, "remove", example="dsgctl group remove lab-1 --dry-run")
@click.argument("name", type=GROUP)
@yes_option
@dry_run_option
def remove(session: Session, name: str, yes: bool, dry_run: bool) -> None:
    """Delete a group, its grants, and the grants scoped to it."""
    holdings = groups.list_holdings(session.database, groups.find(session.database, name))
    if not dry_run:
        session.confirm(f"group {name} will be deleted, with {format_holdings(holdings)}", yes=yes)
    with session.change(dry_run=dry_run) as change:
        holdings = groups.remove(change, name)
    if not dry_run:
        session.output.print_result(
            f"removed group {name}, with {format_holdings(holdings)}", name=name, changed=True, **holdings
        )


@command.group()
def member() -> None:
    """The members of a group."""


@subcommand(member, "add", example="dsgctl group member add lab-1 ada@example.org --lead")
@click.argument("group", type=GROUP)
@click.argument("email")
@click.option("--lead/--no-lead", default=None, help="Whether the person leads the group.")
def member_add(session: Session, group: str, email: str, lead: bool | None) -> None:
    """Add a person to a group, or change whether they lead it."""
    with session.change() as change:
        changed = groups.add_member(change, group, email, leads=lead)
    role = "a lead" if lead else "a member"
    session.output.print_result(
        f"made {email} {role} of group {group}" if changed else f"{email} is already {role} of group {group}",
        group=group,
        email=email,
        changed=changed,
    )


@subcommand(member, "remove", example="dsgctl group member remove lab-1 ada@example.org")
@click.argument("group", type=GROUP)
@click.argument("email")
def member_remove(session: Session, group: str, email: str) -> None:
    """Remove a person from a group. They lose the permissions of the group."""
    with session.change() as change:
        changed = groups.remove_member(change, group, email)
    session.output.print_result(
        f"removed {email} from group {group}" if changed else f"{email} is not in group {group}",
        group=group,
        email=email,
        changed=changed,
    )
