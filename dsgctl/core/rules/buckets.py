"""What a principal may read in a bucket (architecture.md, "GCS tokens"; contract.md, "POST /gcs_token")."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dsgctl.core.rules import boundary
from dsgctl.core.rules.access import Viewable, is_viewable, list_viewable
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.terms import Terms, list_missing


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a bucket a dataset is stored, or one version of it.

    Attributes:
        prefix: ends with ``/``; empty for the whole bucket.
        version: None for the whole dataset.
        terms: the terms of the version.
    """

    dataset: str
    prefix: str
    version: str | None = None
    terms: tuple[Terms, ...] = ()
    bucket: str = "any"


class BucketReason(StrEnum):
    """Why a bucket may be read or not, in the words of contract.md, "POST /gcs_token".

    Attributes:
        TOO_MANY_PREFIXES: a token's boundary cannot hold all prefixes.
        UNUSABLE_LOCATION: a token's boundary cannot express the location.
    """

    GRANTED = "granted"
    UNKNOWN_BUCKET = "unknown_bucket"
    NO_PERMISSION = "no_permission"
    TOS_REQUIRED = "tos_required"
    TOO_MANY_PREFIXES = "too_many_prefixes"
    UNUSABLE_LOCATION = "unusable_location"


@dataclass(frozen=True, slots=True)
class BucketDecision:
    """What a principal may read in a bucket.

    Attributes:
        prefixes: of the objects that may be read, none within another; ``("",)`` for the whole bucket.
        missing: the terms that withhold more.
        conditions: the conditions of the token's boundary, one for each rule (boundary.py).
        places: each location, and why it may be read or not.
    """

    reason: BucketReason
    prefixes: tuple[str, ...] = ()
    missing: tuple[Terms, ...] = ()
    conditions: tuple[str | None, ...] = field(default=(), compare=False)
    places: tuple[tuple[Location, BucketReason], ...] = field(default=(), compare=False)


def decide_bucket_access(snapshot: PrincipalSnapshot, locations: Iterable[Location], at: datetime) -> BucketDecision:
    """What a principal may read in a bucket now: the one rule for /gcs_token, Google's policies and explanations.

    A principal may read a location if they have ``view`` on it:

    - A grant on the whole dataset reaches all of its locations. A grant on one version reaches the locations of that
      version only: not those of other versions, and not those of the whole dataset, which can contain every version.
    - The dataset's own terms withhold it, as in user/cache, and so do the terms of the version. Terms of a service do
      not, because no service is involved. Service accounts need accept no terms.
    - A public dataset gives nothing by itself. But if accepting its terms would give ``view``, the reason is the
      missing terms.
    - A read-only account keeps ``view``. A disabled account may read nothing.

    Google's limits affect only those who exceed them. A location that no condition can express is left out. A principal
    who may read more prefixes than a boundary can hold reads none of them: a rule for a folder above would open more.

    Args:
        locations: all locations in the bucket.
    """
    locations = tuple(locations)
    if not locations:
        return BucketDecision(BucketReason.UNKNOWN_BUCKET)
    missing: dict[int, Terms] = {}
    reasons: list[BucketReason] = []
    viewable = list_viewable(snapshot, at)
    for location in locations:
        reason, withholding = _decide_location(snapshot, viewable, location, at)
        missing.update((terms.id, terms) for terms in withholding)
        reasons.append(reason)
    prefixes = drop_nested(
        location.prefix for location, reason in zip(locations, reasons, strict=True) if reason is BucketReason.GRANTED
    )
    conditions = boundary.build_conditions(locations[0].bucket, prefixes) if prefixes else ()
    if conditions is None:
        reasons = [BucketReason.TOO_MANY_PREFIXES if reason is BucketReason.GRANTED else reason for reason in reasons]
        prefixes, conditions = (), ()
    elif prefixes:  # these include locations within them that no condition can express
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


# The first of these that a location has is the reason for the bucket: success, else what to resolve first.
_BY_WEIGHT = (
    BucketReason.GRANTED,
    BucketReason.TOO_MANY_PREFIXES,
    BucketReason.TOS_REQUIRED,
    BucketReason.UNUSABLE_LOCATION,
    BucketReason.NO_PERMISSION,
)


def _decide_location(
    snapshot: PrincipalSnapshot, viewable: Viewable, location: Location, at: datetime
) -> tuple[BucketReason, list[Terms]]:
    """Whether a location may be read by itself, and the terms that withhold it."""
    dataset = snapshot.datasets.get(location.dataset) if snapshot.active else None
    if dataset is None:
        return BucketReason.NO_PERMISSION, []
    may_view = is_viewable(viewable, location.dataset, location.version)
    missing = list_missing(snapshot, (terms for terms in dataset.terms if terms.service is None), at)
    by_accepting = dataset.public and bool(missing)
    missing += list_missing(snapshot, location.terms, at)
    if missing and (may_view or by_accepting):
        return BucketReason.TOS_REQUIRED, missing
    if not may_view:
        return BucketReason.NO_PERMISSION, []
    if boundary.find_problem(location.bucket, location.prefix):
        return BucketReason.UNUSABLE_LOCATION, []
    return BucketReason.GRANTED, []


def drop_nested(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The prefixes without those that begin with another, sorted."""
    outermost: list[str] = []
    for prefix in sorted(set(prefixes)):  # a prefix sorts before all that begin with it
        if not (outermost and prefix.startswith(outermost[-1])):
            outermost.append(prefix)
    return tuple(outermost)
