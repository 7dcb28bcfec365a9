"""The long-lived tokens of people, which services hand out: each request gets a new one, and only the newest live.

contract-services.md, "Tokens": a token cannot be shown again, because only its hash is stored.
"""

from datetime import datetime
from typing import Final

from dsgctl.core import tokens
from dsgctl.core.change import Change
from dsgctl.store.models import Principal, Token

DESCRIPTION: Final = "Default long-lived API token"
MAX_TOKENS: Final = 10  # of one person; the oldest ends


def mint(change: Change, principal: Principal, *, expires: datetime | None = None) -> str:
    """Make a long-lived token; beyond `MAX_TOKENS`, the oldest of the person are revoked.

    Args:
        expires: the end of the token that asks for this one, if it has an end; then this one is not long-lived.

    Returns:
        The token, which cannot be read again.

    Raises:
        Conflict: the account is disabled.
    """
    _, secret = tokens.mint(change, principal, description=DESCRIPTION, expires=expires)
    query = Token.select(Token.id).where(
        Token.principal == principal.id,
        Token.kind == "api",
        Token.description == DESCRIPTION,
        Token.expires.is_null(),
        Token.revoked.is_null(),
    )
    newest_first = [token_id for (token_id,) in change.database.tuples(query.order_by(Token.id.desc()))]
    for token_id in newest_first[MAX_TOKENS:]:
        tokens.revoke(change, token_id)
    return secret


def is_long_lived(token: Token) -> bool:
    """Whether a token is one of those that `mint` makes."""
    return bool(token.kind == "api" and token.description == DESCRIPTION and token.expires is None)
