"""How long delegated grants may last and which delegated memberships may stay, computed from a read of the database.

A delegated grant or membership is one that somebody gave through ``dsgctl --as``.

- A delegated grant is supported by the grants of the person who gave it, as long as these last. If it rests on
  ``manage``, it is scoped, and is supported only while its giver leads that group and its subject is a member.
- A delegated membership is supported while one of those who lead the group may pass on every grant that the group had
  when the membership was given. Later grants of the group are given to everybody who is a member then.

A disabled account and missing terms end nothing: they only withhold, and do not count here.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dsgctl.core.rules import levels
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.queries import JOIN

NEVER: Final = datetime.max.replace(tzinfo=UTC)  # the end of a grant that does not end
NOTHING: Final = datetime.min.replace(tzinfo=UTC)  # the end of a grant that does not exist
MembershipKey = tuple[int, int]  # the ids of principal and group


@dataclass(frozen=True, slots=True)
class Reach:
    """What a grant on a dataset gives.

    Attributes:
        version: None for the whole dataset.
        service: None for every service.
    """

    permission: str
    version: str | int | None
    service: str | int | None

    @property
    def is_whole(self) -> bool:
        """Whether it is on the whole dataset, and for every service."""
        return self.version is None and self.service is None

    def includes_place(self, other: "Reach") -> bool:
        """Whether it is for the version and the service of another one, its permission aside."""
        return self.version in (None, other.version) and self.service in (None, other.service)


def may_pass_on(own: Reach, other: Reach, *, read_only: bool) -> bool:
    """Whether a grant lets its holder give another one on the same dataset, whatever its scope and its end.

    Args:
        own: the holder's grant; ``other``: the grant to give.
        read_only: the holder's account is read-only, and passes on nothing that it may not have itself.
    """
    if not own.includes_place(other):
        return False
    if read_only and levels.expand(other.permission) & levels.LOST_IF_READ_ONLY:
        return False
    return levels.may_give(own.permission, other.permission)


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
    giver: int | None
    service: int | None

    @property
    def reach(self) -> Reach:
        return Reach(self.permission, self.version, self.service)

    @property
    def end(self) -> datetime:
        return self.expires or NEVER


@dataclass(frozen=True, slots=True)
class _Membership:
    principal: int
    group: int
    leads: bool
    delegated: datetime | None  # when a delegate gave it; None for an operator's

    @property
    def key(self) -> MembershipKey:
        return self.principal, self.group


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
    m.Grant.service,
)
_MEMBERSHIPS = m.Membership.select(
    m.Membership.principal, m.Membership.group, m.Membership.leads, m.DelegatedMember.since
).join_from(
    m.Membership,
    m.DelegatedMember,
    JOIN.LEFT_OUTER,
    on=(m.Membership.principal == m.DelegatedMember.principal_id) & (m.Membership.group == m.DelegatedMember.group_id),
)
_IS_DELEGATED = m.Grant.delegate_id.is_null(False)


class Support:
    """What is delegated, and everything that may support it.

    Attributes:
        grants: the delegated grants, by id.
        memberships: the delegated memberships, by their keys.
    """

    def __init__(self, database: Database) -> None:
        self.grants = _read_grants(database, _IS_DELEGATED)
        self.memberships = _read_memberships(database, m.DelegatedMember.since.is_null(False))
        joined = {membership.group for membership in self.memberships.values()}
        self._of_group: dict[int, list[_Grant]] = defaultdict(list)
        for grant in _read_grants(database, m.Grant.group.in_(joined)).values() if joined else ():
            self._of_group[grant.group or 0].append(grant)
        lead = m.Membership.leads == True
        self._leads = _read_memberships(database, m.Membership.group.in_(joined) & lead) if joined else {}
        givers = {grant.giver or 0 for grant in self.grants.values()} | {person for person, _ in self._leads}
        self._members = _read_memberships(database, m.Membership.principal.in_(givers)) if givers else {}
        # The subjects of delegated grants, if they are members of the group that the grant is scoped to.
        in_scope = (m.Membership.principal == m.Grant.principal) & (m.Membership.group == m.Grant.scope_group)
        scoped = _MEMBERSHIPS.join_from(m.Membership, m.Grant, on=in_scope)
        self._members |= _read_memberships(database, _IS_DELEGATED, scoped)
        groups = {membership.group for membership in self._members.values() if membership.principal in givers}
        gives = m.Grant.permission.in_(levels.GIVES_SOMETHING)
        held_grants = _read_grants(database, gives & m.Grant.principal.in_(givers))
        held_grants |= _read_grants(database, gives & m.Grant.group.in_(groups))
        self._direct: dict[int, list[_Grant]] = defaultdict(list)
        self._through_group: dict[int, list[_Grant]] = defaultdict(list)
        for grant in held_grants.values():
            (self._direct[grant.principal] if grant.principal else self._through_group[grant.group or 0]).append(grant)
        self._groups: dict[int, list[int]] = defaultdict(list)
        for person, group in self._members:
            self._groups[person].append(group)
        read_only = m.Principal.id.in_(givers) & (m.Principal.read_only == True)
        self._read_only = {principal.id for principal in database.objects(m.Principal.select().where(read_only))}

    def compute(self) -> tuple[dict[int, datetime], set[MembershipKey]]:
        """The latest end of each delegated grant, by its id, and the delegated memberships that may stay.

        Support spreads from what operators gave, so two people who gave to each other do not support one another. The
        first pass takes every membership as supported, and finds how long the grants of groups can last at most.
        """
        longest, _ = self._spread({}, set(self.memberships))
        return self._spread(longest, set())

    def _spread(
        self, longest: Mapping[int, datetime], supported: set[MembershipKey]
    ) -> tuple[dict[int, datetime], set[MembershipKey]]:
        ends = dict.fromkeys(self.grants, NOTHING)
        unsupported = set(self.memberships) - supported
        grew = True
        while grew:
            grew = False
            for grant in self.grants.values():
                end = min(grant.end, self._find_support_end(grant, ends, supported))
                if end > ends[grant.id]:
                    ends[grant.id], grew = end, True
            for key in sorted(unsupported):
                if self._may_stay(self.memberships[key], longest, ends, supported):
                    supported.add(key)
                    unsupported.discard(key)
                    grew = True
        return ends, supported

    def _find_support_end(self, grant: _Grant, ends: Mapping[int, datetime], supported: set[MembershipKey]) -> datetime:
        """Until when what its giver holds supports a delegated grant."""
        giver = grant.giver or 0
        scoped = (
            grant.scope is not None
            and self._is_member(giver, grant.scope, supported, leads=True)
            and (
                grant.group == grant.scope
                or (grant.principal is not None and self._is_member(grant.principal, grant.scope, supported))
            )
        )
        permissions = levels.GIVES_SOMETHING if scoped else levels.GIVES_ANYTHING
        return self._find_reach(giver, grant, ends, supported, permissions)

    def _may_stay(
        self,
        membership: _Membership,
        longest: Mapping[int, datetime],
        ends: Mapping[int, datetime],
        supported: set[MembershipKey],
    ) -> bool:
        passed_on = [
            grant
            for grant in self._of_group[membership.group]
            if membership.delegated and grant.created <= membership.delegated
        ]
        return any(
            self._is_member(lead, group, supported, leads=True)
            and all(
                self._find_reach(lead, grant, ends, supported) >= longest.get(grant.id, grant.end)
                for grant in passed_on
            )
            for lead, group in self._leads
            if group == membership.group
        )

    def _is_member(self, person: int, group: int, supported: set[MembershipKey], *, leads: bool = False) -> bool:
        membership = self._members.get((person, group)) or self._leads.get((person, group))
        if membership is None or (leads and not membership.leads):
            return False
        return membership.delegated is None or membership.key in supported

    def _find_reach(
        self,
        holder: int,
        grant: _Grant,
        ends: Mapping[int, datetime],
        supported: set[MembershipKey],
        permissions: tuple[str, ...] = levels.GIVES_SOMETHING,
    ) -> datetime:
        """Until when a person may pass on a grant, by those of their own grants that have these permissions."""
        held_grants = [*self._direct[holder]]
        for group in self._groups[holder]:
            if self._is_member(holder, group, supported):
                held_grants += self._through_group[group]
        read_only = holder in self._read_only
        return max(
            (
                ends.get(own.id, own.end)
                for own in held_grants
                if own.dataset == grant.dataset
                and own.permission in permissions
                and may_pass_on(own.reach, grant.reach, read_only=read_only)
            ),
            default=NOTHING,
        )


def is_anything_delegated(database: Database) -> bool:
    """Whether there is a delegated grant or membership: a cheap check, for the many databases without any."""
    grant = database.first(m.Grant.select(m.Grant.id).where(_IS_DELEGATED))
    return bool(grant or database.first(m.DelegatedMember.select()))


# The type of peewee's conditions and queries is not exported, so they are Any here.


def _read_grants(database: Database, condition: Any) -> dict[int, _Grant]:
    return {row[0]: _Grant(*row) for row in database.tuples(m.Grant.select(*_GRANT).where(condition))}


def _read_memberships(
    database: Database, condition: Any, query: Any = _MEMBERSHIPS
) -> dict[MembershipKey, _Membership]:
    return {(row[0], row[1]): _Membership(*row) for row in database.tuples(query.where(condition))}
