"""The one way to change facts: a transaction, with its actor, its moment and its audit records."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dsgctl.core import audit, delegated_grants
from dsgctl.core.audit import Record, State
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError
from dsgctl.store import Database

if TYPE_CHECKING:
    from dsgctl.core.delegation import Delegate

CLOCK_SKEW = timedelta(minutes=5)  # by which the clock may have gone back since the last change
_BATCH = 1000  # audit records held in memory before they are written


class Change:
    """An open transaction. Functions of `core` that change facts take it as their first argument.

    Attributes:
        database: where.
        actor: who, in the form of `audit.Record.actor`.
        at: when: one moment for the whole change.
        delegate: for whom an operator's program does it, and who may not change everything; None for an operator.
        consequences: grants and memberships that ended or were shortened with what was changed (delegated_grants.py);
            those that a delegate may not see are not counted: a number tells of them.
    """

    def __init__(
        self,
        database: Database,
        actor: str,
        at: datetime,
        watch: Callable[[Record], None] | None = None,
        delegate: "Delegate | None" = None,
    ) -> None:
        self.database = database
        self.actor = actor
        self.at = at
        self.delegate = delegate
        self.consequences = 0
        self._watch = watch
        self._pending: list[Record] = []

    @property
    def giver_id(self) -> int | None:
        """The delegate who gives a grant now (delegated_grants.py); None for operators and gateway admins."""
        return None if self.delegate is None or self.delegate.manages_gateway else self.delegate.facts.id

    def count_grant(self, grant: Mapping[str, Any]) -> None:
        """Count a grant that ended or was shortened; by the keys of `Delegate.may_see`."""
        self.consequences += self.delegate is None or self.delegate.may_see(grant)

    def count_member(self, group: str) -> None:
        """Count a membership that ended with something else."""
        self.consequences += self.delegate is None or self.delegate.leads(group)

    def record(self, action: str, target: str, before: State = None, after: State = None) -> None:
        """Note a change of fact; it is written in the same transaction."""
        self.add_record(Record(self.at, self.actor, action, target, before, after))

    def add_record(self, record: Record) -> None:
        if self.delegate is not None:
            self.delegate.require_action(record.action)
        if self._watch:
            self._watch(record)
        self._pending.append(record)
        if len(self._pending) >= _BATCH:
            self.write_records()

    def write_records(self) -> None:
        audit.append(self.database, self._pending)
        self._pending.clear()


def require_clock(database: Database, at: datetime) -> None:
    """By a clock that was set back, tokens and grants that have ended would count again.

    Raises:
        DsgError: something was changed later than ``at``.
    """
    last = audit.latest(database)
    if last is not None and last - at > CLOCK_SKEW:
        raise DsgError(
            f"this host's clock says {at:%Y-%m-%d %H:%M} UTC, but there is a change of {last:%Y-%m-%d %H:%M}",
            "set the clock: timedatectl; if it is right now, say so: dsgctl db clock --accept",
        )


def accept_clock(change: Change) -> None:
    """Note that the clock is right now, and that it was the later moments here that were wrong."""
    before = audit.latest(change.database)
    change.record(audit.ACCEPT_CLOCK, "clock", before={"latest": before} if before else None)


class _DryRun(Exception):
    """Leaves the transaction of a dry run, so that nothing of it stays."""


@contextmanager
def begin_change(
    database: Database,
    actor: str,
    *,
    at: datetime | None = None,
    dry_run: bool = False,
    watch: Callable[[Record], None] | None = None,
    delegate: "Callable[[Database, datetime], Delegate] | None" = None,
) -> Iterator[Change]:
    """Change facts: all that happens inside and its audit records are kept, or none of it. What people gave and
    may no longer give goes with it (delegated_grants.py).

    Args:
        dry_run: do it all, then undo it: what ``watch`` saw is what a run would do.
        watch: is told each audit record as it is made.
        delegate: finds out, in the same transaction, for whom it is done (delegation.py).
    """
    try:
        with database.transaction():
            at = at or now()
            opened = Change(database, actor, at, watch, delegate(database, at) if delegate else None)
            yield opened
            delegated_grants.settle(opened)
            opened.write_records()
            database.forget_changes()
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass


def difference(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of ``new`` that ``old`` does not have so, and what ``old`` has instead."""
    keys = [key for key in new if old.get(key) != new[key]]
    return {key: old.get(key) for key in keys}, {key: new[key] for key in keys}
