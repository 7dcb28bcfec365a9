"""Locations: where in Google Cloud Storage a dataset, or one version of it, is stored."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, TypedDict

from dsgctl.core import buckets, datasets, validation, versions
from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid, NotFound
from dsgctl.core.rules import boundary
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Dataset, Location, Version
from dsgctl.store.queries import JOIN


class LocationRow(TypedDict):
    """A row of `list_locations`; ``version`` is None for a location of the whole dataset."""

    id: int
    location: str
    version: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A location that a dataset, or one version of it, has or may have."""

    dataset: Dataset
    version: Version | None
    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return _format_url(self.bucket, self.prefix)

    @property
    def target(self) -> str:
        """The target of its audit records."""
        return f"dataset:{self.dataset.name}" + (f" version:{self.version.name}" if self.version else "")

    @property
    def condition(self) -> Any:
        """The condition of `models.Location` that its row meets."""
        return (
            (Location.dataset == self.dataset.id)
            & (Location.version.is_null() if self.version is None else Location.version == self.version.id)
            & (Location.bucket == self.bucket)
            & (Location.prefix == self.prefix)
        )


def add(change: Change, dataset_name: str, url: str, *, version: str | None = None, any_prefix: bool = False) -> bool:
    """Add the location ``gs://bucket/prefix`` to a dataset, or to one version of it.

    Args:
        any_prefix: also add a location of another system to which no token can be limited; the gateway gives nobody
            a token for it.

    Returns:
        Whether it is new.

    Raises:
        Invalid: the URL is not a location, or no token could be limited to it.
        NotFound: there is no such dataset or version.
    """
    place = _resolve(change.database, dataset_name, url, version)
    if change.database.first(Location.select().where(place.condition)) is not None:
        return False
    if not any_prefix and (problem := boundary.find_problem(place.bucket, place.prefix)):
        raise Invalid(
            f"nobody could be given a token for {validation.quote(place.url)}: {problem}",
            "use letters, digits, spaces and _.~!$&()*+,;=:@#%-, or name the folder above it",
        )
    change.database.run(m.Bucket.insert(name=place.bucket).on_conflict_ignore())
    change.database.run(
        Location.insert(
            dataset=place.dataset.id,
            version=place.version.id if place.version else None,
            bucket=place.bucket,
            prefix=place.prefix,
        )
    )
    change.record("dataset.location.add", place.target, after={"location": place.url})
    return True


def require(database: Database, dataset_name: str, url: str, *, version: str | None = None) -> None:
    """Raises:
    Invalid: the URL is not a location.
    NotFound: there is no such dataset or version, or it has no such location.
    """
    _find(database, _resolve(database, dataset_name, url, version))


def remove(change: Change, dataset_name: str, url: str, *, version: str | None = None) -> None:
    """Remove a location from a dataset, or from one version of it. The objects there are not touched.

    Raises:
        Invalid, NotFound: as `require`.
    """
    place = _resolve(change.database, dataset_name, url, version)
    row = _find(change.database, place)
    change.database.run(Location.delete().where(Location.id == row.id))
    change.record("dataset.location.remove", place.target, {"location": place.url})
    buckets.release(change, [place.bucket])


def _resolve(database: Database, dataset_name: str, url: str, version: str | None) -> _Place:
    bucket, prefix = validation.gs_url(url)
    dataset = datasets.find(database, dataset_name)
    of_version = versions.find(database, dataset, version) if version is not None else None
    return _Place(dataset, of_version, bucket, prefix)


def _find(database: Database, place: _Place) -> Location:
    row = database.first(Location.select().where(place.condition))
    if row is None:
        raise NotFound(
            f"{place.dataset.name} has no location {place.url}"
            + (f" for version {place.version.name}" if place.version else ""),
            f"dsgctl dataset location list {place.dataset.name}",
        )
    return row


def _format_url(bucket: str, prefix: str) -> str:
    return f"gs://{bucket}/{prefix}"


def list_locations(database: Database, dataset_name: str) -> Iterator[LocationRow]:
    """The locations of a dataset and of its versions, in the order in which they were added.

    Raises:
        NotFound: there is no such dataset.
    """
    dataset = datasets.find(database, dataset_name)
    query = (
        Location.select(Location.id, Location.bucket, Location.prefix, Version.name)
        .join(Version, JOIN.LEFT_OUTER)
        .where(Location.dataset == dataset.id)
        .order_by(Location.id)
    )
    return (
        {"id": location_id, "location": _format_url(bucket, prefix), "version": version}
        for location_id, bucket, prefix, version in database.tuples(query)
    )


# Locations that deserve a warning


@dataclass(frozen=True, slots=True)
class Overlap:
    """A location with others inside it.

    Attributes:
        location: the outer one; ``owner``: the dataset or version that has it.
        inside: the datasets and versions that have a location inside it, sorted.
    """

    location: str
    owner: str
    inside: tuple[str, ...]


def find_overlaps(database: Database) -> Iterator[Overlap]:
    """The locations with others inside them: whoever may view the outer one reads the inner ones too.

    Inside a location of a dataset or version, those of other datasets count. Inside a location of a version, so do
    those of other versions. Inside a location of a whole dataset, so do those of versions with terms, because these
    terms do not hold back what is read through the outer location.
    """
    with_terms = {
        version
        for (version,) in database.tuples(
            m.Terms.select(m.Terms.version).where(m.Terms.version.is_null(False), m.Terms.service.is_null())
        )
    }
    for bucket, rows in groupby(database.tuples(_OWNERS.order_by(Location.bucket, Location.id)), itemgetter(0)):
        owners = [tuple(row[1:]) for row in rows]
        by_prefix = sorted(owners, key=itemgetter(0))
        prefixes = [prefix for prefix, *_ in by_prefix]
        for outer, dataset, version_id, version in owners:
            inner = by_prefix[bisect_left(prefixes, outer) : bisect_left(prefixes, outer + "\U0010ffff")]
            inside = {
                other if other != dataset else f"version {other_version} of {other}"
                for prefix, other, other_id, other_version in inner
                if (prefix != outer or not outer)
                and (
                    other != dataset
                    or (version_id is not None and other_id not in (None, version_id))
                    or (version_id is None and other_id in with_terms)
                )
            }
            if inside:
                owner = f"version {version} of {dataset}" if version_id is not None else dataset
                yield Overlap(_format_url(bucket, outer), owner, tuple(sorted(inside)))


@dataclass(frozen=True, slots=True)
class UnusableLocation:
    """A location to which no token can be limited; ``version`` is None for one of the whole dataset."""

    dataset: str
    version: str | None
    location: str
    problem: str


def find_unusable(database: Database) -> Iterator[UnusableLocation]:
    """The locations to which no token can be limited. Only an import or the sqlite3 shell adds them."""
    for bucket, prefix, dataset, _, version in database.tuples(_OWNERS.order_by(Location.id)):
        if problem := boundary.find_problem(bucket, prefix):
            yield UnusableLocation(dataset, version, _format_url(bucket, prefix), problem)


# Every location: bucket, prefix, dataset, and the id and name of the version that it belongs to.
_OWNERS = (
    Location.select(Location.bucket, Location.prefix, Dataset.name, Version.id, Version.name)
    .join_from(Location, Dataset)
    .join_from(Location, Version, JOIN.LEFT_OUTER, on=(Location.version == Version.id))
)
