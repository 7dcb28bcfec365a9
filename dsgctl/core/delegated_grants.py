"""What people give through ``dsgctl --as`` lasts no longer, and reaches no further, than what they hold themselves.

`passes` is the lattice: what one grant lets its holder pass on. `settle` keeps the facts to it: at the end of
every change it takes back what nothing that an operator gave supports any more, whatever the change was.

- A grant that somebody gave is supported by the grants of that person, as long as these last. One with ``manage``
  is scoped, and is supported only while the giver leads that group and the subject is in it.
- A membership that somebody gave is supported while one of those who lead the group may pass on every grant that
  the group had then. What the group is granted later is granted to those who are in it.

A disabled account, and terms that wait, hold back and take nothing away: they do not count here.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dsgctl.core.change import Change
from dsgctl.core.rules import levels
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.queries import JOIN

NEVER: Final = datetime.max.replace(tzinfo=UTC)  # the end of what does not end
NOTHING: Final = datetime.min.replace(tzinfo=UTC)  # the end of what is not there
_Seat = tuple[int, int]  # a membership: the ids of principal and group


def passes(
    held: str, held_version: str | int | None, permission: str, version: str | int | None, *, read_only: bool
) -> bool:
    """Whether a grant of ``held`` lets its holder pass this on within the same dataset; scope and time aside.

    Args:
        held_version, version: of one version, or None for the whole dataset.
        read_only: the holder's account is, and so passes on no ``edit`` and nothing that brings it.
    """
    if held_version is not None and held_version != version:
        return False
    if read_only and levels.expand(permission) & levels.LOST_IF_READ_ONLY:
        return False
    return levels.may_give(held, permission)


@dataclass(frozen=True, slots=True)
class _Grant:
    id: int
    principal: int | None
    group: int | None
    dataset: int
    version: int | None
    permission: str
    scope: int | None
    expires: datetime | None
    created: datetime
    delegate: int | None

    @property
    def end(self) -> datetime:
        return self.expires or NEVER


@dataclass(frozen=True, slots=True)
class _Member:
    principal: int
    group: int
    leads: bool
    delegated: datetime | None


_GRANT = (
    m.Grant.id,
    m.Grant.principal,
    m.Grant.group,
    m.Grant.dataset,
    m.Grant.version,
    m.Grant.permission,
    m.Grant.scope_group,
    m.Grant.expires,
    m.Grant.created,
    m.Grant.delegate_id,
)
_MEMBER = (m.Membership.principal, m.Membership.group, m.Membership.leads, m.DelegatedMember.since)
_GIVEN = m.Grant.delegate_id.is_null(False)
_PUT = m.DelegatedMember.since.is_null(False)


class _Facts:
    """What was given through ``--as``, and all that may support it.

    Attributes:
        given: the grants that somebody gave.
        put: the memberships that somebody gave.
    """

    def __init__(self, database: Database) -> None:
        self.given = _grants(database, _GIVEN)
        self.put = _members(database, _PUT)
        full = {one.group for one in self.put.values()}
        self._of_group: dict[int, list[_Grant]] = defaultdict(list)
        for grant in _grants(database, m.Grant.group.in_(full)).values() if full else ():
            self._of_group[grant.group or 0].append(grant)
        self._leads = _members(database, m.Membership.group.in_(full) & (m.Membership.leads == True)) if full else {}
        givers = {one.delegate or 0 for one in self.given.values()} | {person for person, _ in self._leads}
        self._seats = _members(database, m.Membership.principal.in_(givers)) if givers else {}
        # Whom the grants are given to, and whether they are in the groups that these are scoped to.
        in_scope = (m.Membership.principal == m.Grant.principal) & (m.Membership.group == m.Grant.scope_group)
        self._seats |= _members(database, _GIVEN, _MEMBERS.join_from(m.Membership, m.Grant, on=in_scope))
        groups = {one.group for one in self._seats.values() if one.principal in givers}
        holds = _grants(database, m.Grant.permission.in_(levels.GIVES_SOMETHING) & m.Grant.principal.in_(givers))
        holds |= _grants(database, m.Grant.permission.in_(levels.GIVES_SOMETHING) & m.Grant.group.in_(groups))
        self._direct: dict[int, list[_Grant]] = defaultdict(list)
        self._through: dict[int, list[_Grant]] = defaultdict(list)
        for grant in holds.values():
            (self._direct[grant.principal] if grant.principal else self._through[grant.group or 0]).append(grant)
        self._groups: dict[int, list[int]] = defaultdict(list)
        for person, group in self._seats:
            self._groups[person].append(group)
        read_only = m.Principal.id.in_(givers) & (m.Principal.read_only == True)
        self._read_only = {one.id for one in database.objects(m.Principal.select().where(read_only))}

    def support(self) -> tuple[dict[int, datetime], set[_Seat]]:
        """How long each grant that somebody gave may last, and which memberships that somebody gave may stay.

        What is supported is found from what operators gave on, so that two people who gave to each other do not
        support one another. The first pass takes every membership for supported, and so finds how long the grants
        of groups can last at the most.
        """
        longest, _ = self._spread({}, set(self.put))
        return self._spread(longest, set())

    def _spread(self, longest: Mapping[int, datetime], seats: set[_Seat]) -> tuple[dict[int, datetime], set[_Seat]]:
        ends = dict.fromkeys(self.given, NOTHING)
        waiting = set(self.put) - seats
        grew = True
        while grew:
            grew = False
            for grant in self.given.values():
                end = min(grant.end, self._given_end(grant, ends, seats))
                if end > ends[grant.id]:
                    ends[grant.id], grew = end, True
            for seat in sorted(waiting):
                if self._may_stay(self.put[seat], longest, ends, seats):
                    seats.add(seat)
                    waiting.discard(seat)
                    grew = True
        return ends, seats

    def _given_end(self, grant: _Grant, ends: Mapping[int, datetime], seats: set[_Seat]) -> datetime:
        giver = grant.delegate or 0
        scoped = (
            grant.scope is not None
            and self._sits(giver, grant.scope, seats, leads=True)
            and (
                grant.group == grant.scope
                or (grant.principal is not None and self._sits(grant.principal, grant.scope, seats))
            )
        )
        return self._reach(giver, grant, ends, seats, held=levels.GIVES_SOMETHING if scoped else levels.GIVES_ANYTHING)

    def _may_stay(
        self, member: _Member, longest: Mapping[int, datetime], ends: Mapping[int, datetime], seats: set[_Seat]
    ) -> bool:
        then = [
            grant for grant in self._of_group[member.group] if member.delegated and grant.created <= member.delegated
        ]
        return any(
            self._sits(lead, group, seats, leads=True)
            and all(self._reach(lead, grant, ends, seats) >= longest.get(grant.id, grant.end) for grant in then)
            for lead, group in self._leads
            if group == member.group
        )

    def _sits(self, person: int, group: int, seats: set[_Seat], *, leads: bool = False) -> bool:
        member = self._seats.get((person, group)) or self._leads.get((person, group))
        if member is None or (leads and not member.leads):
            return False
        return member.delegated is None or (person, group) in seats

    def _reach(
        self,
        holder: int,
        grant: _Grant,
        ends: Mapping[int, datetime],
        seats: set[_Seat],
        held: tuple[str, ...] = levels.GIVES_SOMETHING,
    ) -> datetime:
        """Until when somebody may pass on this grant, by what they hold."""
        holds = [*self._direct[holder]]
        for group in self._groups[holder]:
            if self._sits(holder, group, seats):
                holds += self._through[group]
        read_only = holder in self._read_only
        return max(
            (
                ends.get(one.id, one.end)
                for one in holds
                if one.dataset == grant.dataset
                and one.permission in held
                and passes(one.permission, one.version, grant.permission, grant.version, read_only=read_only)
            ),
            default=NOTHING,
        )


def _grants(database: Database, condition: Any) -> dict[int, _Grant]:
    return {row[0]: _Grant(*row) for row in database.tuples(m.Grant.select(*_GRANT).where(condition))}


_MEMBERS = m.Membership.select(*_MEMBER).join_from(
    m.Membership,
    m.DelegatedMember,
    JOIN.LEFT_OUTER,
    on=(m.Membership.principal == m.DelegatedMember.principal_id) & (m.Membership.group == m.DelegatedMember.group_id),
)


def _members(database: Database, condition: Any, query: Any = _MEMBERS) -> dict[_Seat, _Member]:
    return {(row[0], row[1]): _Member(*row) for row in database.tuples(query.where(condition))}


def settle(change: Change) -> None:
    """Take back what people gave and no longer may, and shorten what lasts too long; each with its audit record."""
    while _settle_once(change):
        pass


def count_unsupported(database: Database) -> int:
    """How much `settle` would take back or shorten: something after a change by the sqlite3 shell alone."""
    if not _anything_given(database):
        return 0
    facts = _Facts(database)
    ends, seats = facts.support()
    return sum(ends[grant.id] < grant.end for grant in facts.given.values()) + len(facts.put.keys() - seats)


def _anything_given(database: Database) -> bool:
    return bool(database.first(m.Grant.select(m.Grant.id).where(_GIVEN)) or database.first(m.DelegatedMember.select()))


def _settle_once(change: Change) -> bool:
    """Whether anything was taken back that may have supported something."""
    if not _anything_given(change.database):
        return False
    facts = _Facts(change.database)
    ends, seats = facts.support()
    too_long = [grant for grant in facts.given.values() if ends[grant.id] < grant.end]
    for grant in too_long:
        if ends[grant.id] <= change.at:
            revoke_where(change, m.Grant.id == grant.id, because="who gave it may no longer")
        else:
            _shorten(change, grant.id, ends[grant.id])
    out = sorted(facts.put.keys() - seats)
    for principal, group in out:
        remove_member(change, principal, group, because="nobody who leads it may put them into it any more")
    return bool(too_long or out)


def revoke_where(change: Change, condition: Any, *, because: str) -> None:
    """Take away the grants that meet a condition of `models.Grant`, each with an audit record that says why."""
    for row in list(_named(change.database, condition)):
        change.database.run(m.Grant.delete().where(m.Grant.id == row.id))
        before = row.words | ({"expires": row.expires} if row.expires else {})
        before |= {"granted_by": row.granted_by, "source": row.source}
        change.record("grant.revoke", row.label, before, {"because": because})
        change.count_grant(row.shown)


def revoke_given_by(change: Change, principal_id: int) -> None:
    """Take away what somebody gave whose account is about to go, and the grant with it."""
    revoke_where(change, m.Grant.delegate_id == principal_id, because="the account of who gave it goes")


def remove_member(change: Change, principal_id: int, group_id: int, *, because: str | None = None) -> None:
    """Take a person out of a group, and away the grants scoped to it that they have, whoever gave these."""
    scoped = (m.Grant.principal == principal_id) & (m.Grant.scope_group == group_id)
    revoke_where(change, scoped, because="it is scoped to a group that they are taken out of")
    where = (m.Membership.principal == principal_id) & (m.Membership.group == group_id)
    query = (
        m.Membership.select(m.Group.name, m.Principal.email, m.Membership.leads)
        .join_from(m.Membership, m.Group)
        .join_from(m.Membership, m.Principal)
        .where(where)
    )
    rows = list(change.database.tuples(query))
    change.database.run(m.Membership.delete().where(where))
    for group, email, leads in rows:
        after = {"because": because} if because else None
        change.record("group.member.remove", f"group:{group} user:{email}", {"leads": leads}, after)
        if because:
            change.count_member(group)


def _shorten(change: Change, grant_id: int, end: datetime) -> None:
    for row in list(_named(change.database, m.Grant.id == grant_id)):
        change.database.run(m.Grant.update(expires=end).where(m.Grant.id == grant_id))
        before = row.words | {"expires": row.expires}
        after = row.words | {"expires": end, "because": "what who gave it holds ends then"}
        change.record("grant.set", row.label, before, after)
        change.count_grant(row.shown)


@dataclass(frozen=True, slots=True)
class _Named:
    """A grant in the words of the audit log, as grants.py has them; and ``shown``, by which people may see it."""

    id: int
    label: str
    words: dict[str, Any]
    expires: datetime | None
    granted_by: str
    source: str
    shown: dict[str, str | None]


def _named(database: Database, condition: Any) -> Iterable[_Named]:
    scope = m.Group.alias("scope")
    query = (
        m.Grant.select(
            m.Grant.id,
            m.Dataset.name,
            m.Grant.permission,
            m.Version.name,
            scope.name,
            m.Principal.email,
            m.Principal.slug,
            m.Group.name,
            m.Grant.expires,
            m.Grant.granted_by,
            m.Grant.source,
        )
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Version, JOIN.LEFT_OUTER)
        .join_from(m.Grant, m.Principal, JOIN.LEFT_OUTER)
        .join_from(m.Grant, m.Group, JOIN.LEFT_OUTER, on=(m.Grant.group == m.Group.id))
        .join_from(m.Grant, scope, JOIN.LEFT_OUTER, on=(m.Grant.scope_group == scope.id))
        .where(condition)
        .order_by(m.Grant.id)
    )
    for number, dataset, permission, version, scope_name, email, slug, group, expires, by, source in database.tuples(
        query
    ):
        subject = f"user:{email}" if email else f"service-account:{slug}" if slug else f"group:{group}"
        words = {"permission": permission, "version": version, "scope": scope_name}
        shown = words | {"dataset": dataset, "user": email, "group": group}
        words = {key: value for key, value in words.items() if value is not None}
        yield _Named(number, f"dataset:{dataset} {subject}", words, expires, by, source, shown)
