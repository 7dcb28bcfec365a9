"""``dsgctl user``"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dsgctl.commands.options import LIMIT, dry_run_option, last_admin_option, subcommand, yes_option
from dsgctl.commands.output import ask, echo, format_holdings
from dsgctl.commands.parameters import GROUP
from dsgctl.commands.session import Session
from dsgctl.core import addresses, groups, principals, users, validation
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError, Invalid
from dsgctl.core.rules import levels
from dsgctl.wording import format_count

_COLUMNS = ("id", "email", "name", "display_name", "admin", "active", "read_only", "created")


@click.group()
def command() -> None:
    """People: who they are, and their accounts."""


def _attributes(**given: Any) -> dict[str, Any]:
    """The options that were given, by the names that core has for them."""
    return {key: value for key, value in given.items() if value is not None}


@subcommand(command, "add", example="dsgctl user add ada@example.org --name 'Ada Lovelace' --affiliation HHMI")
@click.argument("email")
@click.option("--name", help="Full name.")
@click.option("--display-name", help="Shown instead of the name.")
@click.option("--admin", is_flag=True, default=None, help="Manages the gateway; services may let admins do all.")
@click.option("--read-only", is_flag=True, default=None, help=f"Never gets {levels.enumerate_lost_if_read_only()}.")
@click.option("--pi", help="Principal investigator.")
@click.option("--affiliation", "affiliations", multiple=True, help="Institute; may be given several times.")
@click.option("--note", help="For operators.")
def add(session: Session, email: str, affiliations: tuple[str, ...], note: str | None, **given: Any) -> None:
    """Add a person. Adding the same one again is no error."""
    with session.change() as change:
        twins = addresses.list_twins(change.database, email)
        user, added = users.add(change, email, affiliations=affiliations, **_attributes(notes=note, **given))
    if twins and added:
        echo(
            f"is it the same person as {', '.join(twins[0])}? An account is one address; 'dsgctl user set --email' "
            "follows a person to another",
            err=True,
        )
    sentence = f"added user {user.email}, id {user.id}" if added else f"user {user.email} already exists, unchanged"
    session.output.done(sentence, value="id", id=user.id, email=user.email, changed=added)


@subcommand(command, "list", example="dsgctl user list --search lovelace\ndsgctl user list --inactive-for 90d -o csv")
@click.option("--search", metavar="TEXT", help="Part of the email or a name, case aside.")
@click.option("--group", type=GROUP, help="Members of this group.")
@click.option("--admin", is_flag=True, help="Admins.")
@click.option("--disabled", is_flag=True, help="Disabled accounts.")
@click.option("--inactive-for", metavar="DURATION", help="Have used no token for so long, such as 90d.")
@LIMIT
def list_(session: Session, inactive_for: str | None, group: str | None, **filters: Any) -> None:
    """List people, oldest account first."""
    if group is not None:
        groups.find(session.database, group)
    idle_since = now() - validation.duration(inactive_for) if inactive_for is not None else None
    rows = users.list_users(session.database, idle_since=idle_since, group=group, **filters)
    session.output.rows(rows, _COLUMNS, value="email")


@subcommand(command, "show", example="dsgctl user show ada@example.org")
@click.argument("email")
def show(session: Session, email: str) -> None:
    """All that is known of a person."""
    record = users.show(session.database, email)
    if session.delegate is not None:
        del record["notes"]  # they are the operators'
        record["grants"] = session.delegate.known_of(record["grants"])
    session.output.one(record, value="email")


@subcommand(command, "set", example="dsgctl user set ada@example.org --email ada@lab.example.org --no-admin")
@click.argument("email")
@click.option("--email", "new_email", metavar="NEW", help="The address from now on.")
@click.option("--unbind", is_flag=True, help="Forget the sign-in identity: the next login binds a new one.")
@click.option("--name", help="Full name.")
@click.option("--display-name", help="Shown instead of the name.")
@click.option("--admin/--no-admin", default=None, help="Manages the gateway.")
@click.option("--read-only/--no-read-only", default=None, help=f"Never gets {levels.enumerate_lost_if_read_only()}.")
@click.option("--pi", help="Principal investigator.")
@click.option("--affiliation", "affiliations", multiple=True, help="All institutes, in place of those known.")
@click.option("--note", help="For operators; in place of what was noted.")
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
    **given: Any,
) -> None:
    """Change what is known of a person; what is not named stays."""
    with session.change() as change:
        changed = users.set_attributes(
            change,
            email,
            new_email=new_email,
            unbind=unbind,
            affiliations=affiliations or None,
            last_admin=last_admin,
            **_attributes(notes=note, **given),
        )
    name = new_email or email
    session.output.done(f"changed user {name}" if changed else f"user {name} is unchanged", email=name, changed=changed)


@subcommand(command, "disable", example="dsgctl user disable ada@example.org")
@click.argument("email")
@last_admin_option
def disable(session: Session, email: str, last_admin: bool) -> None:
    """Refuse a person everywhere, from the next request on, and the children of their account. Nothing is lost."""
    with session.change() as change:
        changed = users.set_active(change, email, False, last_admin=last_admin)
    children = principals.list_descendants(session.database, users.find(session.database, email))
    if ended := [str(child.email) for child in children if child.active]:
        echo(f"{format_count(len(ended), 'account')} of theirs ended with it: {', '.join(ended)}", err=True)
    session.output.done(
        f"disabled user {email}" if changed else f"user {email} is already disabled", email=email, changed=changed
    )


@subcommand(command, "enable", example="dsgctl user enable ada@example.org")
@click.argument("email")
def enable(session: Session, email: str) -> None:
    """Let a disabled person in again."""
    with session.change() as change:
        changed = users.set_active(change, email, True)
    session.output.done(
        f"enabled user {email}" if changed else f"user {email} is already enabled", email=email, changed=changed
    )


@subcommand(
    command,
    "offboard",
    example="dsgctl user offboard ada@example.org --os-user ada --dry-run\n"
    "dsgctl user offboard ada@example.org --service-accounts bo@example.org -y",
)
@click.argument("email")
@click.option("--os-user", metavar="NAME", help="Their name on this host: finds the service accounts they made on it.")
@click.option(
    "--service-accounts",
    metavar="keep|disable|EMAIL",
    help="What becomes of those that they made; EMAIL is to whom they are handed over.",
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
    """Somebody leaves: disable the account, end logins and tokens, take away grants and memberships.

    The account stays, so that the audit log and the ids that services keep still name somebody.
    """
    from dsgctl.core import offboarding  # grants, tokens and more, which no other command of people needs

    user = users.find(session.database, email)
    made = [account.slug for account in offboarding.list_service_accounts_made_by(session.database, user, os_user)]
    if made and service_accounts is None:
        service_accounts = _ask_about_service_accounts(made)
    if not dry_run:
        session.confirm(
            f"{user.email} is disabled, and loses {format_holdings(principals.list_holdings(session.database, user))}",
            yes=yes,
        )
    with session.change(dry_run=dry_run) as change:
        left = offboarding.offboard(
            change,
            email,
            os_user=os_user,
            last_admin=last_admin,
            disable_service_accounts=service_accounts == "disable",
            heir=service_accounts if service_accounts not in (None, "keep", "disable") else None,
        )
    if dry_run:
        return
    report = asdict(left)
    ended = format_holdings({key: report[key] for key in ("tokens", "grants", "groups")})
    session.output.done(
        f"offboarded {user.email}: ended {ended}",
        email=user.email,
        changed=left.changed,
        **report,
    )
    _remove_from_bucket_policies(session, user.email)
    for slug in made:
        echo(
            f"{slug}: who made it may know its tokens; dsgctl token list --service-account {slug}, "
            "then dsgctl token rotate ID",
            err=True,
        )


def _remove_from_bucket_policies(session: Session, email: str) -> None:
    """Take somebody who has left out of Google's policies too, where the gateway put them.

    Raises:
        DsgError: Google did not let us; here they are out already.
    """
    from dsgctl.core import iam_ledger

    buckets = iam_ledger.list_buckets_of(session.database, email)
    if not buckets:
        return
    from dsgctl.operations.iam_sync import Sync, lock_sync  # what asks Google is slow to import

    with lock_sync(Path(session.database.path)):
        outcomes = list(Sync(session.database, session.config.storage_url, session.change).run(buckets))
    failed = [outcome.bucket for outcome in outcomes if outcome.trouble is not None]
    if failed:
        raise DsgError(f"they may still read {', '.join(failed)} with their own Google account", "dsgctl iam sync")
    echo(f"taken out of the policies of {', '.join(buckets)}", err=True)


def _ask_about_service_accounts(made: list[str]) -> str:
    """Ask what becomes of service accounts whose maker leaves.

    Raises:
        Invalid: there is nobody to ask.
    """
    found = f"they made {format_holdings({'service_accounts': made})}: {', '.join(made)}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Invalid(found, "say --service-accounts keep, disable, or the EMAIL of who takes them over")
    return ask(f"{found}; keep, disable, or EMAIL of who takes them over", default="keep")


@subcommand(command, "remove", example="dsgctl user remove ada@example.org --dry-run")
@click.argument("email")
@yes_option
@dry_run_option
@last_admin_option
def remove(session: Session, email: str, yes: bool, dry_run: bool, last_admin: bool) -> None:
    """Delete a person with grants, tokens and all else. Mostly 'disable' is what is wanted."""
    user = users.find(session.database, email)
    gone = principals.list_holdings(session.database, user)
    if not dry_run:
        session.confirm(f"{user.email} goes, with {format_holdings(gone)}", yes=yes)
    with session.change(dry_run=dry_run) as change:
        users.remove(change, email, last_admin=last_admin)
    if not dry_run:
        session.output.done(
            f"removed {user.email}, with {format_holdings(gone)}", email=user.email, changed=True, **gone
        )
