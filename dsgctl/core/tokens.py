"""Tokens: made, checked, rotated and revoked here; only their SHA-256 is ever stored."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dsgctl.core import account_status, principals, token_checks, token_format, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.core.token_checks import PresentedToken, TokenStatus
from dsgctl.store import Database
from dsgctl.store.models import Principal, Token


def list_hashes(database: Database, of: Collection[int] | None = None) -> Iterator[bytes]:
    """The stored hashes, whatever became of their tokens; of some principals, or all."""
    query = Token.select(Token.hash)
    if of is not None:
        if not of:
            return iter(())
        query = query.where(Token.principal.in_(sorted(of)))
    return (digest for (digest,) in database.tuples(query))


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
    if ended := account_status.find_disabled(change.database, principal):
        raise Conflict(
            f"{principal.label} is disabled{'' if ended == principal.label else ' with ' + ended}; "
            "a token would not work",
            "enable the account first",
        )
    validation.single_line(description, "description", empty=True)
    secret = token_format.generate()
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
    return ImportedToken(principal, token_format.digest(secret), token_format.visible_prefix(secret), values)


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
    row = {"created": change.at, **values, "principal": principal.id, "prefix": token_format.visible_prefix(secret)}
    token_id = change.database.run(Token.insert(hash=token_format.digest(secret), **row))
    _record(change, principal, {**row, "id": token_id})
    return token_id


def _record(change: Change, principal: Principal, row: dict[str, Any]) -> None:
    after = {key: row[key] for key in ("kind", "prefix", "description", "expires")}
    change.record(
        "token.mint",
        f"token:{row['id']} {principals.format_label(principal)}",
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
        f"token:{token_id} {principals.format_label(owner)}",
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
        f"token:{token_id} {principals.format_label(owner)}",
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
            f"token:{token.id} {principals.format_label(owner)}",
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
    """The row of a token, with its state at a moment.

    Raises:
        NotFound: there is no token of this id.
    """
    find(database, token_id)
    return describe(token_checks.check(database, PresentedToken(token_id), at))


def describe(status: TokenStatus) -> dict[str, Any]:
    """What may be shown of a token that was checked."""
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
