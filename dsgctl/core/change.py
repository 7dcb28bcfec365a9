"""An open change: its transaction, actor and time, and the audit records that it will write.

`transaction.begin_change` opens one. Whether a delegate may make it is decided by an `Authorizer` (delegation.py).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, TypedDict, TypeVar

from dsgctl.core import audit
from dsgctl.core.audit import Record, State
from dsgctl.core.delegation_support import Reach
from dsgctl.store import Database

Value = TypeVar("Value")

_BATCH = 1000  # audit records held in memory before they are written


class VisibleGrant(TypedDict):
    """What decides whether a delegate may see a grant; every row of `grants.list_grants` is one.

    Attributes:
        user: the email of the subject, if it is a user.
        group: the subject, if it is a group.
        scope: the group that the grant is scoped to.
        service: the service that the grant is limited to.
    """

    dataset: str
    version: str | None
    permission: str
    user: str | None
    group: str | None
    scope: str | None
    service: str | None


class Authorizer(Protocol):
    """Decides what the person behind a change (``--as``) may change and see."""

    @property
    def principal_id(self) -> int:
        """The id of that person."""

    @property
    def manages_gateway(self) -> bool:
        """Whether they may change everything in the database."""

    def is_self(self, who: str) -> bool:
        """Whether this is the address of that person."""

    def leads(self, group: str) -> bool:
        """Whether they lead this group."""

    def administers(self, dataset: str) -> bool:
        """Whether they decide about every grant on this dataset."""

    def may_see(self, grant: VisibleGrant) -> bool:
        """Whether they may see this grant."""

    def require_grant(
        self, dataset: str, reach: Reach, scope: str | None, subject: tuple[int | None, int | None]
    ) -> datetime:
        """The latest end that they may give to a grant; raises NotAllowed if they may not give it."""

    def require_member(self, group: str, group_id: int, *, leads: bool, joins: bool) -> None:
        """Raise NotAllowed if they may not change who is in this group."""

    def require_action(self, action: str) -> None:
        """Raise NotAllowed if they may not make a change of this kind."""


class Change:
    """An open transaction. Every function of `core` that changes the database takes one as its first argument.

    Attributes:
        database: the database, in the transaction.
        actor: the person or program that makes the change, in the form of `audit.Record.actor`.
        at: the time of the change; every row and audit record of it has this time.
        delegate: the person on whose behalf the change is made (``--as``); None for an operator.
        consequences: the number of grants and memberships that ended, or were shortened, because of the change
            (delegated_grants.py). Those that the delegate may not see are left out: their number alone reveals them.
    """

    def __init__(
        self,
        database: Database,
        actor: str,
        at: datetime,
        watch: Callable[[Record], None] | None = None,
        delegate: Authorizer | None = None,
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
        """The id of the delegate who gives a grant now (delegated_grants.py); None for operators and gateway admins."""
        return None if self.delegate is None or self.delegate.manages_gateway else self.delegate.principal_id

    def count_grant(self, grant: VisibleGrant) -> None:
        """Count a grant that ended or was shortened."""
        self.consequences += self.delegate is None or self.delegate.may_see(grant)

    def count_member(self, group: str) -> None:
        """Count a membership that ended because of something else."""
        self.consequences += self.delegate is None or self.delegate.leads(group)

    def record(self, action: str, target: str, before: State = None, after: State = None) -> None:
        """Add an audit record of this change; it is written in the same transaction.

        Raises:
            NotAllowed: the delegate may not make a change of this kind.
        """
        self.add_record(Record(self.at, self.actor, action, target, before, after))

    def add_record(self, record: Record) -> None:
        """The same as `record`, for a record that has its own time and actor, such as an imported one."""
        if self.delegate is not None:
            self.delegate.require_action(record.action)
        if self._watch:
            self._watch(record)
        self._pending.append(record)
        if len(self._pending) >= _BATCH:
            self.write_records()

    def write_records(self) -> None:
        """Write the audit records that are still in memory."""
        audit.append(self.database, self._pending)
        self._pending.clear()


def difference(old: Mapping[str, Value], new: Mapping[str, Value]) -> tuple[dict[str, Value | None], dict[str, Value]]:
    """The entries of ``new`` that differ from ``old``: with their values in ``old``, and with those in ``new``."""
    keys = [key for key in new if old.get(key) != new[key]]
    return {key: old.get(key) for key in keys}, {key: new[key] for key in keys}
