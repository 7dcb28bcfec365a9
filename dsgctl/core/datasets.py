"""Datasets, their versions, and where in Google Cloud Storage they lie."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from dsgctl.core import validation
from dsgctl.core.change import Change, difference
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.rules import boundary
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Dataset, Version
from dsgctl.store.queries import JOIN, fn


def by_name(database: Database, name: str) -> Dataset | None:
    return database.first(Dataset.select().where(Dataset.name == name)) if validation.is_storable(name) else None


def by_id(database: Database, dataset_id: int) -> Dataset | None:
    return database.first(Dataset.select().where(Dataset.id == dataset_id))


def find(database: Database, name: str) -> Dataset:
    """The dataset of exactly this name.

    Raises:
        NotFound: there is none.
    """
    dataset = by_name(database, name)
    if dataset is None:
        raise NotFound(f"there is no dataset {validation.quoted(name)}", "dsgctl dataset list")
    return dataset


def add(
    change: Change,
    name: str,
    *,
    description: str = "",
    public: bool = False,
    kept_id: int | None = None,
) -> tuple[Dataset, bool]:
    """Make a dataset; succeeds without a change if the same one is there already.

    Args:
        kept_id: the id that it had in another system; None for a new one.

    Returns:
        The dataset, and whether it is new.
    """
    values = {"description": validation.multiline(description, "description"), "access": _access(public)}
    known = by_name(change.database, name)
    if known is not None:
        others = [key for key, value in values.items() if getattr(known, key) != value]
        if others:
            raise Conflict(
                f"dataset {name} exists, with another {' and '.join(others)}",
                f"dsgctl dataset set {name} ...",
            )
        return known, False
    validation.slug(name, "dataset")
    change.database.run(Dataset.insert(id=kept_id, name=name, created=change.at, **values))
    change.record("dataset.add", f"dataset:{name}", after=values)
    return find(change.database, name), True


def _access(public: bool) -> str:
    return "public" if public else "closed"


def set_attributes(change: Change, name: str, *, description: str | None = None, public: bool | None = None) -> bool:
    """Change what is named. Returns whether anything changed."""
    dataset = find(change.database, name)
    new: dict[str, Any] = {}
    if description is not None:
        new["description"] = validation.multiline(description, "description")
    if public is not None:
        new["access"] = _access(public)
    before, after = difference({key: getattr(dataset, key) for key in new}, new)
    if not after:
        return False
    change.database.run(Dataset.update(**after).where(Dataset.id == dataset.id))
    change.record("dataset.set", f"dataset:{name}", before, after)
    return True


def opens_to_nobody(database: Database, name: str | None = None) -> list[str]:
    """The public datasets, or this one if it is so, that have no terms: ``view`` comes with accepting them, so nobody
    can open such a dataset without a grant."""
    query = Dataset.select(Dataset.name).where(Dataset.access == "public", Dataset.own_terms_id.is_null())
    if name is not None:
        query = query.where(Dataset.name == name)
    return [found for (found,) in database.tuples(query.order_by(Dataset.name))]


def remove(change: Change, name: str) -> dict[str, Any]:
    """Delete a dataset and all that hangs on it. The objects in its buckets are not touched.

    Returns:
        What went, as `holdings` tells it.

    Raises:
        Conflict: its terms are another dataset's own too, which would be open without them.
    """
    dataset = find(change.database, name)
    _refuse_if_terms_shared(change.database, dataset)
    gone = count_holdings(change.database, dataset)
    buckets = _buckets_of(change.database, m.Location.dataset == dataset.id)
    change.database.run(Dataset.delete().where(Dataset.id == dataset.id))
    release_buckets(change, buckets)
    change.record("dataset.remove", f"dataset:{name}", {"id": dataset.id, **gone})
    return gone


def _refuse_if_terms_shared(database: Database, dataset: Dataset) -> None:
    shared = (
        Dataset.select(Dataset.name, m.Terms.id)
        .join(m.Terms, on=(Dataset.own_terms_id == m.Terms.id))
        .where(m.Terms.dataset == dataset.id, Dataset.id != dataset.id)
    )
    for other, terms_id in database.tuples(shared):
        raise Conflict(
            f"terms {terms_id} of {dataset.name} are {other}'s own too, and would go with it",
            f"give {other} terms of its own first: dsgctl terms add",
        )


def count_holdings(database: Database, dataset: Dataset) -> dict[str, Any]:
    """What goes with a dataset: versions, locations, grants, terms, service tables."""
    grants = (
        m.Grant.select(m.Grant.permission, fn.coalesce(m.Principal.email, m.Principal.slug, m.Group.name))
        .join_from(m.Grant, m.Principal, JOIN.LEFT_OUTER)
        .join_from(m.Grant, m.Group, JOIN.LEFT_OUTER, on=(m.Grant.group == m.Group.id))
        .where(m.Grant.dataset == dataset.id)
        .order_by(m.Grant.id)
    )
    tables = m.ServiceTable.select(m.ServiceTable.service, m.ServiceTable.name)
    terms = m.Terms.select(m.Terms.id, m.Terms.name).where(m.Terms.dataset == dataset.id).order_by(m.Terms.id)
    return {
        "versions": [row["name"] for row in list_versions(database, dataset.name)],
        "locations": [row["location"] for row in list_locations(database, dataset.name)],
        "grants": [f"{permission} {subject}" for permission, subject in database.tuples(grants)],
        "terms": [f"{terms_id} {name}" for terms_id, name in database.tuples(terms)],
        "service_tables": [
            f"{service} {name}" for service, name in database.tuples(tables.where(m.ServiceTable.dataset == dataset.id))
        ],
    }


def list_datasets(database: Database) -> Iterator[dict[str, Any]]:
    """Every dataset by name."""
    query = (
        Dataset.select(Dataset.id, Dataset.name, Dataset.access, m.Terms.name.alias("terms"), Dataset.description)
        .join(m.Terms, JOIN.LEFT_OUTER, on=(Dataset.own_terms_id == m.Terms.id))
        .order_by(Dataset.name)
    )
    return database.rows(query)


def show(database: Database, name: str) -> dict[str, Any]:
    dataset = find(database, name)
    held = count_holdings(database, dataset)
    return {
        "id": dataset.id,
        "name": dataset.name,
        "description": dataset.description,
        "access": dataset.access,
        "own_terms": dataset.own_terms_id,
        "created": dataset.created,
        **held,
    }


# Versions


def find_version(database: Database, dataset: Dataset, name: str) -> Version:
    """A version of this dataset.

    Raises:
        NotFound: there is none of this name.
    """
    query = Version.select().where(Version.dataset == dataset.id, Version.name == name)
    version = database.first(query) if validation.is_storable(name) else None
    if version is None:
        raise NotFound(
            f"dataset {dataset.name} has no version {validation.quoted(name)}",
            f"dsgctl dataset version list {dataset.name}",
        )
    return version


def add_version(
    change: Change, dataset_name: str, name: str, *, public: bool = False, kept_id: int | None = None
) -> bool:
    """Add a version, or change whether it is public.

    Args:
        kept_id: the id that it had in another system, which it keeps if that is free here.

    Returns:
        Whether anything changed.
    """
    dataset = find(change.database, dataset_name)
    target = f"dataset:{dataset.name} version:{name}"
    query = Version.select().where(Version.dataset == dataset.id, Version.name == name)
    known = change.database.first(query) if validation.is_storable(name) else None
    if known is None:
        validation.single_line(name, "version name")
        if kept_id is not None and change.database.first(Version.select().where(Version.id == kept_id)) is not None:
            kept_id = None
        change.database.run(Version.insert(id=kept_id, dataset=dataset.id, name=name, public=public))
        change.record("dataset.version.add", target, after={"public": public})
        return True
    if known.public == public:
        return False
    change.database.run(Version.update(public=public).where(Version.id == known.id))
    change.record("dataset.version.set", target, {"public": known.public}, {"public": public})
    return True


def remove_version(change: Change, dataset_name: str, name: str) -> dict[str, int]:
    """Delete a version, with the grants, locations and terms that name it.

    Returns:
        What went, as `version_holdings` tells it.
    """
    version = find_version(change.database, find(change.database, dataset_name), name)
    gone = count_version_holdings(change.database, dataset_name, name)
    buckets = _buckets_of(change.database, m.Location.version == version.id)
    change.database.run(Version.delete().where(Version.id == version.id))
    release_buckets(change, buckets)
    change.record(
        "dataset.version.remove", f"dataset:{dataset_name} version:{name}", {"public": version.public, **gone}
    )
    return gone


def count_version_holdings(database: Database, dataset_name: str, name: str) -> dict[str, int]:
    """How many grants, locations and terms name a version."""
    version = find_version(database, find(database, dataset_name), name)
    return {
        label: database.count(table.select().where(table.version == version.id))
        for label, table in (("grants", m.Grant), ("locations", m.Location), ("terms", m.Terms))
    }


def list_versions(database: Database, dataset_name: str) -> Iterator[dict[str, Any]]:
    dataset = find(database, dataset_name)
    query = Version.select(Version.id, Version.name, Version.public).where(Version.dataset == dataset.id)
    return database.rows(query.order_by(Version.id))


# Locations


def add_location(
    change: Change, dataset_name: str, url: str, *, version: str | None = None, any_prefix: bool = False
) -> bool:
    """Say that a dataset, or one version of it, lies at ``gs://bucket/prefix``.

    Args:
        any_prefix: keep one of another system that no token could be limited to; nobody reads it through the gateway.

    Returns:
        Whether it is new.

    Raises:
        Invalid: it is not a location, or no token could be limited to it.
    """
    bucket, prefix = validation.gs_url(url)
    dataset, version_id, where = _location(change.database, dataset_name, bucket, prefix, version)
    if change.database.first(m.Location.select().where(where)) is not None:
        return False
    if not any_prefix and (problem := boundary.find_problem(bucket, prefix)):
        raise Invalid(
            f"nobody could be given a token for {validation.quoted(f'gs://{bucket}/{prefix}')}: {problem}",
            "use letters, digits, spaces and _.~!$&()*+,;=:@#%-, or name the folder above it",
        )
    if change.database.first(m.Bucket.select().where(m.Bucket.name == bucket)) is None:
        change.database.run(m.Bucket.insert(name=bucket))
    change.database.run(m.Location.insert(dataset=dataset.id, version=version_id, bucket=bucket, prefix=prefix))
    change.record("dataset.location.add", _location_target(dataset, version), after=_location_state(bucket, prefix))
    return True


def require_location(database: Database, dataset_name: str, url: str, *, version: str | None = None) -> None:
    """Raises:
    NotFound: the dataset (or this version of it) is not said to lie there.
    """
    bucket, prefix = validation.gs_url(url)
    dataset, _, where = _location(database, dataset_name, bucket, prefix, version)
    if database.first(m.Location.select().where(where)) is None:
        raise NotFound(
            f"{dataset.name} has no location gs://{bucket}/{prefix}" + (f" for version {version}" if version else ""),
            f"dsgctl dataset location list {dataset.name}",
        )


def remove_location(change: Change, dataset_name: str, url: str, *, version: str | None = None) -> None:
    """Say that a dataset, or one version of it, no longer lies there.

    Raises:
        NotFound: it is not said to.
    """
    require_location(change.database, dataset_name, url, version=version)
    bucket, prefix = validation.gs_url(url)
    dataset, _, where = _location(change.database, dataset_name, bucket, prefix, version)
    change.database.run(m.Location.delete().where(where))
    change.record("dataset.location.remove", _location_target(dataset, version), _location_state(bucket, prefix))
    release_buckets(change, [bucket])


def _location(
    database: Database, dataset_name: str, bucket: str, prefix: str, version: str | None
) -> tuple[Dataset, int | None, Any]:
    dataset = find(database, dataset_name)
    version_id = find_version(database, dataset, version).id if version is not None else None
    same_version = m.Location.version.is_null() if version_id is None else m.Location.version == version_id
    where = (
        (m.Location.dataset == dataset.id)
        & same_version
        & (m.Location.bucket == bucket)
        & (m.Location.prefix == prefix)
    )
    return dataset, version_id, where


def _location_target(dataset: Dataset, version: str | None) -> str:
    return f"dataset:{dataset.name}" + (f" version:{version}" if version else "")


def _location_state(bucket: str, prefix: str) -> dict[str, Any]:
    return {"location": f"gs://{bucket}/{prefix}"}


def list_locations(database: Database, dataset_name: str) -> Iterator[dict[str, Any]]:
    dataset = find(database, dataset_name)
    query = (
        m.Location.select(m.Location.id, m.Location.bucket, m.Location.prefix, Version.name.alias("version"))
        .join(Version, JOIN.LEFT_OUTER)
        .where(m.Location.dataset == dataset.id)
        .order_by(m.Location.id)
    )
    for row in database.rows(query):
        yield {
            "id": row["id"],
            "location": f"gs://{row['bucket']}/{row['prefix']}",
            "version": row["version"],
        }


# Buckets


def find_overlaps(database: Database) -> Iterator[tuple[str, str, list[str]]]:
    """Where locations lie within another: whoever may view the outer one reads them too.

    Told are those of other datasets; of other versions, within that of a version; and of versions with terms, which do
    not hold back what lies within a location of the whole dataset.

    Yields:
        The outer location, whose it is, and whose lie within.
    """
    with_terms = {
        version
        for (version,) in database.tuples(
            m.Terms.select(m.Terms.version).where(m.Terms.version.is_null(False), m.Terms.service.is_null())
        )
    }
    query = (
        m.Location.select(m.Location.bucket, m.Location.prefix, Dataset.name, Version.id, Version.name)
        .join_from(m.Location, Dataset)
        .join_from(m.Location, Version, JOIN.LEFT_OUTER, on=(m.Location.version == Version.id))
        .order_by(m.Location.bucket, m.Location.id)
    )
    for bucket, rows in groupby(database.tuples(query), itemgetter(0)):
        places = [tuple(row[1:]) for row in rows]
        by_prefix = sorted(places, key=itemgetter(0))
        prefixes = [place[0] for place in by_prefix]
        for outer, dataset, version_id, version in places:
            inner = by_prefix[bisect_left(prefixes, outer) : bisect_left(prefixes, outer + "\U0010ffff")]
            others = {
                other if other != dataset else f"version {other_version} of {other}"
                for prefix, other, other_id, other_version in inner
                if (prefix != outer or not outer)
                and (
                    other != dataset
                    or (version_id is not None and other_id not in (None, version_id))
                    or (version_id is None and other_id in with_terms)
                )
            }
            if others:
                whose = f"version {version} of {dataset}" if version_id is not None else dataset
                yield f"gs://{bucket}/{outer}", whose, sorted(others)


def set_bucket(
    change: Change,
    name: str,
    *,
    credential: str | None = None,
    project: str | None = None,
    default: bool = False,
    iam: bool | None = None,
) -> bool:
    """Say with which Google credential, and for which project, a bucket is asked for; what is not named stays.

    Args:
        credential: a file on the server, or ``impersonate:EMAIL``.
        default: forget what is not named, so that the machine's own credential is used.
        iam: whether people also read it with their own Google accounts (core/iam_ledger.py).

    Returns:
        Whether anything changed.

    Raises:
        NotFound: no dataset is said to lie in this bucket.
    """
    known = change.database.first(m.Bucket.select().where(m.Bucket.name == name))
    if known is None:
        raise NotFound(f"no dataset lies in the bucket {validation.quoted(name)}", "dsgctl bucket list")
    new: dict[str, Any] = {"credential": None, "project": None} if default else {}
    if credential is not None:
        new["credential"] = validation.credential(credential)
    if project is not None:
        new["project"] = validation.project(project)
    if iam is not None:
        new["iam"] = iam
    before, after = difference({key: getattr(known, key) for key in new}, new)
    if not after:
        return False
    change.database.run(m.Bucket.update(**after).where(m.Bucket.name == name))
    change.record("bucket.set", f"bucket:{name}", before, after)
    release_buckets(change, [name])
    return True


def remove_bucket(change: Change, name: str) -> None:
    """Forget a bucket and its settings. Nothing at Google is touched.

    Raises:
        NotFound, Conflict: as `require_removable`.
    """
    bucket = require_removable(change.database, name)
    change.database.run(m.Bucket.delete().where(m.Bucket.name == name))
    before = {"credential": bucket.credential, "project": bucket.project, "iam": bucket.iam}
    change.record("bucket.remove", f"bucket:{name}", before)


def require_removable(database: Database, name: str) -> m.Bucket:
    """The bucket, if nothing needs it.

    Raises:
        NotFound: it is not known here.
        Conflict: a dataset has a location in it, or its policy may have members that the gateway put there.
    """
    bucket = database.first(m.Bucket.select().where(m.Bucket.name == name))
    if bucket is None:
        raise NotFound(f"there is no bucket {validation.quoted(name)}", "dsgctl bucket list")
    located = m.Location.select(Dataset.name).join(Dataset).where(m.Location.bucket == name).order_by(Dataset.name)
    if datasets := list(dict.fromkeys(dataset for (dataset,) in database.tuples(located))):
        more = f" and {len(datasets) - 1} more" if len(datasets) > 1 else ""
        raise Conflict(
            f"dataset {datasets[0]}{more} has a location in gs://{name}",
            f"dsgctl dataset location list {datasets[0]}; dsgctl dataset location remove",
        )
    if members := database.count(m.IamMember.select().where(m.IamMember.bucket == name)):
        raise Conflict(
            f"the gateway put people into the policy of gs://{name}, and {members} may still be there",
            f"dsgctl bucket set {name} --no-iam, and dsgctl iam sync",
        )
    return bucket


def release_buckets(change: Change, buckets: Iterable[str]) -> None:
    """Forget those of these buckets that nothing needs any more: they have no location, setting or member of ours.

    Each came with its first location, without a record of its own, and goes in the same way.
    """
    for name in buckets:
        change.database.run(
            m.Bucket.delete().where(
                m.Bucket.name == name,
                m.Bucket.credential.is_null(),
                m.Bucket.project.is_null(),
                m.Bucket.iam == False,
                m.Bucket.name.not_in(m.Location.select(m.Location.bucket).where(m.Location.bucket == name)),
                m.Bucket.name.not_in(m.IamMember.select(m.IamMember.bucket).where(m.IamMember.bucket == name)),
            )
        )


def _buckets_of(database: Database, where: Any) -> list[str]:
    return [name for (name,) in database.tuples(m.Location.select(m.Location.bucket).where(where).distinct())]


def list_buckets(database: Database) -> Iterator[dict[str, Any]]:
    """Every bucket that is known, with how many datasets lie in it."""
    query = (
        m.Bucket.select(
            m.Bucket.name,
            m.Bucket.credential,
            m.Bucket.project,
            m.Bucket.iam,
            fn.count(m.Location.dataset.distinct()).alias("datasets"),
        )
        .join(m.Location, JOIN.LEFT_OUTER, on=(m.Location.bucket == m.Bucket.name))
        .group_by(m.Bucket.name)
        .order_by(m.Bucket.name)
    )
    return database.rows(query)


def find_unusable_locations(database: Database) -> Iterator[tuple[str, str | None, str, str]]:
    """The locations that no token can be limited to, which an import or the database's own shell has left.

    Yields:
        Dataset, version if it is of one, location, and why.
    """
    query = (
        m.Location.select(Dataset.name, Version.name, m.Location.bucket, m.Location.prefix)
        .join_from(m.Location, Dataset)
        .join_from(m.Location, Version, JOIN.LEFT_OUTER, on=(m.Location.version == Version.id))
    )
    for dataset, version, bucket, prefix in database.tuples(query.order_by(m.Location.id)):
        if problem := boundary.find_problem(bucket, prefix):
            yield dataset, version, f"gs://{bucket}/{prefix}", problem


def find_credential(database: Database, bucket: str) -> str | None:
    """What `set_bucket` named; None for the machine's own credential."""
    known = database.first(m.Bucket.select().where(m.Bucket.name == bucket))
    return known.credential if known else None
