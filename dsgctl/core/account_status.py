"""Whether an account counts: it is enabled, and so is every account that it is a child of.

A child ends with its parent: CAVE's service accounts are children of the people who made them. Nothing else may look
at ``active`` to decide what an account may do.
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
    """The address or name of the disabled account because of which this one does not count: itself, or one above
    it; None if it counts."""
    return principal.label if not principal.active else find_disabled_above(database, principal.parent_id)


def find_disabled_above(database: Database, parent_id: int | None) -> str | None:
    """The same for a child that is enabled, by the id of its parent."""
    for number, account in _line(database, parent_id):
        if account is None:  # the sqlite3 shell deleted it: what hangs on it is nobody's
            return f"account {number}"
        label, active = account
        if not active:
            return label
    return None


def list_above(database: Database, principal: Principal) -> list[int]:
    """The ids of the accounts that this one is a child of, from its parent up."""
    return [number for number, _ in _line(database, principal.parent_id)]


def _line(database: Database, number: int | None) -> Iterator[tuple[int, tuple[str, bool] | None]]:
    """An account and those above it: the id of each, and its label and whether it is enabled."""
    seen: set[int] = set()
    # A circle, which only the sqlite3 shell can make, must not be followed for ever.
    while number is not None and number not in seen:
        seen.add(number)
        found = _ACCOUNT(database, id=number)
        if not found:
            yield number, None
            return
        ((email, slug, active, parent_id),) = found
        yield number, (email or slug, active)
        number = parent_id
