"""Whether an account counts: it is enabled, and so is every account above it.

A disabled parent disables its children: CAVE's service accounts are children of the people who created them. No other
module may read ``active`` to decide what an account may do.
"""

from collections.abc import Iterator

from dsgctl.store import Database
from dsgctl.store.models import Principal
from dsgctl.store.prepared import Prepared, parameter

_ACCOUNT = Prepared(
    Principal.select(Principal.email, Principal.slug, Principal.active, Principal.parent).where(
        Principal.id == parameter("id")
    )
)


def find_disabled(database: Database, principal: Principal) -> str | None:
    """The label of the disabled account that disables this one: itself, or an account above it.

    Returns:
        None if the account counts.
    """
    return principal.label if not principal.active else find_disabled_above(database, principal.parent_id)


def find_disabled_above(database: Database, parent_id: int | None) -> str | None:
    """The same for an enabled account, by the id of its parent; None for an account without a parent."""
    for account_id, account in _walk_up(database, parent_id):
        if account is None:  # deleted with the sqlite3 shell: its children do not count
            return f"account {account_id}"
        label, active = account
        if not active:
            return label
    return None


def list_above(database: Database, principal: Principal) -> list[int]:
    """The ids of the accounts above this one, its parent first."""
    return [account_id for account_id, _ in _walk_up(database, principal.parent_id)]


def _walk_up(database: Database, account_id: int | None) -> Iterator[tuple[int, tuple[str, bool] | None]]:
    """The id of an account and of each one above it, with its label and whether it is enabled; None if it is gone."""
    visited: set[int] = set()
    # A circle, which only the sqlite3 shell can make, must not be followed for ever.
    while account_id is not None and account_id not in visited:
        visited.add(account_id)
        rows = _ACCOUNT(database, id=account_id)
        if not rows:
            yield account_id, None
            return
        ((email, slug, active, parent_id),) = rows
        yield account_id, (email or slug, active)
        account_id = parent_id
