"""``dsgctl grant``"""

from collections.abc import Callable
from typing import Any

import click

from dsgctl.commands.options import Function, subcommand
from dsgctl.commands.parameters import DATASET, GROUP, SERVICE_ACCOUNT
from dsgctl.commands.session import Session
from dsgctl.core import grants, service_accounts, users, validation
from dsgctl.core.change import Change
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject, require_level
from dsgctl.core.rules import levels
from dsgctl.store import Database

_LEVEL_WIDTH = max(map(len, levels.NAMES)) + 2


@click.group()
def command() -> None:
    """Permissions of users, groups and service accounts on datasets."""


def _subject_options(function: Function) -> Function:
    for option in (
        click.option("--service-account", type=SERVICE_ACCOUNT, metavar="NAME", help="For a service account."),
        click.option("--group", type=GROUP, metavar="NAME", help="For all members of a group."),
        click.option("--user", metavar="EMAIL", help="For a person."),
    ):
        function = option(function)
    return function


def _find_subject(
    database: Database, user: str | None, group: str | None, service_account: str | None
) -> Subject | None:
    """The subject that the options name; None if they name none.

    Raises:
        Invalid: they name more than one.
    """
    if sum(value is not None for value in (user, group, service_account)) > 1:
        raise Invalid("a grant has one subject", "use only one of --user, --group and --service-account")
    if user is not None:
        return principal_subject(users.find(database, user))
    if service_account is not None:
        return principal_subject(service_accounts.find(database, service_account))
    return group_subject(database, group) if group is not None else None


def _require_subject(change: Change, target: Target, *options: str | None) -> Subject:
    def find() -> Subject:
        subject = _find_subject(change.database, *options)
        if subject is None:
            raise Invalid(
                "the grant has no subject", "use one of --user EMAIL, --group NAME and --service-account NAME"
            )
        return subject

    return grants.find_subject(change, target, find)


def _target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--scope",
            type=GROUP,
            metavar="GROUP",
            help="The group for whose work the grant is given; it ends with the group.",
        ),
        click.option("--service", metavar="NAME", help="Only for this service."),
        click.option("--version", metavar="VERSION", help="Only on this version."),
        _subject_options,
        click.argument("permission"),
        click.argument("dataset", type=DATASET),
    ):
        function = option(function)
    return function


@subcommand(
    command,
    "add",
    example="dsgctl grant add fish2 view --group lab-1\n"
    "dsgctl grant add fish2 edit --user ada@example.org --expires 90d\n"
    "dsgctl grant add fish2 view --user ada@example.org --service neuprint",
    help=f"""Grant {levels.enumerate_names("or")}, or change when a grant ends.

    Each permission includes those before it:

    \b
    """
    + "\n    ".join(f"{name:{_LEVEL_WIDTH}}{levels.BY_NAME[name].meaning}" for name in levels.NAMES)
    + """

    A grant for one service and the same grant for every service are two grants. What names no service, as
    user/cache and the tokens for buckets, follows from grants for every service alone.
    """,
)
@_target_options
@click.option("--expires", metavar="90d|DATE|never", help="When the grant ends. A new grant never ends by default.")
def add(
    session: Session,
    *,
    dataset: str,
    permission: str,
    user: str | None,
    group: str | None,
    service_account: str | None,
    version: str | None,
    service: str | None,
    scope: str | None,
    expires: str | None,
) -> None:
    target = Target(dataset, require_level(permission), version, scope, service)
    for_ever = expires == "never"
    end = validation.moment_after(expires, now()) if expires is not None and not for_ever else None
    with session.change() as change:
        subject = _require_subject(change, target, user, group, service_account)
        grant = grants.add(change, subject, target, expires=end, for_ever=for_ever)
    until = f" until {grant.expires:%Y-%m-%d %H:%M UTC}" if grant.expires is not None and grant.expires != end else ""
    session.output.print_result(
        f"granted {target} to {subject.label}{until}"
        if grant.changed
        else f"{subject.label} already has {target}{until}",
        dataset=dataset,
        permission=permission,
        subject=subject.label,
        version=version,
        scope=scope,
        expires=grant.expires,
        changed=grant.changed,
        service=service,
    )


@subcommand(command, "revoke", example="dsgctl grant revoke fish2 view --group lab-1")
@_target_options
def revoke(
    session: Session,
    *,
    dataset: str,
    permission: str,
    user: str | None,
    group: str | None,
    service_account: str | None,
    version: str | None,
    service: str | None,
    scope: str | None,
) -> None:
    """Revoke a grant. Name it as 'grant add' did; the next request is answered without it."""
    target = Target(dataset, permission, version, scope, service)
    with session.change() as change:
        subject = _require_subject(change, target, user, group, service_account)
        grants.revoke(change, subject, target)
    session.output.print_result(
        f"revoked {target} from {subject.label}",
        dataset=dataset,
        permission=permission,
        subject=subject.label,
        version=version,
        scope=scope,
        changed=True,
        service=service,
    )


@subcommand(command, "list", example="dsgctl grant list --dataset fish2 --expiring 30d")
@click.option("--dataset", type=DATASET, metavar="NAME", help="Only grants on this dataset.")
@_subject_options
@click.option("--service", metavar="NAME", help="Only grants for this service alone.")
@click.option(
    "--expiring", metavar="DURATION", help="Only grants that end within this time, such as 30d, or have ended."
)
def list_(
    session: Session,
    *,
    dataset: str | None,
    user: str | None,
    group: str | None,
    service_account: str | None,
    service: str | None,
    expiring: str | None,
) -> None:
    """List grants. Grants to a group are listed once, under the group."""
    columns = (
        "id",
        "dataset",
        "version",
        "permission",
        "user",
        "group",
        "service_account",
        "scope",
        "expires",
        "granted_by",
        "source",
        "created",
        "service",
    )
    rows = grants.list_grants(
        session.database,
        dataset=dataset,
        subject=_find_subject(session.database, user, group, service_account),
        service=service,
        expiring_before=now() + validation.duration(expiring) if expiring is not None else None,
        delegate=session.delegate,
    )
    session.output.print_rows(rows, columns, value="id")
