"""``dsgctl user``"""

import sys
from dataclasses import asdict
from typing import Any, cast

import click

from dsgctl.commands.messages import ask, echo, format_holdings
from dsgctl.commands.options import LIMIT, dry_run_option, last_admin_option, subcommand, yes_option
from dsgctl.commands.parameters import GROUP
from dsgctl.commands.session import Session
from dsgctl.core import addresses, principals, user_queries, users, validation
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid
from dsgctl.core.new_users import Attributes
from dsgctl.core.rules import levels
from dsgctl.wording import format_count

_COLUMNS = ("id", "email", "name", "display_name", "admin", "active", "read_only", "created")


@click.group()
def command() -> None:
    """People and their accounts."""


def _attributes(**options: Any) -> Attributes:
    """The attributes that the command line names; an option that is left out is None."""
    return cast(Attributes, {key: value for key, value in options.items() if value is not None})


@subcommand(command, "add", example="dsgctl user add ada@example.org --name 'Ada Lovelace' --affiliation HHMI")
@click.argument("email")
@click.option("--name", help="Full name.")
@click.option("--display-name", help="The name that others see instead.")
@click.option(
    "--admin", is_flag=True, default=None, help="Manages the gateway; services may give admins every permission."
)
@click.option("--read-only", is_flag=True, default=None, help=f"Never gets {levels.enumerate_lost_if_read_only()}.")
@click.option("--pi", help="Principal investigator.")
@click.option("--affiliation", "affiliations", multiple=True, help="Institute; can be repeated.")
@click.option("--note", help="For operators.")
def add(session: Session, email: str, affiliations: tuple[str, ...], note: str | None, **options: Any) -> None:
    """Add a person. Adding an existing person changes nothing."""
    with session.change() as change:
        user, added = users.add(change, email, affiliations=affiliations, **_attributes(notes=note, **options))
        twins = addresses.list_twins(change.database, email) if added else []
    if twins:
        echo(
            f"is this the same person as {', '.join(twins[0])}? A person has one account; 'dsgctl user set --email' "
            "changes its address",
            err=True,
        )
    sentence = f"added user {user.email}, id {user.id}" if added else f"user {user.email} already exists, unchanged"
    session.output.print_result(sentence, value="id", id=user.id, email=user.email, changed=added)


@subcommand(command, "list", example="dsgctl user list --search lovelace\ndsgctl user list --inactive-for 90d -o csv")
@click.option("--search", metavar="TEXT", help="Only people whose email or name contains this; case is ignored.")
@click.option("--group", type=GROUP, help="Only members of this group.")
@click.option("--admin", is_flag=True, help="Only admins.")
@click.option("--disabled", is_flag=True, help="Only disabled accounts.")
@click.option("--inactive-for", metavar="DURATION", help="Only people who used no token for this long, such as 90d.")
@LIMIT
def list_(session: Session, inactive_for: str | None, group: str | None, **filters: Any) -> None:
    """List people, oldest account first."""
    idle_since = now() - validation.duration(inactive_for) if inactive_for is not None else None
    rows = user_queries.list_users(session.database, idle_since=idle_since, group=group, **filters)
    session.output.print_rows(rows, _COLUMNS, value="email")


@subcommand(command, "show", example="dsgctl user show ada@example.org")
@click.argument("email")
def show(session: Session, email: str) -> None:
    """Show everything that is recorded about a person."""
    session.output.print_record(user_queries.show(session.database, email, delegate=session.delegate), value="email")


@subcommand(command, "set", example="dsgctl user set ada@example.org --email ada@lab.example.org --no-admin")
@click.argument("email")
@click.option("--email", "new_email", metavar="NEW", help="The new address.")
@click.option("--unbind", is_flag=True, help="Remove the sign-in identity; the next login binds a new one.")
@click.option("--name", help="Full name.")
@click.option("--display-name", help="The name that others see instead.")
@click.option("--admin/--no-admin", default=None, help="Manages the gateway.")
@click.option("--read-only/--no-read-only", default=None, help=f"Never gets {levels.enumerate_lost_if_read_only()}.")
@click.option("--pi", help="Principal investigator.")
@click.option(
    "--affiliation", "affiliations", multiple=True, help="Institute; can be repeated. Replaces all present ones."
)
@click.option("--note", help="For operators. Replaces the present note.")
@last_admin_option
def set_(
    session: Session,
    *,
    email: str,
    new_email: str | None,
    unbind: bool,
    affiliations: tuple[str, ...],
    note: str | None,
    last_admin: bool,
    **options: Any,
) -> None:
    """Change what is recorded about a person. Options that are left out change nothing."""
    with session.change() as change:
        changed = users.set_attributes(
            change,
            email,
            new_email=new_email,
            unbind=unbind,
            affiliations=affiliations or None,
            last_admin=last_admin,
            **_attributes(notes=note, **options),
        )
    name = new_email or email
    session.output.print_result(
        f"changed user {name}" if changed else f"user {name} is unchanged", email=name, changed=changed
    )


