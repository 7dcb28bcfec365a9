"""The one way to change the database: a transaction that writes its audit records, and a clock that is not behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from dsgctl.core import audit, delegated_grants
from dsgctl.core.audit import Record
from dsgctl.core.change import Authorizer, Change
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError
from dsgctl.store import Database

CLOCK_SKEW = timedelta(minutes=5)  # how far behind the last change the clock may be


class _DryRun(Exception):
    """Rolls back the transaction of a dry run."""


@contextmanager
def begin_change(
    database: Database,
    actor: str,
    *,
    at: datetime | None = None,
    dry_run: bool = False,
    watch: Callable[[Record], None] | None = None,
    delegate: Callable[[Database, datetime], Authorizer] | None = None,
) -> Iterator[Change]:
    """Change the database: everything inside is committed together with its audit records, or nothing is.

    Grants and memberships given by delegates who may no longer give them end in the same transaction
    (delegated_grants.py).

    Args:
        at: the time of the change; now, if not given.
        dry_run: make the change, then roll it back; ``watch`` receives the records of what a run would do.
        watch: called with each audit record as it is added.
        delegate: finds, in the same transaction, the person on whose behalf the change is made (delegation.py).
    """
    try:
        with database.transaction():
            at = at or now()
            change = Change(database, actor, at, watch, delegate(database, at) if delegate else None)
            yield change
            delegated_grants.settle(change)
            change.write_records()
            database.forget_changes()
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass


def require_clock(database: Database, at: datetime) -> None:
    """Refuse to work with a clock that is behind: expired tokens and grants would be valid again.

    Raises:
        DsgError: the newest change is later than ``at``.
    """
    last = audit.find_latest_change(database)
    if last is not None and last - at > CLOCK_SKEW:
        raise DsgError(
            f"this host's clock says {at:%Y-%m-%d %H:%M} UTC, but there is a change of {last:%Y-%m-%d %H:%M}",
            "set the clock: timedatectl; if it is right now, run: dsgctl db clock --accept",
        )


def accept_clock(change: Change) -> None:
    """Record that the clock is right now, and that the later times in the audit log are wrong."""
    before = audit.find_latest_change(change.database)
    change.record(audit.ACCEPT_CLOCK, "clock", before={"latest": before} if before else None)
