"""What is recorded about tokens: the list of all, and one with its state."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypedDict

from dsgctl.core import principals, token_checks, tokens
from dsgctl.core.token_checks import PresentedToken, TokenStatus
from dsgctl.store import Database
from dsgctl.store.models import Principal, Token


class TokenRow(TypedDict):
    """A row of ``token list``: ``user`` or ``service_account`` is the owner."""

    id: int
    user: str | None
    service_account: str | None
    kind: str
    prefix: str
    description: str
    created: datetime
    expires: datetime | None
    last_used: datetime | None
    revoked: datetime | None


def list_tokens(
    database: Database, *, principal: Principal | None = None, at: datetime, ended: bool = False
) -> Iterator[TokenRow]:
    """Tokens, by id.

    Args:
        principal: only the tokens of this principal.
        ended: include those that are revoked or have expired.
    """
    query = (
        Token.select(
            Token.id,
            Principal.email.alias("user"),
            Principal.slug.alias("service_account"),
            Token.kind,
            Token.prefix,
            Token.description,
            Token.created,
            Token.expires,
            Token.last_used,
            Token.revoked,
        )
        .join(Principal)
        .order_by(Token.id)
    )
    if principal is not None:
        query = query.where(Token.principal == principal.id)
    if not ended:
        query = query.where(tokens.is_live(at))
    return database.rows(query, TokenRow)


class DescribedToken(TypedDict):
    """A token that is stored. ``of`` is the owner; ``state`` is ``valid`` or a `token_checks.TokenError`."""

    id: int
    of: str
    state: str
    kind: str
    prefix: str
    description: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


class UnknownToken(TypedDict):
    """A token that is not stored; ``state`` says why it is refused."""

    state: str


def show(database: Database, token_id: int, at: datetime) -> DescribedToken | UnknownToken:
    """One token, with its state at a moment.

    Raises:
        NotFound: there is no token of this id.
    """
    tokens.find(database, token_id)
    return describe(token_checks.check(database, PresentedToken(token_id), at))


def describe(status: TokenStatus) -> DescribedToken | UnknownToken:
    """What operators may see of a token that was checked."""
    token, owner = status.token, status.principal
    if token is None or owner is None:
        return {"state": str(status.problem)}
    return {
        "id": token.id,
        "of": principals.format_label(owner),
        "state": str(status.problem or "valid"),
        "kind": token.kind,
        "prefix": token.prefix,
        "description": token.description,
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
        "last_used": token.last_used,
    }
