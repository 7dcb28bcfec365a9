"""A principal, with all that decides what it may do: the input of the rules, read by dsgctl/core/snapshots.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from dsgctl.core.rules.terms import Terms


class Grant(NamedTuple):
    """A grant to the principal, or to one of its groups.

    Attributes:
        dataset: the name of the dataset.
        group: the group that it is given to; None if it is given to the principal.
        version: the version that it is limited to; None for the whole dataset.
        scope: the group whose lead gave it, or for whose work it is; the rules of access ignore it.
        expires: the first moment at which it no longer counts; None for never.
        service: the service that it is limited to; None for every service.
    """

    id: int
    dataset: str
    permission: str
    group: str | None = None
    version: str | None = None
    scope: str | None = None
    expires: datetime | None = None
    granted_by: str = ""
    source: str = "manual"
    service: str | None = None

    def is_active(self, at: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or at < self.expires


class Dataset(NamedTuple):
    """A dataset, as far as the rules need it.

    Attributes:
        terms: its own terms, if it has any, and then those of the service that asks.
    """

    id: int
    name: str
    public: bool = False
    terms: tuple[Terms, ...] = ()

    @property
    def own_terms(self) -> Terms | None:
        """The dataset's own terms."""
        return next((terms for terms in self.terms if terms.own), None)


@dataclass(frozen=True, slots=True)
class PrincipalSnapshot:
    """A principal, and all that its permissions depend on, in one state of the database.

    Attributes:
        label: the email of a user, the name of a service account.
        ended_by: the label of the disabled account that disables this one: itself, or an account above it
            (account_status.py); None if it is enabled.
        leads: the groups that it leads.
        grants: those for every service. What is asked for no single service, as user/cache, follows from these alone.
        service_grants: those for one service each.
        accepted: when it, or its parent if it has one, accepted terms, by the ids of the terms.
        datasets: by name: those that a grant reaches, and every public one.
    """

    id: int
    service_account: bool
    label: str
    name: str = ""
    display_name: str = ""
    ended_by: str | None = None
    admin: bool = False
    read_only: bool = False
    pi: str = ""
    picture_url: str = ""
    parent_id: int | None = None
    affiliations: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    service_grants: tuple[Grant, ...] = ()
    accepted: Mapping[int, datetime] = field(default_factory=dict)
    datasets: Mapping[str, Dataset] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether the account is enabled, and so is every account above it."""
        return self.ended_by is None

    def with_grants_for(self, service: str) -> "PrincipalSnapshot":
        """The same principal, of whom the grants for one service count as those for every service do."""
        return replace(
            self, grants=self.grants + tuple(grant for grant in self.service_grants if grant.service == service)
        )

    @property
    def public_name(self) -> str:
        """The name that services get."""
        return choose_public_name(self.display_name, self.name, self.label)


def choose_public_name(display_name: str, name: str, label: str) -> str:
    """Display name, else name, else what precedes ``@`` in the label (contract.md, "GET /api/v1/user/cache")."""
    return display_name or name or label.partition("@")[0]
