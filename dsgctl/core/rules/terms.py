"""Terms: when they are in force, how long an acceptance counts, and who has yet to accept them.

Nothing else compares the dates of terms and of acceptances.

The source of the rule is contract.md, "GET /api/v1/user/cache".
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol


class TermsStatus(StrEnum):
    """What terms are at a moment."""

    FUTURE = "future"
    IN_FORCE = "in_force"
    RETIRED = "retired"
    REPLACED = "replaced"  # of a dataset that has other terms of its own now, or none


class Terms(NamedTuple):
    """A terms document, as far as the rules need it.

    Attributes:
        effective: the first moment at which they are in force.
        retired: the first moment at which they are no longer in force; None for never.
        dataset: the name of the dataset that they are for; empty if they are for none.
        own: they are the dataset's own terms.
        version: the version of the dataset that they are for; None for no particular one.
        service: the service that they are for; None for no particular one.
    """

    id: int
    name: str
    effective: datetime
    retired: datetime | None = None
    dataset: str = ""
    own: bool = False
    version: str | None = None
    service: str | None = None

    def status(self, at: datetime) -> TermsStatus:
        """What they are at a moment. A dataset's own terms are in force whatever their dates."""
        if self.own:
            return TermsStatus.IN_FORCE
        if self.retired is not None and self.retired <= at:
            return TermsStatus.RETIRED
        if self.version is None and self.service is None:
            return TermsStatus.REPLACED
        return TermsStatus.FUTURE if at < self.effective else TermsStatus.IN_FORCE

    def is_active(self, at: datetime, *, by_date: bool = False) -> bool:
        """Whether they are in force.

        Args:
            by_date: a dataset's own terms too are in force between their dates only (contract-services.md,
                "Decisions").
        """
        in_force = self.status(at) is TermsStatus.IN_FORCE
        if by_date and self.own:
            return in_force and self.effective <= at and (self.retired is None or at < self.retired)
        return in_force

    def is_over(self, at: datetime) -> bool:
        """Whether they are not in force and never will be."""
        return self.status(at) in (TermsStatus.RETIRED, TermsStatus.REPLACED)

    @property
    def changes(self) -> tuple[datetime | None, ...]:
        """The moments at which the status changes by itself."""
        return () if self.own else self.dates

    @property
    def dates(self) -> tuple[datetime | None, ...]:
        """The moments at which `is_active` changes by itself, also by date."""
        return self.effective, self.retired

    def acceptance_end(self, accepted: datetime) -> datetime | None:
        """The first moment at which an acceptance no longer counts; None for never.

        Args:
            accepted: the moment of the acceptance.
        """
        return None

    def counts(self, accepted: datetime | None, at: datetime) -> bool:
        """Whether an acceptance counts at a moment.

        Args:
            accepted: the moment of the acceptance; None if there is none.
        """
        if accepted is None:
            return False
        end = self.acceptance_end(accepted)
        return end is None or at < end


class Acceptor(Protocol):
    """Who accepts terms: a `PrincipalSnapshot`."""

    @property
    def service_account(self) -> bool:
        """Service accounts need accept no terms."""

    @property
    def accepted(self) -> Mapping[int, datetime]:
        """The moments of acceptance, by the ids of the terms."""


def list_missing(acceptor: Acceptor, documents: Iterable[Terms], at: datetime, *, by_date: bool = False) -> list[Terms]:
    """Those of some terms that are in force and that the principal has yet to accept.

    Args:
        by_date: as of `Terms.is_active`.
    """
    if acceptor.service_account:
        return []
    accepted = acceptor.accepted
    return [
        terms
        for terms in documents
        if not terms.counts(accepted.get(terms.id), at) and terms.is_active(at, by_date=by_date)
    ]


def list_changes(acceptor: Acceptor, documents: Iterable[Terms], *, by_date: bool = False) -> list[datetime | None]:
    """The moments at which `list_missing` gives another result for the same acceptances."""
    if acceptor.service_account:
        return []
    moments: list[datetime | None] = []
    for terms in documents:
        accepted = acceptor.accepted.get(terms.id)
        end = terms.acceptance_end(accepted) if accepted is not None else None
        if accepted is None or end is not None:  # otherwise the acceptance counts for ever
            moments += (*(terms.dates if by_date else terms.changes), end)
    return moments
