"""Tokens: made, checked, rotated and revoked here; only their SHA-256 is ever stored."""

import hashlib
import re
import secrets
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dsgctl.core import account_status, service_accounts, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store.models import Principal, Token
from dsgctl.store.prepared import Prepared, parameter

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM = 32  # characters: 190 bits
_CHECKSUM = 6  # characters: a CRC-32 in base 62
_OURS = re.compile(rf"dsg_[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")
_VISIBLE = 8  # characters shown to tell tokens apart
MAX_LENGTH = 4096  # longer ones are nobody's


def generate() -> str:
    """A new token: ``dsg_``, random letters and digits, and a checksum that shows a mistyped or leaked one."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return f"dsg_{body}{_checksum(body)}"


def _checksum(body: str) -> str:
    rest, digits = zlib.crc32(body.encode("ascii")), ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def is_mistyped(token: str) -> bool:
    """Whether it has the shape of our tokens but a wrong checksum: no look-up can find it."""
    body, checksum = token[4:-_CHECKSUM], token[-_CHECKSUM:]
    return bool(_OURS.fullmatch(token)) and _checksum(body) != checksum


def is_malformed(token: str) -> bool:
    """Whether no look-up can find it: mistyped, or longer than any token is."""
    return len(token) > MAX_LENGTH or is_mistyped(token)


def digest(token: str) -> bytes:
    """What is stored of a token. Plain SHA-256 will do: a token is random, not a chosen password."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def visible_prefix(token: str) -> str:
    """The few first characters that may be shown; never more than a quarter."""
    return token[: min(_VISIBLE, len(token) // 4)]


class TokenError(StrEnum):
    """Why a presented token is not good for anything: the closed list."""

    MISTYPED = "mistyped"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    EXPIRED = "expired"
    DISABLED = "account_disabled"


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """What is known of a presented token. It is good exactly if ``problem`` is None."""

    problem: TokenError | None
    token: Token | None = None
    principal: Principal | None = None


def check(database: Database, presented: str, at: datetime) -> TokenStatus:
    """Whose token this is, and whether it counts now. Nothing else reads the table to decide that.

    Args:
        presented: what a client sent; any text.
    """
    if is_malformed(presented):
        return TokenStatus(TokenError.MISTYPED)
    return _judge(database, _BY_HASH(database, hash=digest(presented)), at)


def check_id(database: Database, token_id: int, at: datetime) -> TokenStatus:
    """The same for a token that was checked before, and on which something else rests since."""
    return _judge(database, _BY_ID(database, id=token_id), at)


def list_hashes(database: Database, of: Collection[int] | None = None) -> Iterator[bytes]:
    """The stored hashes, whatever became of their tokens; of some principals, or all."""
    query = Token.select(Token.hash)
    if of is not None:
        if not of:
            return iter(())
        query = query.where(Token.principal.in_(sorted(of)))
    return (digest for (digest,) in database.tuples(query))


# Tokens with their owners: the sqlite3 shell may delete an owner and leave the token, which then is nobody's.
_TOKEN_COLUMNS = tuple(Token._meta.sorted_fields)
_OWNER_COLUMNS = tuple(Principal._meta.sorted_fields)
_WITH_OWNER = Token.select(*_TOKEN_COLUMNS, *_OWNER_COLUMNS).join(Principal)
_BY_HASH = Prepared(_WITH_OWNER.where(Token.hash == parameter("hash")))
_BY_ID = Prepared(_WITH_OWNER.where(Token.id == parameter("id")))


def _judge(database: Database, found: list[tuple[Any, ...]], at: datetime) -> TokenStatus:
    if not found:
        return TokenStatus(TokenError.UNKNOWN)
    (row,) = found
    token, owner = _build_model(Token, row[: len(_TOKEN_COLUMNS)]), _build_model(Principal, row[len(_TOKEN_COLUMNS) :])
    return TokenStatus(_find_error(database, token, owner, at), token, owner)


def _build_model(model: type[Any], row: tuple[Any, ...]) -> Any:
    return model(**dict(zip(model._meta.sorted_field_names, row, strict=True)))


def _find_error(database: Database, token: Token, owner: Principal, at: datetime) -> TokenError | None:
    if token.revoked is not None:
        return TokenError.REVOKED
    if token.expires is not None and token.expires <= at:
        return TokenError.EXPIRED
    return None if account_status.ended_by(database, owner) is None else TokenError.DISABLED


def mint(
    change: Change,
    principal: Principal,
    *,
    kind: str = "api",
    description: str = "",
    expires: datetime | None = None,
) -> tuple[Token, str]:
    """Make a token for a user or service account.

    Returns:
        The row, and the token itself: the only time that it is seen.

    Raises:
        Conflict: the account is disabled.
    """
    if ended := account_status.ended_by(change.database, principal):
        raise Conflict(
            f"{principal.label} is disabled{'' if ended == principal.label else ' with ' + ended}; "
            "a token would not work",
            "enable the account first",
        )
    validation.single_line(description, "description", empty=True)
    secret = generate()
    token_id = _insert(change, principal, secret, kind=kind, description=description, expires=expires)
    return find(change.database, token_id), secret


@dataclass(frozen=True, slots=True)
class ImportedToken:
    """A token of another system, which keeps working here; made by `kept`."""

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
) -> ImportedToken:
    """What `keep_all` takes over; the secret itself is not in it."""
    validation.single_line(description, "description", empty=True)
    values = {"kind": kind, "description": description, "created": created, "expires": expires, "last_used": last_used}
    return ImportedToken(principal, digest(secret), visible_prefix(secret), values)


def import_token(change: Change, principal: Principal, secret: str, **values: Any) -> bool:
    """Take over a token of another system, so that it keeps working. Returns whether it is new here.

    Args:
        values: as in `kept`.
    """
    return bool(import_tokens(change, [hash_imported(principal, secret, **values)]))


def import_tokens(change: Change, tokens: Iterable[ImportedToken]) -> int:
    """The same as `keep`, many at once, but at most some thousands. One that is here, whatever became of it,
    stays as it is.

    Returns:
        How many are new.
    """
    wanted = {one.hash: one for one in tokens}
    query = Token.select(Token.hash).where(Token.hash.in_(list(wanted)))
    there = {bytes(found) for (found,) in change.database.tuples(query)}
    new = [one for found, one in wanted.items() if found not in there]
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(new, change.database.next_id(Token)):
        rows.append({"id": number, "hash": one.hash, "principal": one.principal.id, "prefix": one.prefix, **one.values})
        _record(change, one.principal, rows[-1])
    change.database.insert_many(Token, rows)
    return len(new)


def _insert(change: Change, principal: Principal, secret: str, **values: Any) -> int:
    row = {"created": change.at, **values, "principal": principal.id, "prefix": visible_prefix(secret)}
    token_id = change.database.run(Token.insert(hash=digest(secret), **row))
    _record(change, principal, {**row, "id": token_id})
    return token_id


def _record(change: Change, principal: Principal, row: dict[str, Any]) -> None:
    after = {key: row[key] for key in ("kind", "prefix", "description", "expires")}
    change.record(
        "token.mint",
        f"token:{row['id']} {service_accounts.format_label(principal)}",
        after={key: value for key, value in after.items() if value},
    )


def find(database: Database, token_id: int) -> Token:
    token = database.first(Token.select().where(Token.id == token_id))
    if token is None:
        raise NotFound(f"there is no token {token_id}", "dsgctl token list")
    return token


def find_owner(database: Database, token: Token) -> Principal:
    return database.objects(Principal.select().where(Principal.id == token.principal_id))[0]


def revoke(change: Change, token_id: int) -> bool:
    """End a token now: the next request with it is refused. Returns whether it had not ended so before."""
    token = find(change.database, token_id)
    if token.revoked is not None:
        return False
    change.database.run(Token.update(revoked=change.at).where(Token.id == token_id))
    owner = find_owner(change.database, token)
    change.record(
        "token.revoke",
        f"token:{token_id} {service_accounts.format_label(owner)}",
        {"prefix": token.prefix, "description": token.description},
    )
    return True


def rotate(change: Change, token_id: int, *, overlap: timedelta = timedelta(0)) -> tuple[Token, str]:
    """Make a token like this one, and end this one after ``overlap``.

    The new one lives as long from now as the old one was made to live.

    Raises:
        Conflict: the old one is revoked already.
    """
    old = find(change.database, token_id)
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
    change.record(
        "token.set",
        f"token:{token_id} {service_accounts.format_label(owner)}",
        {"expires": old.expires},
        {"expires": end},
    )
    return token, secret


def prune(change: Change, *, before: datetime) -> int:
    """Forget tokens that were revoked or expired before a moment. Returns how many."""
    dead = (Token.revoked < before) | (Token.expires < before)
    gone = change.database.objects(Token.select().where(dead).order_by(Token.id))
    for token in gone:
        owner = find_owner(change.database, token)
        change.record(
            "token.prune",
            f"token:{token.id} {service_accounts.format_label(owner)}",
            {"prefix": token.prefix, "description": token.description},
        )
    change.database.run(Token.delete().where(dead))
    return len(gone)


def record_uses(database: Database, uses: dict[int, datetime]) -> None:
    """Write when tokens were last used: token id -> moment. Not a change of facts: no audit, no revision."""
    with database.transaction():
        for token_id, moment in uses.items():
            newer = Token.last_used.is_null() | (Token.last_used < moment)
            database.run(Token.update(last_used=moment).where(Token.id == token_id, newer))


def list_tokens(
    database: Database, *, principal: Principal | None = None, at: datetime, ended: bool = False
) -> Iterator[dict[str, Any]]:
    """Tokens in the order of their ids; ``ended``: those revoked or expired too."""
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
        query = query.where(Token.revoked.is_null(), Token.expires.is_null() | (Token.expires > at))
    return database.rows(query)


def show(database: Database, token_id: int, at: datetime) -> dict[str, Any]:
    token = find(database, token_id)
    owner = find_owner(database, token)
    return describe(TokenStatus(_find_error(database, token, owner, at), token, owner))


def describe(checked: TokenStatus) -> dict[str, Any]:
    """What may be shown of a presented token, or of one in the table."""
    token, owner = checked.token, checked.principal
    if token is None or owner is None:
        return {"state": str(checked.problem)}
    return {
        "id": token.id,
        "of": service_accounts.format_label(owner),
        "state": str(checked.problem or "valid"),
        "kind": token.kind,
        "prefix": token.prefix,
        "description": token.description,
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
        "last_used": token.last_used,
    }
