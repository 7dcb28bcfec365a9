"""The rule for buckets: what of one a principal may read.

See architecture.md, "GCS tokens", and contract.md, "POST /gcs_token".

It stands on the rules of access.py: what the grants give, and which terms hold it back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dsgctl.core.rules import boundary
from dsgctl.core.rules.access import grant_reaches
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.terms import Terms, list_missing


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
    bucket: str = "any"


class BucketReason(StrEnum):
    """Why a bucket may be read or not, in the words of contract.md, "POST /gcs_token".

    Attributes:
        TOO_MANY_PREFIXES: more than the boundary of one token takes; `UNUSABLE_LOCATION`: it cannot name any of them.
    """

    GRANTED = "granted"
    UNKNOWN_BUCKET = "unknown_bucket"
    NO_PERMISSION = "no_permission"
    TOS_REQUIRED = "tos_required"
    TOO_MANY_PREFIXES = "too_many_prefixes"
    UNUSABLE_LOCATION = "unusable_location"


@dataclass(frozen=True, slots=True)
class BucketDecision:
    """What of a bucket may be read.

    Attributes:
        prefixes: what may be read, none within another; ``("",)`` for the whole bucket.
        missing: the terms that hold back more of it.
        conditions: of the token's boundary, one a rule (boundary.py).
        places: each location with what becomes of it.
    """

    reason: BucketReason
    prefixes: tuple[str, ...] = ()
    missing: tuple[Terms, ...] = ()
    conditions: tuple[str | None, ...] = field(default=(), compare=False)
    places: tuple[tuple[Location, BucketReason], ...] = field(default=(), compare=False)


def decide_bucket_access(facts: PrincipalSnapshot, locations: Iterable[Location], at: datetime) -> BucketDecision:
    """What of a bucket the principal may read now: the one rule for /gcs_token, Google's policies and explanations.

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

    Google's limits cost whom they concern alone: a location that no condition can name is left
    out, and whoever may read more prefixes than a boundary takes reads none of them. To open a
    folder above instead would open what lies beside them.

    Args:
        locations: all that lie in the bucket.
    """
    locations = tuple(locations)
    if not locations:
        return BucketDecision(BucketReason.UNKNOWN_BUCKET)
    missing: dict[int, Terms] = {}
    reasons: list[BucketReason] = []
    for location in locations:
        reason, held_back = _decide_location(facts, location, at)
        missing.update((terms.id, terms) for terms in held_back)
        reasons.append(reason)
    prefixes = drop_nested(
        location.prefix for location, reason in zip(locations, reasons, strict=True) if reason is BucketReason.GRANTED
    )
    conditions = boundary.build_conditions(locations[0].bucket, prefixes) if prefixes else ()
    if conditions is None:
        reasons = [BucketReason.TOO_MANY_PREFIXES if reason is BucketReason.GRANTED else reason for reason in reasons]
        prefixes, conditions = (), ()
    elif prefixes:  # what cannot be named, and lies within what can, is opened with it
        reasons = [
            BucketReason.GRANTED
            if reason is BucketReason.UNUSABLE_LOCATION and location.prefix.startswith(prefixes)
            else reason
            for location, reason in zip(locations, reasons, strict=True)
        ]
    return BucketDecision(
        next(reason for reason in _BY_WEIGHT if reason in reasons),
        prefixes,
        tuple(missing.values()),
        conditions,
        tuple(zip(locations, reasons, strict=True)),
    )


# Of several reasons in one bucket, that of the whole: one that opens something, else what to mend first.
_BY_WEIGHT = (
    BucketReason.GRANTED,
    BucketReason.TOO_MANY_PREFIXES,
    BucketReason.TOS_REQUIRED,
    BucketReason.UNUSABLE_LOCATION,
    BucketReason.NO_PERMISSION,
)


def _decide_location(facts: PrincipalSnapshot, location: Location, at: datetime) -> tuple[BucketReason, list[Terms]]:
    """What becomes of one location by itself, and the terms that hold it back from this principal."""
    dataset = facts.datasets.get(location.dataset) if facts.active else None
    if dataset is None:
        return BucketReason.NO_PERMISSION, []
    may_view = grant_reaches(facts, location.dataset, location.version, at)
    missing = list_missing(facts, (terms for terms in dataset.terms if terms.service is None), at)
    by_accepting = dataset.public and bool(missing)
    missing += list_missing(facts, location.terms, at)
    if missing and (may_view or by_accepting):
        return BucketReason.TOS_REQUIRED, missing
    if not may_view:
        return BucketReason.NO_PERMISSION, []
    if boundary.find_problem(location.bucket, location.prefix):
        return BucketReason.UNUSABLE_LOCATION, []
    return BucketReason.GRANTED, []


def drop_nested(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The prefixes without those that lie within another, sorted."""
    found: list[str] = []
    for prefix in sorted(set(prefixes)):  # a prefix sorts before all that begin with it
        if not (found and prefix.startswith(found[-1])):
            found.append(prefix)
    return tuple(found)
