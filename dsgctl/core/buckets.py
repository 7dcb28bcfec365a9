"""Buckets: the Google credential and project for each, and whether people also read it with their own accounts.

A bucket is recorded with its first location (locations.py) and released when nothing needs it any more.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypedDict

from dsgctl.core import validation
from dsgctl.core.change import Change, difference
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Bucket, IamMember, Location
from dsgctl.store.queries import JOIN, fn


class BucketRow(TypedDict):
    """A row of `list_buckets`; ``datasets`` is how many have a location in the bucket."""

    name: str
    credential: str | None
    project: str | None
    iam: bool
    datasets: int


def find_by_name(database: Database, name: str) -> Bucket | None:
    return database.first(Bucket.select().where(Bucket.name == name))


def set_attributes(
    change: Change,
    name: str,
    *,
    credential: str | None = None,
    project: str | None = None,
    default: bool = False,
    iam: bool | None = None,
) -> bool:
    """Set the Google credential and the project for a bucket; None leaves a value unchanged.

    Args:
        credential: a file on the server, or ``impersonate:EMAIL``.
        default: clear the values that are not named, so that the machine's own credential is used.
        iam: whether people also read it with their own Google accounts (iam_ledger.py).

    Returns:
        Whether anything changed.

    Raises:
        Invalid: the credential or the project is malformed.
        NotFound: no dataset has a location in this bucket.
    """
    new: dict[str, str | bool | None] = {"credential": None, "project": None} if default else {}
    if credential is not None:
        new["credential"] = validation.credential(credential)
    if project is not None:
        new["project"] = validation.project(project)
    if iam is not None:
        new["iam"] = iam
    bucket = find_by_name(change.database, name)
    if bucket is None:
        raise NotFound(f"no dataset has a location in the bucket {validation.quote(name)}", "dsgctl bucket list")
    before, after = difference({key: getattr(bucket, key) for key in new}, new)
    if not after:
        return False
    change.database.run(Bucket.update(**after).where(Bucket.name == name))
    change.record("bucket.set", f"bucket:{name}", before, after)
    release(change, [name])
    return True


def remove(change: Change, name: str) -> None:
    """Delete a bucket's settings. Nothing at Google is changed.

    Raises:
        NotFound, Conflict: as `require_removable`.
    """
    bucket = require_removable(change.database, name)
    change.database.run(Bucket.delete().where(Bucket.name == name))
    before = {"credential": bucket.credential, "project": bucket.project, "iam": bucket.iam}
    change.record("bucket.remove", f"bucket:{name}", before)


def require_removable(database: Database, name: str) -> Bucket:
    """Return the bucket if nothing needs it.

    Raises:
        NotFound: there is no such bucket.
        Conflict: a dataset has a location in it, or its policy may have members that the gateway added.
    """
    bucket = find_by_name(database, name)
    if bucket is None:
        raise NotFound(f"there is no bucket {validation.quote(name)}", "dsgctl bucket list")
    query = Location.select(m.Dataset.name).join(m.Dataset).where(Location.bucket == name).order_by(m.Dataset.name)
    if datasets := list(dict.fromkeys(dataset for (dataset,) in database.tuples(query))):
        more = f" and {len(datasets) - 1} more" if len(datasets) > 1 else ""
        raise Conflict(
            f"dataset {datasets[0]}{more} has a location in gs://{name}",
            f"dsgctl dataset location list {datasets[0]}; dsgctl dataset location remove",
        )
    if members := database.count(IamMember.select().where(IamMember.bucket == name)):
        raise Conflict(
            f"the gateway added people to the policy of gs://{name}, and {members} may still be there",
            f"dsgctl bucket set {name} --no-iam, and dsgctl iam sync",
        )
    return bucket


def release(change: Change, names: Iterable[str]) -> None:
    """Delete those of these buckets that nothing needs: no location, no setting, and no member in their policy.

    A bucket is recorded with its first location, without an audit record of its own, and is deleted in the same way.
    """
    for name in names:
        change.database.run(
            Bucket.delete().where(
                Bucket.name == name,
                Bucket.credential.is_null(),
                Bucket.project.is_null(),
                Bucket.iam == False,
                Bucket.name.not_in(Location.select(Location.bucket).where(Location.bucket == name)),
                Bucket.name.not_in(IamMember.select(IamMember.bucket).where(IamMember.bucket == name)),
            )
        )


def list_names(database: Database, condition: Any) -> list[str]:
    """The names of the buckets with a location that meets a condition of `models.Location`."""
    return [name for (name,) in database.tuples(Location.select(Location.bucket).where(condition).distinct())]


def list_buckets(database: Database) -> Iterator[BucketRow]:
    """Every bucket, by name."""
    query = (
        Bucket.select(
            Bucket.name,
            Bucket.credential,
            Bucket.project,
            Bucket.iam,
            fn.count(Location.dataset.distinct()).alias("datasets"),
        )
        .join(Location, JOIN.LEFT_OUTER, on=(Location.bucket == Bucket.name))
        .group_by(Bucket.name)
        .order_by(Bucket.name)
    )
    return database.rows(query, BucketRow)


def find_credential(database: Database, name: str) -> str | None:
    """The credential of a bucket, as `set_attributes` takes it; None for the machine's own credential."""
    bucket = find_by_name(database, name)
    return bucket.credential if bucket is not None else None
