"""Finds the owner of a presented token, and runs the checks that it must pass.

`CHECKS` is the list of those that look at a stored token. To add one, add a member of `TokenError` and a class to it;
for a new column of a token, also the column and a migration. Server and command line take the texts from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple

from dsgctl.core import account_status, token_format
from dsgctl.store import Database
from dsgctl.store.models import Client, Principal, Token
from dsgctl.store.prepared import Prepared, parameter


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token, and what is known about the request that presents it.

    Attributes:
        token: the text that a client sent; or the id of a token, from something that this program signed.
        address: the client's network address; None if there is no request.
        service: the service that asks, as the request names it; None if it names none.
        in_cookie: whether it is in a cookie, which browsers send by themselves.
    """

    token: str | int
    address: str | None = None
    service: str | None = None
    in_cookie: bool = False


DELEGATED: Final = "delegated"  # the kind of the tokens of delegated_keys.py


class TokenError(StrEnum):
    """Why a presented token is refused: one member a `Refusal`."""

    MISTYPED = "mistyped"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    EXPIRED = "expired"
    DISABLED = "account_disabled"
    IN_COOKIE = "in_cookie"
    CLIENT_REMOVED = "client_removed"


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """The result of the checks. The token is valid exactly if ``problem`` is None.

    Attributes:
        token, principal: None if no such token is stored. With a delegated key, the principal is no admin.
        changes_at: the next moment at which the result may change although the data do not; None for never.
        cacheable: whether the result holds for every request with this token, until the data change.
    """

    problem: TokenError | None
    token: Token | None = None
    principal: Principal | None = None
    changes_at: datetime | None = None
    cacheable: bool = True


class Evidence(NamedTuple):
    """What the checks look at: the stored token with its owner, and how it is presented."""

    database: Database
    presented: PresentedToken
    at: datetime
    token: Token
    principal: Principal

    @property
    def is_delegated(self) -> bool:
        """Whether the stored token is a key that a registered client was handed."""
        return bool(self.token.kind == DELEGATED)


class Refusal:
    """One reason for refusing a token, in words.

    Attributes:
        error: what `check` returns.
        code, message: for the client (contract.md, "The token on a request"). The defaults do not say whether such a
            token exists.
        reason: for operators; completes the sentence "this token is not valid: …".
    """

    error: ClassVar[TokenError]
    code: ClassVar[str] = "invalid_token"
    message: ClassVar[str] = "this token is not known"
    reason: ClassVar[str]


class Mistyped(Refusal):
    """No look-up can find it."""

    error = TokenError.MISTYPED
    reason = "it is mistyped or cut off, its checksum is wrong"


class Unknown(Refusal):
    """No such token is stored, or its owner was deleted by another program."""

    error = TokenError.UNKNOWN
    reason = "nobody here has it"


class TokenCheck(Refusal):
    """A reason for refusing a stored token, and when it holds."""

    def fails(self, evidence: Evidence) -> bool:
        """Whether the token is refused for this reason."""
        raise NotImplementedError

    def changes_at(self, evidence: Evidence) -> datetime | None:
        """A moment at which the result changes although the data do not. A past one is ignored."""
        return None

    def is_cacheable(self, evidence: Evidence) -> bool:
        """Whether the result is the same for every request with this token.

        False only if it depends on the address: no answer to this token is cached then.
        """
        return True


class Revoked(TokenCheck):
    """Somebody has revoked it."""

    error = TokenError.REVOKED
    reason = "it was revoked"

    def fails(self, evidence: Evidence) -> bool:
        return evidence.token.revoked is not None


class Expired(TokenCheck):
    """Its end has come."""

    error = TokenError.EXPIRED
    code = "expired_token"
    message = "this token has expired"
    reason = "it has expired"

    def fails(self, evidence: Evidence) -> bool:
        expires = evidence.token.expires
        return expires is not None and expires <= evidence.at

    def changes_at(self, evidence: Evidence) -> datetime | None:
        expires: datetime | None = evidence.token.expires
        return expires


