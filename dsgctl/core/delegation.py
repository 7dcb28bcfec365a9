"""What delegates, people who are not operators, may change and see through ``dsgctl --as``: the rules, in one place.

- A gateway admin (``admin`` of a user) decides about everything in the database, but nothing on the host.
- Whoever has ``admin`` on a dataset, or on a version of it, decides about every grant on that. One who has it for one
  service decides about grants for that service alone.
- A lead with ``manage`` on a dataset decides about its grants that are scoped to a group they lead and are for members
  of that group, up to their own level and never ``admin``; and about who is in that group, if they may pass on all of
  its grants.
- Everybody decides about what concerns themselves.

Nobody passes on more than what they hold, in version, service, level and time (`delegation_support.may_pass_on`), and
what they gave ends with that (`delegated_grants.settle`). Nobody sees more of others than what they may decide about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from dsgctl.core import account_status, principals, snapshots
from dsgctl.core.change import VisibleGrant
from dsgctl.core.delegation_support import NEVER, NOTHING, Reach, may_pass_on
from dsgctl.core.errors import NotAllowed
from dsgctl.core.rules import access, levels
from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.core.validation import email_key
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.queries import JOIN

# The changes that this module decides about; every other change of a delegate is refused.
ACTIONS = frozenset({"grant.add", "grant.set", "grant.revoke", "group.member.add", "group.member.remove"})


@dataclass(frozen=True, slots=True)
class Delegate:
    """A person on whose behalf a command is run: the `Authorizer` of their changes.

    Attributes:
        database: where other people and groups are looked up.
        snapshot: the person, in the state of the database in which the change is made.
        at: the time of the change.
    """

    database: Database
    snapshot: PrincipalSnapshot
    at: datetime

    @property
    def manages_gateway(self) -> bool:
        return self.snapshot.admin and self.snapshot.active

    @property
    def principal_id(self) -> int:
        return self.snapshot.id

    @property
    def email(self) -> str:
        return self.snapshot.label

    def is_self(self, who: str) -> bool:
        """Whether this is their address."""
        return email_key(who) == email_key(self.email)

    def may_know(self, dataset: str) -> bool:
        """Whether they may know that a dataset exists; nobody may know one that does not."""
        return self.manages_gateway or access.may_know_of(self.snapshot, dataset, self.at)

    def filter_known(self, grants: Iterable[str]) -> list[str]:
        """Of grants as ``DATASET PERMISSION …``, those on datasets that they may know of."""
        return [grant for grant in grants if self.may_know(grant.partition(" ")[0])]

    def leads(self, group: str) -> bool:
        """Whether they lead this group."""
        return self.manages_gateway or (self.snapshot.active and group in self.snapshot.leads)

    def administers(self, dataset: str) -> bool:
        """Whether they decide about all grants on a dataset."""
        return self.manages_gateway or any(
            grant.permission in levels.GIVES_ANYTHING and _reach(grant).is_whole for grant in self._held_grants(dataset)
        )

    def manages(self, dataset: str) -> bool:
        """Whether they decide about some grants on a dataset."""
        return self.manages_gateway or any(
            grant.permission in levels.GIVES_ANYTHING or self.snapshot.leads for grant in self._held_grants(dataset)
        )

    def list_overseen(self, dataset: str) -> frozenset[str] | None:
        """The `email_key` of everybody whose whole access to a dataset they may see; None if that is everybody.

        A lead with ``manage`` on the whole dataset oversees the members of the groups that they lead.
        """
        if self.administers(dataset):
            return None
        keys = {email_key(self.email)}
        if self.may_oversee_others(dataset):
            query = (
                m.Membership.select(m.Principal.email)
                .join_from(m.Membership, m.Group)
                .join_from(m.Membership, m.Principal)
                .where(m.Group.name.in_(self.snapshot.leads))
            )
            keys |= {email_key(email) for (email,) in self.database.tuples(query) if email}
        return frozenset(keys)

    def may_oversee_others(self, dataset: str) -> bool:
        """Whether there may be other people whose whole access to a dataset they may see."""
        whole = any(_reach(grant).is_whole for grant in self._held_grants(dataset))
        return self.administers(dataset) or (whole and bool(self.snapshot.leads))

    def oversees(self, dataset: str, person: str) -> bool:
        """Whether they may see the whole access of a person to a dataset."""
        keys = self.list_overseen(dataset)
        return keys is None or email_key(person) in keys

    def may_give(self, dataset: str, permission: str, scope: str | None, principal_id: int) -> bool:
        """Whether they may give somebody this permission on the whole dataset, for every service."""
        try:
            self.require_grant(dataset, Reach(permission, None, None), scope, (principal_id, None))
        except NotAllowed:
            return False
        return True

    def may_see(self, grant: VisibleGrant) -> bool:
        """Whether they may see a grant: it concerns them, or they may decide about it."""
        dataset, reach = grant["dataset"], Reach(grant["permission"], grant["version"], grant["service"])
        if not self.may_know(dataset):
            return False
        if self.manages_gateway or self.is_self(grant["user"] or "") or grant["group"] in self.snapshot.groups:
            return True
        held_grants = self._held_grants(dataset)
        if any(own.permission in levels.GIVES_ANYTHING and _reach(own).includes_place(reach) for own in held_grants):
            return True
        return self.leads(grant["scope"] or "") and any(
            may_pass_on(_reach(own), reach, read_only=False) for own in held_grants
        )

    def require_grant(
        self, dataset: str, reach: Reach, scope: str | None, subject: tuple[int | None, int | None]
    ) -> datetime:
        """Check that they may give a grant, change its end, and revoke it.

        Args:
            reach: by the names of the version and the service.
            subject: the id of the principal, or of the group; neither if there is no such subject.

        Returns:
            The latest end of a grant that they give: the end of what they hold; `NEVER` if it has none.

        Raises:
            NotAllowed: they may not decide about this grant.
        """
        if self.manages_gateway:
            return NEVER
        if not self.manages(dataset):
            self._refuse(f"decide who may use {dataset}", "its admins do")
        scoped = scope is not None and self.leads(scope) and self._is_in_scope(scope, *subject)
        permissions = levels.GIVES_SOMETHING if scoped else levels.GIVES_ANYTHING
        end = self._find_latest_end(dataset, reach, permissions)
        if end == NOTHING:
            self._refuse_grant(dataset, reach, scope)
        return end

    def _refuse_grant(self, dataset: str, reach: Reach, scope: str | None) -> NoReturn:
        permission, held_grants = reach.permission, self._held_grants(dataset)
        versions = {grant.version for grant in held_grants}
        if not versions & {None, reach.version}:
            options = " or ".join(f"--version {name}" for name in sorted(filter(None, versions)))
            self._refuse(f"decide about all of {dataset}", f"name a version: {options}")
        services = {grant.service for grant in held_grants if grant.version in (None, reach.version)}
        if not services & {None, reach.service}:
            options = " or ".join(f"--service {name}" for name in sorted(filter(None, services)))
            self._refuse(f"decide about {dataset} for {reach.service or 'every service'}", f"name a service: {options}")
        if scope is None or not self.leads(scope):
            groups = "|".join(sorted(self.snapshot.leads)) or "GROUP"
            self._refuse("decide about this grant", f"scope it to a group that you lead: --scope {groups}")
        if permission not in levels.BY_NAME or permission in levels.GIVES_ANYTHING:
            self._refuse(f"decide about {permission} on {dataset}", "its admins do")
        if self._find_latest_end(dataset, reach, levels.GIVES_SOMETHING) == NOTHING:
            self._refuse(f"decide about {permission} on {dataset}", "it is more than they have there themselves")
        self._refuse("decide about this grant", f"it is not for a member of the group {scope}")

    def require_member(self, group: str, group_id: int, *, leads: bool, joins: bool) -> None:
        """Check that they may add a member to a group, and remove one.

        Args:
            leads: the member leads the group, or is about to.
            joins: the member is added.

        Raises:
            NotAllowed: they may not decide about this membership.
        """
        if self.manages_gateway:
            return
        if not self.leads(group) or not any(self._held_grants(name) for name in self.snapshot.datasets):
            self._refuse(f"decide who is in {group}", "those of its leads with manage on a dataset do")
        if leads:
            self._refuse(f"decide who leads {group}", "an operator does: dsgctl group member add --lead")
        if joins:
            self._require_passing_on(group, group_id)

    def _require_passing_on(self, group: str, group_id: int) -> None:
        """Raises:
        NotAllowed: the group has a grant that they may not pass on, or not for as long.
        """
        query = (
            m.Grant.select(m.Dataset.name, m.Grant.permission, m.Version.name, m.Service.name, m.Grant.expires)
            .join_from(m.Grant, m.Dataset)
            .join_from(m.Grant, m.Version, JOIN.LEFT_OUTER)
            .join_from(m.Grant, m.Service, JOIN.LEFT_OUTER)
            .where(m.Grant.group == group_id)
        )
        for dataset, permission, version, service, expires in self.database.tuples(query):
            end = self._find_latest_end(dataset, Reach(permission, version, service), levels.GIVES_SOMETHING)
            if end < (expires or NEVER):
                grant = f"{permission} on {dataset}" if self.may_know(dataset) else "more than they have"
                self._refuse(
                    f"add anybody to {group}", f"it gives {grant}, which they may not give, or not for as long"
                )

    def require_action(self, action: str) -> None:
        """Refuse a change that none of the rules above decides about.

        Raises:
            NotAllowed: delegates may not make a change of this kind.
        """
        if action not in ACTIONS and not self.manages_gateway:
            self._refuse(f"do this ({action})", "an operator does")

    def _held_grants(self, dataset: str) -> list[Grant]:
        """Their active grants that let them decide anything about a dataset."""
        if not self.snapshot.active or dataset not in self.snapshot.datasets:
            return []
        if access.missing_terms(self.snapshot, self.snapshot.datasets[dataset], self.at):
            return []
        return [
            grant
            for grant in (*self.snapshot.grants, *self.snapshot.service_grants)
            if grant.dataset == dataset and grant.permission in levels.GIVES_SOMETHING and grant.is_active(self.at)
        ]

    def _find_latest_end(self, dataset: str, reach: Reach, permissions: tuple[str, ...]) -> datetime:
        """Until when they may pass on a grant, by those of their own grants that have one of ``permissions``."""
        return max(
            (
                grant.expires or NEVER
                for grant in self._held_grants(dataset)
                if grant.permission in permissions
                and may_pass_on(_reach(grant), reach, read_only=self.snapshot.read_only)
            ),
            default=NOTHING,
        )

    def _is_in_scope(self, scope: str, principal_id: int | None, group_id: int | None) -> bool:
        """Whether a subject is a member of a group, or is that group."""
        members = m.Membership.select().join(m.Group).where(m.Group.name == scope)
        if principal_id is not None:
            return self.database.count(members.where(m.Membership.principal == principal_id)) > 0
        if group_id is None:
            return False
        return self.database.count(m.Group.select().where(m.Group.name == scope, m.Group.id == group_id)) > 0

    def _refuse(self, action: str, who_may: str) -> NoReturn:
        raise NotAllowed(f"{self.email} may not {action}", who_may)


def _reach(grant: Grant) -> Reach:
    return Reach(grant.permission, grant.version, grant.service)


def find_delegate(email: str, database: Database, at: datetime) -> Delegate:
    """The person on whose behalf a command is run.

    Raises:
        NotAllowed: there is no such account, or it is disabled.
    """
    with database.snapshot():
        user = principals.find_by_email(database, email)
        if user is None or account_status.find_disabled(database, user) is not None:
            raise NotAllowed(f"nobody may act as {email}", "ask an operator")
        return Delegate(database, snapshots.read_principal(database, user), at)
