"""Somebody leaves: their account and all that it may do end in one change; what they made for others is told."""

from dataclasses import dataclass, field
from typing import Any

from dsgctl.core import account_status, grants, groups, service_accounts, tokens, users
from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.store import Database
from dsgctl.store.models import Principal


@dataclass(slots=True)
class OffboardingResult:
    """What ended, by the names that commands have for it.

    Attributes:
        disabled: accounts, the person's and its children's, that were not disabled before.
        service_accounts: those that the person made, whatever became of them.
    """

    disabled: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    service_accounts: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.disabled or self.tokens or self.grants or self.groups)


def list_service_accounts_made_by(database: Database, user: Principal, os_user: str | None = None) -> list[Principal]:
    """The service accounts that a person made.

    Args:
        os_user: the person's name on the gateway's host: what is made at its command line is known by that.
    """
    by = {f"user:{user.email}"} | ({f"os:{os_user}"} if os_user else set())
    accounts = Principal.select().where(Principal.kind == "service_account").order_by(Principal.slug)
    found = database.objects(accounts)
    return [account for account in found if account.created_by.partition(" as ")[0] in by]


def offboard(
    change: Change,
    email: str,
    *,
    os_user: str | None = None,
    disable_service_accounts: bool = False,
    heir: str | None = None,
    last_admin: bool = False,
) -> OffboardingResult:
    """Disable a person and the children of their account, end every token, and take away grants and memberships.

    Grants that they gave as an operator stay, and so does what the record says of them; what they gave with ``--as``
    falls (delegated_grants.py). A second time changes nothing.

    Args:
        os_user: see `made_by`.
        disable_service_accounts: also those that they made.
        heir: the user whose service accounts these are from now on.

    Raises:
        NotFound: there is no such user, or heir.
        NotAllowed: it is the last admin.
        Invalid: the heir is disabled, or the person who leaves.
    """
    user, left = users.find(change.database, email), OffboardingResult()
    inherits = _heir(change.database, user, heir) if heir else None
    for account in [user, *users.list_descendants(change.database, user)]:
        _end(change, account, left, last_admin=last_admin)
    for account in list_service_accounts_made_by(change.database, user, os_user):
        left.service_accounts.append(account.slug)
        if disable_service_accounts and service_accounts.set_active(change, account.slug, False):
            left.disabled.append(account.slug)
        if inherits is not None:
            service_accounts.hand_over(change, account, inherits)
    return left


def _heir(database: Database, user: Principal, email: str) -> Principal:
    heir = users.find(database, email)
    if heir.id == user.id or account_status.ended_by(database, heir) is not None:
        raise Invalid(f"{heir.email} cannot take them over", "name another user, whose account is not disabled")
    return heir


def _end(change: Change, account: Principal, left: OffboardingResult, *, last_admin: bool) -> None:
    database, subject = change.database, principal_subject(account)
    if users.set_active(change, account.email, False, last_admin=last_admin):
        left.disabled.append(account.email)
    for row in list(tokens.list_tokens(database, principal=account, at=change.at)):
        tokens.revoke(change, row["id"])
        left.tokens.append(row["id"])
    for grant in list(grants.list_grants(database, subject=subject)):
        grants.revoke(change, subject, Target(grant["dataset"], grant["permission"], grant["version"], grant["scope"]))
        left.grants.append(" ".join(filter(None, (grant["dataset"], grant["version"], grant["permission"]))))
    held: dict[str, Any] = users.count_holdings(database, account)
    for group in held["groups"]:
        groups.remove_member(change, group, account.email)
        left.groups.append(group)
