"""Addresses of people: the one that the provider reports, if it differs, and those that likely reach the same person.

An account has one email. A person whose email changes at the provider still signs in to it, because the identity
binds them (logins.py); the new email is recorded here until an operator changes the account's.
"""

from collections.abc import Iterator

from dsgctl.core import principals, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict
from dsgctl.core.repetitions import PossibleRepetitions
from dsgctl.store import Database
from dsgctl.store.models import Principal
from dsgctl.store.prepared import Prepared
from dsgctl.store.queries import fn


def find_by_provider_email(database: Database, email: str) -> Principal | None:
    """The user for whom the provider reports this address, while the account has another one."""
    keys = principals.email_keys([email])
    return database.first(Principal.select().where(fn.lower(Principal.seen_email).in_(keys)))


def suggest_following(user: Principal) -> str:
    """The command that gives an account the address that the provider reports."""
    return f"dsgctl user set {user.email} --email {user.seen_email}"


def require_unclaimed(database: Database, email: str, *, by_other_than: Principal | None = None) -> None:
    """Refuse an address with which the owner of another account signs in: nobody could sign in to the new account.

    Raises:
        Conflict: the provider reports this address for a user other than ``by_other_than``.
    """
    renamed = find_by_provider_email(database, email)
    if renamed is not None and (by_other_than is None or renamed.id != by_other_than.id):
        raise Conflict(
            f"{renamed.email} signs in as {renamed.seen_email} now: it is the same person", suggest_following(renamed)
        )


def record_provider_email(change: Change, user: Principal, email: str) -> bool:
    """Record the address that the provider reports at a sign-in. Returns whether it changed."""
    provider_email = email if validation.email_key(email) != validation.email_key(user.email) else None
    if provider_email == user.seen_email:
        return False
    change.database.run(Principal.update(seen_email=provider_email).where(Principal.id == user.id))
    change.record("user.seen", f"user:{user.email}", {"seen_email": user.seen_email}, {"seen_email": provider_email})
    return True


def list_renamed(database: Database) -> Iterator[tuple[str, str]]:
    """Pairs of the address of an account and the different one that the provider reports, by id of the account."""
    query = Principal.select(Principal.email, Principal.seen_email).where(Principal.seen_email.is_null(False))
    return database.tuples(query.order_by(Principal.id))


_EMAILS = Principal.select(Principal.email).where(Principal.kind == "user").order_by(Principal.id)
_PREPARED_EMAILS = Prepared(_EMAILS)


def list_twins(database: Database, email: str | None = None) -> list[list[str]]:
    """Groups of addresses that likely reach the same person (`validation.twin_key`): a hint for an operator.

    Args:
        email: list only the group of this address, without it; no account needs to have it.
    """
    if email is None:
        repeated = PossibleRepetitions(map(validation.twin_key, _stream_emails(database)), database.count(_EMAILS))
        groups: dict[str, list[str]] = {}
        for address in _stream_emails(database):
            if (key := validation.twin_key(address)) in repeated:
                groups.setdefault(key, []).append(address)
        return [addresses for addresses in groups.values() if len(addresses) > 1]
    first = validation.email_key(email)[:1]  # neither a dot nor a tag
    query = _EMAILS.where(fn.lower(Principal.email) >= first, fn.lower(Principal.email) < first + "\U0010ffff")
    twins = [
        address
        for (address,) in database.tuples(query)
        if validation.twin_key(address) == validation.twin_key(email)
        and validation.email_key(address) != validation.email_key(email)
    ]
    return [twins] if twins else []


def _stream_emails(database: Database) -> Iterator[str]:
    return (address for (address,) in _PREPARED_EMAILS.stream(database))
