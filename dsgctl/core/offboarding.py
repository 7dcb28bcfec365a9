"""A person leaves: their account, and everything that it may do, ends in one change."""

from dataclasses import dataclass, field

from dsgctl.core import account_status, grants, groups, principals, service_accounts, token_queries, tokens, users
from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.store import Database
from dsgctl.store.models import Principal


@dataclass(slots=True)
class OffboardingResult:
    """What ended.

    Attributes:
        disabled: the accounts that were disabled: emails of the person and of children, names of service accounts.
        tokens: ids.
        grants: ``DATASET [VERSION] PERMISSION`` of each.
        groups: names.
        service_accounts: the names of all that the person created, whether or not they changed.
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
    """The service accounts that a person created, in the order of names.

    Args:
        os_user: the person's user name on the gateway's host, under which they ran ``dsgctl``.
    """
    creators = {f"user:{user.email}"} | ({f"os:{os_user}"} if os_user else set())
    query = Principal.select().where(Principal.kind == "service_account").order_by(Principal.slug)
    return [account for account in database.objects(query) if account.created_by.partition(" as ")[0] in creators]


def offboard(
    change: Change,
    email: str,
    *,
    os_user: str | None = None,
    disable_service_accounts: bool = False,
    heir: str | None = None,
    last_admin: bool = False,
) -> OffboardingResult:
    """Disable a person and the children of their account, revoke every token and grant, and end memberships.

    Grants that they gave as an operator stay, and so do the audit records. Grants that they gave with ``--as`` end
    (delegated_grants.py). Doing it again changes nothing.

    Args:
        os_user: as in `list_service_accounts_made_by`.
        disable_service_accounts: also disable the service accounts that they created.
        heir: the email of the user who becomes the creator of these service accounts.
        last_admin: allow the last admin to leave.

    Raises:
        NotFound: there is no such user, or heir.
        NotAllowed: no admin would be left.
        Invalid: the heir is disabled, or is the person who leaves.
    """
    user, result = users.find(change.database, email), OffboardingResult()
    new_creator = _find_heir(change.database, user, heir) if heir else None
    for account in [user, *principals.list_descendants(change.database, user)]:
        _end_account(change, account, result, last_admin=last_admin)
    for account in list_service_accounts_made_by(change.database, user, os_user):
        result.service_accounts.append(account.slug)
        if disable_service_accounts and service_accounts.set_active(change, account.slug, False):
            result.disabled.append(account.slug)
        if new_creator is not None:
            service_accounts.hand_over(change, account, new_creator)
    return result


def _find_heir(database: Database, user: Principal, email: str) -> Principal:
    heir = users.find(database, email)
    if heir.id == user.id or account_status.find_disabled(database, heir) is not None:
        raise Invalid(f"{heir.email} cannot become their creator", "name another user, whose account is not disabled")
    return heir


def _end_account(change: Change, account: Principal, result: OffboardingResult, *, last_admin: bool) -> None:
    database, subject = change.database, principal_subject(account)
    if users.set_active(change, account.email, False, last_admin=last_admin):
        result.disabled.append(account.email)
    for token in list(token_queries.list_tokens(database, principal=account, at=change.at)):
        tokens.revoke(change, token["id"])
        result.tokens.append(token["id"])
    for grant in list(grants.list_grants(database, subject=subject)):
        target = Target(grant["dataset"], grant["permission"], grant["version"], grant["scope"])
        grants.revoke(change, subject, target)
        result.grants.append(" ".join(filter(None, (target.dataset, target.version, target.permission))))
    for group in principals.list_holdings(database, account)["groups"]:
        groups.remove_member(change, group, account.email)
        result.groups.append(group)
