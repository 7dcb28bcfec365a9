"""A verified sign-in: the account that it opens, the login token, and the terms that were postponed with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dsgctl.core import account_status, addresses, groups, principals, tokens, users
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotAllowed
from dsgctl.core.new_users import Attributes
from dsgctl.store import Database
from dsgctl.store.models import Principal, Token

LOGIN_LIFE = timedelta(days=7)  # contract.md, "Login"


@dataclass(frozen=True, slots=True)
class Identity:
    """The person that the provider has signed in, from a verified ID token.

    Attributes:
        issuer, subject: together they identify one person, permanently (OpenID Connect Core, 5.7).
        email: verified by the provider.
    """

    issuer: str
    subject: str
    email: str
    name: str = ""
    picture_url: str = ""


def sign_in(change: Change, identity: Identity, *, default_groups: Sequence[str] = ()) -> tuple[Principal, str]:
    """Find or add the account of an identity, and mint a login token for it.

    It is the account bound to (issuer, subject). If there is none, the account of the verified email is bound,
    provided that it is bound to no other subject. If there is none either, an account is added.

    Args:
        default_groups: the names of the groups that a new account joins; missing groups are added.

    Returns:
        The user, and the token.

    Raises:
        Conflict: the email belongs to another subject.
        NotAllowed: the account is disabled.
        Invalid: the email cannot be a user's.
    """
    user = _find_or_add(change, identity, default_groups)
    if account_status.find_disabled(change.database, user) is not None:
        raise NotAllowed(f"the account {user.email} is disabled")
    addresses.record_provider_email(change, user, identity.email)
    missing: Attributes = {}
    if identity.name and not user.name:
        missing["name"] = identity.name
    if identity.picture_url and not user.picture_url:
        missing["picture_url"] = identity.picture_url
    if missing:
        users.set_attributes(change, user.email, **missing)
    _, secret = tokens.mint(change, user, kind="login", description="sign-in", expires=change.at + LOGIN_LIFE)
    return user, secret


def _find_or_add(change: Change, identity: Identity, default_groups: Sequence[str]) -> Principal:
    user = principals.find_by_identity(change.database, identity.issuer, identity.subject)
    if user is not None:
        return user
    user = principals.find_by_email(change.database, identity.email)
    if user is None:
        user, _ = users.add(change, identity.email)
        for group in default_groups:
            groups.add(change, group)
            groups.add_member(change, group, user.email)
    elif user.subject is not None:
        raise Conflict(f"the address {user.email} belongs to another sign-in identity", "dsgctl user set --unbind")
    if account_status.find_disabled(change.database, user) is None:
        users.bind(change, user, identity.issuer, identity.subject)
    return user


def list_postponed_terms(token: Token) -> frozenset[int]:
    """The ids of the terms that somebody chose to postpone with this login."""
    return frozenset(map(int, token.postponed.split()))


def postpone_terms(database: Database, token: Token, terms_ids: Iterable[int]) -> None:
    """Remember, until the login ends, that somebody chose to continue without these terms.

    They stay unaccepted: this decides only whether they are asked for again. So it writes no audit record and moves
    no revision.
    """
    postponed = " ".join(map(str, sorted(list_postponed_terms(token) | {*terms_ids})))
    with database.transaction():
        database.run(Token.update(postponed=postponed).where(Token.id == token.id))
