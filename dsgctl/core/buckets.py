"""The rule for buckets: what of one a principal may read. design.md, "GCS tokens"; contract.md, POST /gcs_token.

It stands on the rules of access.py: what the grants give, and which terms hold it back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dsgctl.core.access import Facts, Terms, missing_terms, reaches, unaccepted


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a bucket a dataset lies, or one ``version`` of it.

    Attributes:
        prefix: ends with ``/``; empty for the whole bucket.
        terms: those of the version.
    """

    dataset: str
    prefix: str
    version: str | None = None
    terms: tuple[Terms, ...] = ()


class BucketReason(StrEnum):
    """Why a bucket may be read or not, in the words of contract.md (POST /gcs_token)."""

    GRANTED = "granted"
    UNKNOWN_BUCKET = "unknown_bucket"
    NO_PERMISSION = "no_permission"
    TOS_REQUIRED = "tos_required"


@dataclass(frozen=True, slots=True)
class BucketDecision:
    """What of a bucket may be read.

    Attributes:
        prefixes: what may be read, none within another; ``("",)`` for the whole bucket.
        missing: the terms that hold back more of it.
    """

    reason: BucketReason
    prefixes: tuple[str, ...] = ()
    missing: tuple[Terms, ...] = ()


def bucket_access(facts: Facts, locations: Iterable[Location], at: datetime) -> BucketDecision:
    """What of a bucket the principal may read now.

    A location may be read by whoever holds ``view`` on it, and nobody else:

    - A grant on the whole dataset reaches all of its locations. A grant on one version
      reaches the locations of that version alone: not those of other versions, and not
      those of the whole dataset, where every version may lie.
    - The dataset's own terms hold it back, whatever their dates, as in user/cache; so do
      terms of that version while they are active. Terms of a service do not: a bucket is
      read without one. Service accounts have no terms.
    - A public dataset gives nobody anything; but where accepting terms would give ``view``
      by itself, the answer is the terms, not a plain refusal.
    - Read-only takes ``edit`` away, never ``view``. A disabled account may read nothing.
    """
    locations = tuple(locations)
    if not locations:
        return BucketDecision(BucketReason.UNKNOWN_BUCKET)
    readable: list[str] = []
    missing: dict[int, Terms] = {}
    for location in locations if facts.active else ():
        dataset = facts.datasets.get(location.dataset)
        if dataset is None:
            continue
        may_view = reaches(facts, location.dataset, location.version, at)
        held_back = [terms for terms, of_service in missing_terms(facts, dataset, at) if not of_service]
        by_accepting = dataset.public and bool(held_back)
        held_back += unaccepted(facts, location.terms, at)
        if may_view and not held_back:
            readable.append(location.prefix)
        elif may_view or by_accepting:
            missing.update((terms.id, terms) for terms in held_back)
    refusal = BucketReason.TOS_REQUIRED if missing else BucketReason.NO_PERMISSION
    return BucketDecision(BucketReason.GRANTED if readable else refusal, outermost(readable), tuple(missing.values()))


def outermost(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The prefixes without those that lie within another, sorted."""
    found: list[str] = []
    for prefix in sorted(set(prefixes)):  # a prefix sorts before all that begin with it
        if not (found and prefix.startswith(found[-1])):
            found.append(prefix)
    return tuple(found)
