"""What people who are no operators may change and see through ``dsgctl --as``: the rules, in one place.

- who manages the gateway (``admin``): everything that is a fact; what is the host's own is not among them;
- a dataset admin, who has ``admin`` on a dataset: every grant on it;
- a lead who has ``manage`` on a dataset: its grants that are scoped to a group they lead, to people of that group,
  up to their own level and never ``admin``; and who is in that group, as far as its own grants go no further;
- everybody: what concerns themselves.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from dsgctl.core import access, facts, users
from dsgctl.core.access import Facts
from dsgctl.core.errors import NotAllowed
from dsgctl.store import Database
from dsgctl.store import models as m

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
    facts: Facts
    at: datetime

    @property
    def manages_gateway(self) -> bool:
        return self.facts.admin and self.facts.active

    def is_self(self, who: str) -> bool:
        return who.lower() == self.facts.label.lower()

    def administers(self, dataset: str) -> bool:
        return self.manages_gateway or access.decide(self.facts, dataset, "admin", self.at).allowed

    def manages(self, dataset: str) -> bool:
        """Whether they decide about some of its grants at least."""
        return self.administers(dataset) or (
            bool(self.facts.leads) and access.decide(self.facts, dataset, "manage", self.at).allowed
        )

    def leads(self, group: str) -> bool:
        return self.manages_gateway or (self.facts.active and group in self.facts.leads)

    def require_grant(
        self, dataset: str, permission: str, scope: str | None, principal_id: int | None, group_id: int | None
    ) -> None:
        """For giving a grant, changing its end, and taking it away.

        Args:
            principal_id, group_id: the subject: one of both.

        Raises:
            NotAllowed: it is not theirs to decide.
        """
        if self.administers(dataset):
            return
        if not self.manages(dataset):
            self._refuse(f"decide who may use {dataset}", "its admins do")
        if scope is None or not self.leads(scope):
            self._refuse("decide about this grant", f"scope it to a group that you lead: --scope {self._led()}")
        if permission not in access.LEVELS or permission == "admin":
            self._refuse(f"decide about {permission} on {dataset}", "its admins do")
        if not access.decide(self.facts, dataset, permission, self.at).allowed:
            self._refuse(f"decide about {permission} on {dataset}", "it is more than they have there themselves")
        if not self._belongs(scope, principal_id, group_id):
            self._refuse("decide about this grant", f"it is not for somebody of the group {scope}")

    def require_member(self, group: str, group_id: int, *, leads: bool, joins: bool) -> None:
        """For putting somebody into a group and taking them out.

        Args:
            leads: whether they are to lead it.

        Raises:
            NotAllowed: it is not theirs to decide.
        """
        if self.manages_gateway:
            return
        datasets = access.permissions(self.facts, self.at)
        if not self.leads(group) or not any("manage" in held for held in datasets.values()):
            self._refuse(f"decide who is in {group}", "its leads do who have manage on a dataset")
        if leads:
            self._refuse(f"make somebody lead {group}", "an operator does: dsgctl group member add --lead")
        if joins:
            query = m.Grant.select(m.Dataset.name, m.Grant.permission).join(m.Dataset).where(m.Grant.group == group_id)
            for dataset, permission in self.database.tuples(query):
                mine = datasets.get(dataset, frozenset())
                if not self.administers(dataset) and (permission == "admin" or permission not in mine):
                    self._refuse(f"put anybody into {group}", f"it gives {permission} on {dataset}: not theirs to give")

    def _belongs(self, scope: str, principal_id: int | None, group_id: int | None) -> bool:
        members = m.Membership.select().join(m.Group).where(m.Group.name == scope)
        if principal_id is not None:
            return self.database.count(members.where(m.Membership.principal == principal_id)) > 0
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


def of_person(email: str, database: Database, at: datetime) -> Delegate:
    """The person for whom a command is run.

    Raises:
        NotAllowed: there is no such account, or it is disabled.
    """
    user = users.by_email(database, email)
    if user is None or not user.active:
        raise NotAllowed(f"nobody is let in as {email}", "ask an operator")
    return Delegate(database, facts.of_principal(database, user), at)
