"""What a verified sign-in means: whose account it is, the login token that it gets, and what was chosen with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dsgctl.core import account_status, addresses, groups, principals, tokens, users
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotAllowed
from dsgctl.store import Database
from dsgctl.store.models import Principal, Token

LOGIN_LIFE = timedelta(days=7)  # contract.md, "Login"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider has signed in, from a verified ID token.

    Attributes:
        issuer, subject: together name one person for ever (OpenID Connect Core, 5.7).
        email: verified by the provider.
    """

    issuer: str
    subject: str
    email: str
    name: str = ""
    picture_url: str = ""


def sign_in(change: Change, identity: Identity, *, default_groups: Sequence[str] = ()) -> tuple[Principal, str]:
    """Find or make the account of this identity, and mint a login token for it.

    The account is the one of (issuer, subject); else the one of the verified email, if it has no
    subject yet: it is bound to this one. Else it is a new one, in the default groups.

    Returns:
        The user, and the token.

    Raises:
        Conflict: the email belongs to another subject.
        NotAllowed: the account is disabled.
        Invalid: the email cannot be a user's.
    """
    user = _account(change, identity, default_groups)
    if account_status.find_disabled(change.database, user) is not None:
        raise NotAllowed(f"the account {user.email} is disabled")
    addresses.record_provider_email(change, user, identity.email)
    learned: dict[str, Any] = {
        key: value
        for key, value in (("name", identity.name), ("picture_url", identity.picture_url))
        if value and not getattr(user, key)
    }
    if learned:
        users.set_attributes(change, user.email, **learned)
    _, secret = tokens.mint(change, user, kind="login", description="sign-in", expires=change.at + LOGIN_LIFE)
    return user, secret


def _account(change: Change, identity: Identity, default_groups: Sequence[str]) -> Principal:
    bound = principals.find_by_identity(change.database, identity.issuer, identity.subject)
    if bound is not None:
        return bound
    known = principals.find_by_email(change.database, identity.email)
    if known is None:
        known, _ = users.add(change, identity.email)
        for group in default_groups:
            groups.add(change, group)
            groups.add_member(change, group, known.email)
    elif known.subject is not None:
        raise Conflict(f"the address {known.email} belongs to another sign-in identity", "dsgctl user set --unbind")
    if account_status.find_disabled(change.database, known) is None:
        users.bind(change, known, identity.issuer, identity.subject)
    return known


def postponed_terms(token: Token) -> frozenset[int]:
    """The terms, by their ids, that somebody chose to go on without with this login."""
    return frozenset(map(int, token.postponed.split()))


def postpone_terms(database: Database, token: Token, terms_ids: Iterable[int]) -> None:
    """Remember until the login ends that somebody chose to go on without these terms.

    They count as not accepted all the same: this decides only whether they are asked for again. So it is no change
    of facts, writes no audit record and moves no revision.
    """
    chosen = " ".join(map(str, sorted(postponed_terms(token) | {*terms_ids})))
    with database.transaction():
        database.run(Token.update(postponed=chosen).where(Token.id == token.id))
