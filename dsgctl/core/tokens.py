"""Tokens: minted, imported, rotated and revoked here. Only their SHA-256 is stored."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dsgctl.core import account_status, principals, token_checks, token_format, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store.models import Client, Principal, Token
from dsgctl.store.prepared import Prepared, parameter

_HASHES = Prepared(Token.select(Token.hash))
_HASHES_OF = Prepared(Token.select(Token.hash).where(Token.principal == parameter("principal")))


def list_hashes(database: Database, principal_ids: Collection[int] | None = None) -> Iterator[bytes]:
    """The stored hashes, those of tokens that have ended included.

    Args:
        principal_ids: only the tokens of these principals; None for all.
    """
    if principal_ids is None:
        rows = _HASHES.stream(database)
    else:
        rows = (row for principal_id in principal_ids for row in _HASHES_OF(database, principal=principal_id))
    return (digest for (digest,) in rows)


def mint(
    change: Change,
    principal: Principal,
    *,
    kind: str = "api",
    description: str = "",
    expires: datetime | None = None,
    client: Client | None = None,
) -> tuple[Token, str]:
    """Make a token for a user or service account.

    Args:
        kind: ``api``, ``login`` or ``delegated``.
        expires: the first moment at which it is no longer valid; None for never.
        client: that is handed a delegated key.

    Returns:
        The row, and the token, which cannot be read again.

    Raises:
        Conflict: the account is disabled.
        Invalid: the description cannot be stored.
    """
    if ended := account_status.find_disabled(change.database, principal):
        raise Conflict(
            f"{principal.label} is disabled{'' if ended == principal.label else ' with ' + ended}; "
            "a token would not work",
            "enable the account first",
        )
    validation.single_line(description, "description", empty=True)
    secret = token_format.generate()
    values = {"kind": kind, "description": description, "expires": expires}
    token_id = _insert(change, principal, secret, **values, client=client.id if client is not None else None)
    return find(change.database, token_id), secret


def _insert(change: Change, principal: Principal, secret: str, **values: Any) -> int:
    row = {"created": change.at, **values, "principal": principal.id, "prefix": token_format.visible_prefix(secret)}
    token_id = change.database.run(Token.insert(hash=token_format.digest(secret), **row))
    _record_mint(change, principal, {**row, "id": token_id})
    return token_id


def _record_mint(change: Change, principal: Principal, row: dict[str, Any]) -> None:
    after = {key: row[key] for key in ("kind", "prefix", "description", "expires")}
    change.record(
        "token.mint",
        f"token:{row['id']} {principals.format_label(principal)}",
        after={key: value for key, value in after.items() if value},
    )


@dataclass(frozen=True, slots=True)
class ImportedToken:
    """A token of another system, without the token itself; made by `hash_imported`.

    Attributes:
        values: more columns of its row: kind, description, created, expires, last_used, client.
    """

    principal: Principal
    hash: bytes
    prefix: str
    values: dict[str, Any]


def hash_imported(
    principal: Principal,
    secret: str,
    *,
    kind: str,
    description: str,
    created: datetime,
    expires: datetime | None,
    last_used: datetime | None,
    client: Client | None = None,
) -> ImportedToken:
    """What `import_tokens` needs of a token.

    Args:
        client: that was handed a delegated key.

    Raises:
        Invalid: the description cannot be stored.
    """
    validation.single_line(description, "description", empty=True)
    values = {"kind": kind, "description": description, "created": created, "expires": expires, "last_used": last_used}
    values["client"] = client.id if client is not None else None
    return ImportedToken(principal, token_format.digest(secret), token_format.visible_prefix(secret), values)


def import_token(change: Change, principal: Principal, secret: str, **values: Any) -> bool:
    """Import one token, so that it works here too. Returns whether it is new.

    Args:
        values: the other arguments of `hash_imported`.

    Raises:
        Invalid: as `hash_imported`.
    """
    return bool(import_tokens(change, [hash_imported(principal, secret, **values)]))


def import_tokens(change: Change, tokens: Iterable[ImportedToken]) -> int:
    """Import tokens, at most a few thousand in one call. An existing token is left unchanged, even if it was revoked.

    Returns:
        How many are new.
    """
    by_hash = {token.hash: token for token in tokens}
    query = Token.select(Token.hash).where(Token.hash.in_(list(by_hash)))
    existing = {bytes(digest) for (digest,) in change.database.tuples(query)}
    new = [token for digest, token in by_hash.items() if digest not in existing]
    rows: list[dict[str, Any]] = []
    for token_id, token in enumerate(new, change.database.next_id(Token)):
        row = {"id": token_id, "hash": token.hash, "principal": token.principal.id, "prefix": token.prefix}
        rows.append(row | token.values)
        _record_mint(change, token.principal, rows[-1])
    change.database.insert_many(Token, rows)
    return len(new)


def find(database: Database, token_id: int) -> Token:
    """The token of an id.

    Raises:
        NotFound: there is none.
    """
    token = database.first(Token.select().where(Token.id == token_id))
    if token is None:
        raise NotFound(f"there is no token {token_id}", "dsgctl token list")
    return token


def is_live(at: datetime) -> Any:
    """The condition that a token is neither revoked nor expired at a moment."""
    return Token.revoked.is_null() & (Token.expires.is_null() | (Token.expires > at))


def find_owner(database: Database, token: Token) -> Principal:
    """The user or service account that a token belongs to."""
    return database.objects(Principal.select().where(Principal.id == token.principal_id))[0]


def revoke(change: Change, token_id: int) -> bool:
    """End a token now: the next request with it is refused.

    Returns:
        Whether anything changed: false if it was revoked before.

    Raises:
        NotFound: there is no such token.
    """
    token = find(change.database, token_id)
    if token.revoked is not None:
        return False
    change.database.run(Token.update(revoked=change.at).where(Token.id == token_id))
    change.record(
        "token.revoke",
        _format_target(change.database, token),
        {"prefix": token.prefix, "description": token.description},
    )
    return True


def _format_target(database: Database, token: Token) -> str:
    return f"token:{token.id} {principals.format_label(find_owner(database, token))}"


def rotate(change: Change, token_id: int, *, overlap: timedelta = timedelta(0)) -> tuple[Token, str]:
    """Mint a token with the attributes of an existing one, and end that one after ``overlap``.

    The new token has the lifetime of the old one, counted from now.

    Returns:
        As `mint`.

    Raises:
        NotFound: there is no such token.
        Conflict: it is revoked, the account is disabled, or it is a delegated key, which a client is handed.
    """
    old = find(change.database, token_id)
    if old.kind == token_checks.DELEGATED:
        raise Conflict(
            f"token {token_id} is a key that {old.description} was handed in a browser",
            "revoke it; the application asks its user for a new one",
        )
    if old.revoked is not None:
        raise Conflict(f"token {token_id} is revoked", "dsgctl token mint makes a new one")
    owner = find_owner(change.database, old)
    life = old.expires - old.created if old.expires else None
    token, secret = mint(
        change, owner, kind=old.kind, description=old.description, expires=change.at + life if life else None
    )
    if not overlap:
        revoke(change, token_id)
        return token, secret
    end = min(filter(None, (old.expires, change.at + overlap)))
    change.database.run(Token.update(expires=end).where(Token.id == token_id))
    change.record("token.set", _format_target(change.database, old), {"expires": old.expires}, {"expires": end})
    return token, secret


def prune(change: Change, *, before: datetime) -> int:
    """Delete the tokens that were revoked or expired before a moment. Returns how many."""
    ended = (Token.revoked < before) | (Token.expires < before)
    tokens = change.database.objects(Token.select().where(ended).order_by(Token.id))
    for token in tokens:
        change.record(
            "token.prune",
            _format_target(change.database, token),
            {"prefix": token.prefix, "description": token.description},
        )
    change.database.run(Token.delete().where(ended))
    return len(tokens)


def record_uses(database: Database, uses: dict[int, datetime]) -> None:
    """Write when tokens were last used. This decides nothing, so there is no audit record and no new revision.

    Args:
        uses: id of a token -> the time of its last use.
    """
    with database.transaction():
        for token_id, moment in uses.items():
            is_later = Token.last_used.is_null() | (Token.last_used < moment)
            database.run(Token.update(last_used=moment).where(Token.id == token_id, is_later))
