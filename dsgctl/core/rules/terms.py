"""Terms: when they are in force, and who has yet to accept them. Nothing else compares their dates.

The source of the rule is contract.md, "GET /api/v1/user/cache".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class TermsStatus(StrEnum):
    """What terms are at a moment."""

    FUTURE = "future"
    IN_FORCE = "in_force"
    RETIRED = "retired"
    REPLACED = "replaced"  # of a dataset that has other terms of its own now, or none


@dataclass(frozen=True, slots=True)
class Terms:
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

    def is_active(self, at: datetime) -> bool:
        """Whether they are in force."""
        return self.status(at) is TermsStatus.IN_FORCE

    def is_over(self, at: datetime) -> bool:
        """Whether they are not in force and never will be."""
        return self.status(at) in (TermsStatus.RETIRED, TermsStatus.REPLACED)

    @property
    def changes(self) -> tuple[datetime | None, ...]:
        """The moments at which the status changes by itself."""
        return () if self.own else (self.effective, self.retired)


class Acceptor(Protocol):
    """Who accepts terms: a `PrincipalSnapshot`."""

    @property
    def service_account(self) -> bool:
        """Service accounts need accept no terms."""

    @property
    def accepted(self) -> frozenset[int]:
        """The ids of the terms that were accepted."""


def list_missing(acceptor: Acceptor, documents: Iterable[Terms], at: datetime) -> list[Terms]:
    """Those of some terms that are in force and that the principal has yet to accept."""
    if acceptor.service_account:
        return []
    return [terms for terms in documents if terms.id not in acceptor.accepted and terms.is_active(at)]