@subcommand(command, "disable", example="dsgctl user disable ada@example.org")
@click.argument("email")
@last_admin_option
def disable(session: Session, email: str, last_admin: bool) -> None:
    """Disable an account and its child accounts. The next request is refused; nothing is deleted."""
    with session.change() as change:
        changed = users.set_active(change, email, False, last_admin=last_admin)
        children = users.list_enabled_children(change.database, email)
    if children:
        echo(f"{format_count(len(children), 'child account')} ended with it: {', '.join(children)}", err=True)
    session.output.print_result(
        f"disabled user {email}" if changed else f"user {email} is already disabled", email=email, changed=changed
    )


@subcommand(command, "enable", example="dsgctl user enable ada@example.org")
@click.argument("email")
def enable(session: Session, email: str) -> None:
    """Enable a disabled account again."""
    with session.change() as change:
        changed = users.set_active(change, email, True)
    session.output.print_result(
        f"enabled user {email}" if changed else f"user {email} is already enabled", email=email, changed=changed
    )


@subcommand(
    command,
    "offboard",
    example="dsgctl user offboard ada@example.org --os-user ada --dry-run\n"
    "dsgctl user offboard ada@example.org --service-accounts bo@example.org -y",
)
@click.argument("email")
@click.option(
    "--os-user", metavar="NAME", help="Their user name on this host, to find the service accounts that they created."
)
@click.option(
    "--service-accounts",
    metavar="keep|disable|EMAIL",
    help="What to do with the service accounts that they created; EMAIL gives them to that user.",
)
@yes_option
@dry_run_option
@last_admin_option
def offboard(
    session: Session,
    email: str,
    os_user: str | None,
    service_accounts: str | None,
    *,
    yes: bool,
    dry_run: bool,
    last_admin: bool,
) -> None:
    """Offboard a person who leaves: disable the account, end logins, tokens, grants and memberships.

    The account stays, because the audit log and the ids that services store refer to it.
    """
    from dsgctl.core import offboarding  # no other command here needs it
    from dsgctl.operations.offboarding import remove_from_bucket_policies

    user = users.find(session.database, email)
    slugs = [account.slug for account in offboarding.list_service_accounts_made_by(session.database, user, os_user)]
    if slugs and service_accounts is None:
        service_accounts = _ask_about_service_accounts(slugs)
    if not dry_run:
        session.confirm(
            f"{user.email} is disabled, and loses {format_holdings(principals.list_holdings(session.database, user))}",
            yes=yes,
        )
    with session.change(dry_run=dry_run) as change:
        result = offboarding.offboard(
            change,
            email,
            os_user=os_user,
            last_admin=last_admin,
            disable_service_accounts=service_accounts == "disable",
            heir=service_accounts if service_accounts not in (None, "keep", "disable") else None,
        )
    if dry_run:
        return
    ended = asdict(result)
    summary = format_holdings({key: ended[key] for key in ("tokens", "grants", "groups")})
    session.output.print_result(
        f"offboarded {user.email}: ended {summary}",
        email=user.email,
        changed=result.changed,
        **ended,
    )
    buckets = remove_from_bucket_policies(session.database, session.config.storage_url, session.change, user.email)
    if buckets:
        echo(f"removed {user.email} from the policies of {', '.join(buckets)}", err=True)
    for slug in slugs:
        echo(
            f"{slug}: the person who made it may know its tokens; dsgctl token list --service-account {slug}, "
            "then dsgctl token rotate ID",
            err=True,
        )


def _ask_about_service_accounts(slugs: list[str]) -> str:
    """Ask what to do with the service accounts of a person who leaves.

    Raises:
        Invalid: standard input or standard error is not a terminal.
    """
    accounts = f"they made {format_holdings({'service_accounts': slugs})}: {', '.join(slugs)}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Invalid(accounts, "use --service-accounts with keep, disable, or the EMAIL of the user who gets them")
    return ask(f"{accounts}; keep, disable, or the EMAIL of the user who gets them", default="keep")


@subcommand(command, "remove", example="dsgctl user remove ada@example.org --dry-run")
@click.argument("email")
@yes_option
@dry_run_option
@last_admin_option
def remove(session: Session, email: str, yes: bool, dry_run: bool, last_admin: bool) -> None:
    """Delete a person, with grants, tokens and everything else. 'disable' is usually the better choice."""
    user = users.find(session.database, email)
    holdings = principals.list_holdings(session.database, user)
    if not dry_run:
        session.confirm(f"{user.email} will be deleted, with {format_holdings(holdings)}", yes=yes)
    with session.change(dry_run=dry_run) as change:
        holdings = users.remove(change, email, last_admin=last_admin)
    if not dry_run:
        session.output.print_result(
            f"removed {user.email}, with {format_holdings(holdings)}", email=user.email, changed=True, **holdings
        )