class Disabled(TokenCheck):
    """The account of its owner is disabled, or one above it."""

    error = TokenError.DISABLED
    code = "account_disabled"
    message = "this account is disabled"
    reason = "its owner is disabled"

    def fails(self, evidence: Evidence) -> bool:
        return account_status.find_disabled(evidence.database, evidence.principal) is not None


class InCookie(TokenCheck):
    """A delegated key is for the pages of a client, which send it in a header: it signs nobody in here."""

    error = TokenError.IN_COOKIE
    reason = "a key of an application signs nobody in"

    def fails(self, evidence: Evidence) -> bool:
        return evidence.is_delegated and evidence.presented.in_cookie


class ClientRemoved(TokenCheck):
    """The client of a delegated key was deleted, with the sqlite3 shell too."""

    error = TokenError.CLIENT_REMOVED
    reason = "its application is not registered any more"

    def fails(self, evidence: Evidence) -> bool:
        return evidence.is_delegated and not _CLIENT(evidence.database, id=evidence.token.client_id)


# In this order: of several reasons, the first is reported.
CHECKS: Final[tuple[TokenCheck, ...]] = (Revoked(), Expired(), Disabled(), InCookie(), ClientRemoved())
BY_ERROR: Final[Mapping[TokenError, Refusal]] = {refusal.error: refusal for refusal in (Mistyped(), Unknown(), *CHECKS)}


def check(database: Database, presented: PresentedToken, at: datetime) -> TokenStatus:
    """Whose token this is, and whether it is valid now. Nothing else decides that.

    Args:
        presented: its token may be any text.
        at: the moment for which the answer holds.
    """
    if isinstance(presented.token, str) and token_format.is_malformed(presented.token):
        return TokenStatus(TokenError.MISTYPED)
    stored = _look_up(database, presented.token)
    if stored is None:
        return TokenStatus(TokenError.UNKNOWN)
    evidence = Evidence(database, presented, at, *stored)
    problem, changes_at, cacheable = None, None, True
    for token_check in CHECKS:
        if token_check.fails(evidence):
            problem = token_check.error
        moment = token_check.changes_at(evidence)
        if moment is not None and moment > at and (changes_at is None or moment < changes_at):
            changes_at = moment
        cacheable = cacheable and token_check.is_cacheable(evidence)
        if problem is not None:
            break
    return TokenStatus(problem, *stored, changes_at, cacheable)


def _look_up(database: Database, token: str | int) -> tuple[Token, Principal] | None:
    """The stored token and its owner, by the text of the token or by its id."""
    rows = _BY_HASH(database, hash=token_format.digest(token)) if isinstance(token, str) else _BY_ID(database, id=token)
    for row in rows:  # one at most
        stored = _build_model(Token, row[: len(_TOKEN_COLUMNS)])
        owner = _build_model(Principal, row[len(_TOKEN_COLUMNS) :])
        if stored.kind == DELEGATED:
            owner.admin = False  # here, so that no route and no rule can forget it
        return stored, owner
    return None


# With the owner: a token whose owner was deleted with the sqlite3 shell belongs to nobody.
_TOKEN_COLUMNS = tuple(Token._meta.sorted_fields)
_OWNER_COLUMNS = tuple(Principal._meta.sorted_fields)
_WITH_OWNER = Token.select(*_TOKEN_COLUMNS, *_OWNER_COLUMNS).join(Principal)
_BY_HASH = Prepared(_WITH_OWNER.where(Token.hash == parameter("hash")))
_BY_ID = Prepared(_WITH_OWNER.where(Token.id == parameter("id")))
_CLIENT = Prepared(Client.select(Client.id).where(Client.id == parameter("id")))


def _build_model(model: type[Any], cells: tuple[Any, ...]) -> Any:
    """An instance with every column, without a default or a call for each."""
    instance = model(__no_default__=True)
    instance.__data__.update(zip(model._meta.sorted_field_names, cells, strict=True))
    return instance
