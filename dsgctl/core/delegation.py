"""What people who are no operators may change and see through ``dsgctl --as``: the rules, in one place.

- who manages the gateway (``admin``): everything that is a fact; what is the host's own is not among them;
- who has ``admin`` on a dataset, or on a version of it: every grant on that;
- a lead who has ``manage`` on it: its grants that are scoped to a group they lead, to people of that group,
  up to their own level and never ``admin``; and who is in that group, as far as they may pass on all of its grants;
- everybody: what concerns themselves.

Nobody passes on more than what they hold, in version, level and time (`derived.passes`), and what they gave ends
with that (`derived.settle`). Nobody sees more of others than what they may decide about.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from dsgctl.core import account_status, principals, snapshots
from dsgctl.core.delegated_grants import NEVER, NOTHING, passes
from dsgctl.core.errors import NotAllowed
from dsgctl.core.rules import access, levels
from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.core.validation import email_key
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.queries import JOIN

# The changes that this module decides about; whatever else a person tries to change is refused.
ACTIONS = frozenset({"grant.add", "grant.set", "grant.revoke", "group.member.add", "group.member.remove"})


@dataclass(frozen=True, slots=True)
class Delegate:
    """A person for whom a command is run.

    Attributes:
        database: where the facts about others are looked up.
        facts: what is known of the person, in the state in which the change is made.
        at: when.
    """

    database: Database
    facts: PrincipalSnapshot
    at: datetime

    @property
    def manages_gateway(self) -> bool:
        return self.facts.admin and self.facts.active

    @property
    def principal_id(self) -> int:
        return self.facts.id

    @property
    def email(self) -> str:
        return self.facts.label

    def is_self(self, who: str) -> bool:
        return email_key(who) == email_key(self.facts.label)

    def knows(self, dataset: str) -> bool:
        """Whether they may know that there is this dataset; one that is not there is unknown to everybody."""
        return self.manages_gateway or access.may_know_of(self.facts, dataset, self.at)

    def known_of(self, grants: Iterable[str]) -> list[str]:
        """Of grants in words, the dataset first, those on datasets that they may know of."""
        return [grant for grant in grants if self.knows(grant.partition(" ")[0])]

    def leads(self, group: str) -> bool:
        return self.manages_gateway or (self.facts.active and group in self.facts.leads)

    def administers(self, dataset: str) -> bool:
        """Whether they decide about all of its grants."""
        return self.manages_gateway or any(
            grant.permission in levels.GIVES_ANYTHING and grant.version is None for grant in self._holds(dataset)
        )

    def manages(self, dataset: str) -> bool:
        """Whether they decide about some of its grants at least."""
        return self.manages_gateway or any(
            grant.permission in levels.GIVES_ANYTHING or self.facts.leads for grant in self._holds(dataset)
        )

    def people_of(self, dataset: str) -> frozenset[str] | None:
        """Those of whom they may see all that they have on a dataset, by their `email_key`; None for everybody.

        A lead's: who is in a group that they lead, if they have ``manage`` on the whole dataset.
        """
        if self.administers(dataset):
            return None
        people = {email_key(self.email)}
        if self.oversees_some(dataset):
            query = (
                m.Membership.select(m.Principal.email)
                .join_from(m.Membership, m.Group)
                .join_from(m.Membership, m.Principal)
                .where(m.Group.name.in_(self.facts.leads))
            )
            people |= {email_key(email) for (email,) in self.database.tuples(query) if email}
        return frozenset(people)

    def oversees_some(self, dataset: str) -> bool:
        """Whether there may be others of whom they may see all that these have on a dataset."""
        whole = any(grant.version is None for grant in self._holds(dataset))
        return self.administers(dataset) or (whole and bool(self.facts.leads))

    def oversees(self, dataset: str, person: str) -> bool:
        """Whether they may see all that somebody has on a dataset."""
        people = self.people_of(dataset)
        return people is None or email_key(person) in people

    def may_give(self, dataset: str, permission: str, scope: str | None, principal_id: int) -> bool:
        """Whether they may give somebody this permission on the whole dataset."""
        try:
            self.require_grant(dataset, permission, None, scope, (principal_id, None))
        except NotAllowed:
            return False
        return True

    def may_see(self, grant: Mapping[str, Any]) -> bool:
        """Whether they may see a grant, as `grants.listed` has it: their own, and what they may decide about."""
        dataset, version, permission = grant["dataset"], grant["version"], grant["permission"]
        if not self.knows(dataset):
            return False
        if self.manages_gateway or self.is_self(grant["user"] or "") or grant["group"] in self.facts.groups:
            return True
        holds = self._holds(dataset)
        if any(one.permission in levels.GIVES_ANYTHING and one.version in (None, version) for one in holds):
            return True
        return self.leads(grant["scope"] or "") and any(
            passes(one.permission, one.version, permission, version, read_only=False) for one in holds
        )

    def require_grant(
        self,
        dataset: str,
        permission: str,
        version: str | None,
        scope: str | None,
        subject: tuple[int | None, int | None],
    ) -> datetime:
        """For giving a grant, changing its end, and taking it away.

        Args:
            subject: the id of the principal, or of the group; neither if it is not there.

        Returns:
            The end of what they hold, and so of what they give; `NEVER` if it has none.

        Raises:
            NotAllowed: it is not theirs to decide.
        """
        if self.manages_gateway:
            return NEVER
        if not self.manages(dataset):
            self._refuse(f"decide who may use {dataset}", "its admins do")
        scoped = scope is not None and self.leads(scope) and self._belongs(scope, *subject)
        end = self._passing(dataset, permission, version, levels.GIVES_SOMETHING if scoped else levels.GIVES_ANYTHING)
        if end == NOTHING:
            self._refuse_grant(dataset, permission, version, scope)
        return end

    def _refuse_grant(self, dataset: str, permission: str, version: str | None, scope: str | None) -> NoReturn:
        versions = {grant.version for grant in self._holds(dataset)}
        if not versions & {None, version}:
            own = " or ".join(f"--version {name}" for name in sorted(filter(None, versions)))
            self._refuse(f"decide about all of {dataset}", f"say which version: {own}")
        if scope is None or not self.leads(scope):
            self._refuse("decide about this grant", f"scope it to a group that you lead: --scope {self._led()}")
        if permission not in levels.BY_NAME or permission in levels.GIVES_ANYTHING:
            self._refuse(f"decide about {permission} on {dataset}", "its admins do")
        if self._passing(dataset, permission, version, levels.GIVES_SOMETHING) == NOTHING:
            self._refuse(f"decide about {permission} on {dataset}", "it is more than they have there themselves")
        self._refuse("decide about this grant", f"it is not for somebody of the group {scope}")

    def require_member(self, group: str, group_id: int, *, leads: bool, joins: bool) -> None:
        """For putting somebody into a group and taking them out.

        Args:
            leads: whether they lead it, or are to.

        Raises:
            NotAllowed: it is not theirs to decide.
        """
        if self.manages_gateway:
            return
        if not self.leads(group) or not any(self._holds(name) for name in self.facts.datasets):
            self._refuse(f"decide who is in {group}", "its leads do who have manage on a dataset")
        if leads:
            self._refuse(f"decide who leads {group}", "an operator does: dsgctl group member add --lead")
        if joins:
            query = (
                m.Grant.select(m.Dataset.name, m.Version.name, m.Grant.permission, m.Grant.expires)
                .join_from(m.Grant, m.Dataset)
                .join_from(m.Grant, m.Version, JOIN.LEFT_OUTER)
                .where(m.Grant.group == group_id)
            )
            for dataset, version, permission, expires in self.database.tuples(query):
                if self._passing(dataset, permission, version, levels.GIVES_SOMETHING) < (expires or NEVER):
                    what = f"{permission} on {dataset}" if self.knows(dataset) else "more than they have"
                    self._refuse(f"put anybody into {group}", f"it gives {what}: not theirs to give, or not so long")

    def _holds(self, dataset: str) -> list[Grant]:
        """The grants by which they may decide anything about a dataset now."""
        if not self.facts.active or dataset not in self.facts.datasets:
            return []
        if access.missing_terms(self.facts, self.facts.datasets[dataset], self.at):
            return []
        return [
            grant
            for grant in self.facts.grants
            if grant.dataset == dataset and grant.permission in levels.GIVES_SOMETHING and grant.is_active(self.at)
        ]

    def _passing(self, dataset: str, permission: str, version: str | None, held: tuple[str, ...]) -> datetime:
        """Until when they may pass this on, by grants of these permissions."""
        return max(
            (
                grant.expires or NEVER
                for grant in self._holds(dataset)
                if grant.permission in held
                and passes(grant.permission, grant.version, permission, version, read_only=self.facts.read_only)
            ),
            default=NOTHING,
        )

    def _belongs(self, scope: str, principal_id: int | None, group_id: int | None) -> bool:
        members = m.Membership.select().join(m.Group).where(m.Group.name == scope)
        if principal_id is not None:
            return self.database.count(members.where(m.Membership.principal == principal_id)) > 0
        if group_id is None:
            return False
        return self.database.count(m.Group.select().where(m.Group.name == scope, m.Group.id == group_id)) > 0

    def _led(self) -> str:
        return "|".join(sorted(self.facts.leads)) or "GROUP"

    def require_action(self, action: str) -> None:
        """For every change: what no rule above has decided about is refused.

        Raises:
            NotAllowed: it is no action that people who are no operators may take.
        """
        if action not in ACTIONS and not self.manages_gateway:
            self._refuse(f"do this ({action})", "an operator does")

    def _refuse(self, what: str, who_may: str) -> NoReturn:
        raise NotAllowed(f"{self.facts.label} may not {what}", who_may)


def find_delegate(email: str, database: Database, at: datetime) -> Delegate:
    """The person for whom a command is run.

    Raises:
        NotAllowed: there is no such account, or it is disabled.
    """
    user = principals.find_by_email(database, email)
    if user is None or account_status.find_disabled(database, user) is not None:
        raise NotAllowed(f"nobody is let in as {email}", "ask an operator")
    return Delegate(database, snapshots.read_principal(database, user), at)
