"""Whom a bucket's own policy should let read it, and what the gateway put there: wanted members, and the ledger.

For buckets that people also read with their own Google accounts (``dsgctl bucket set --iam``).

The ledger says which members are the gateway's: only those it ever takes out. So that a crash at any moment
leaves nothing that the next run would not mend, it is written on both sides of Google's answer:

- `begin`, before the policy is written, notes those who are about to be added as ``intended``.
- `finish`, once Google has said that it is written, makes them ``held`` and forgets those who were taken out.
- `withdraw`, if Google surely wrote nothing, forgets the intention.

After a crash or a lost answer in between, an intention is left. The next `begin` looks at the policy: a member that
is there was put there by that write, and is held; one that is not is added again, or forgotten if no longer wanted.
Someone taken out whose row is still there is no longer in the policy either, and is forgotten in the same way.

What nobody can tell apart: after such a crash, a member whom somebody else put there by hand before the next run. It
is taken for ours, because a member of ours that is taken for somebody else's would stay for ever.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from dsgctl.core import buckets, snapshots, validation
from dsgctl.core.change import Change
from dsgctl.core.rules.buckets import BucketReason, decide_bucket_access
from dsgctl.core.rules.iam_policy import ROLE, Difference
from dsgctl.store import Database
from dsgctl.store.models import Bucket, IamMember, Location
from dsgctl.store.models import Dataset as DatasetTable

INTENDED, HELD = "intended", "held"


def read_members(database: Database, bucket: str, at: datetime) -> frozenset[str]:
    """Who should be able to read a bucket with a Google account of their own, as ``user:EMAIL`` in lower case.

    Active people who are not admins and whom `bucket_access` lets read anything of it: the same rule as for
    POST /gcs_token, so nobody reads by this door who is refused at the other. Nobody, unless the bucket was chosen.
    Call it in a `Database.snapshot`.
    """
    if not is_chosen(database, bucket):
        return frozenset()
    locations = snapshots.read_bucket(database, bucket)
    return frozenset(
        member_of(holder.label)
        for holder in snapshots.read_bucket_holders(database, bucket)
        if not (holder.service_account or holder.admin)
        and decide_bucket_access(holder, locations, at).reason is BucketReason.GRANTED
    )


def is_chosen(database: Database, bucket: str) -> bool:
    """Whether people also read the bucket with their own accounts, as `buckets.set_attributes` said."""
    return database.first(Bucket.select().where(Bucket.name == bucket, Bucket.iam == True)) is not None


def member_of(email: str) -> str:
    """A person as a member of a policy; Google has addresses in lower case."""
    return f"user:{validation.email_key(email)}"


def list_chosen_buckets(database: Database, dataset: str | None = None) -> list[str]:
    """The buckets to look after: those chosen, and those where members of ours may be left; by name.

    Args:
        dataset: only those that this dataset lies in.
    """
    ours = IamMember.select(IamMember.bucket)
    query = Bucket.select(Bucket.name).where((Bucket.iam == True) | Bucket.name.in_(ours)).order_by(Bucket.name)
    if dataset is not None:
        lying = Location.select(Location.bucket).join(DatasetTable).where(DatasetTable.name == dataset)
        query = query.where(Bucket.name.in_(lying))
    return [name for (name,) in database.tuples(query)]


def read_ledger(database: Database, bucket: str) -> dict[str, str]:
    """The members that are the gateway's, each with its state."""
    query = IamMember.select(IamMember.member, IamMember.state).where(IamMember.bucket == bucket)
    return dict(database.tuples(query.order_by(IamMember.member)))


def list_buckets_of(database: Database, email: str) -> list[str]:
    """The buckets in whose policies the gateway put this person."""
    query = IamMember.select(IamMember.bucket).where(IamMember.member == member_of(email)).order_by(IamMember.bucket)
    return [name for (name,) in database.tuples(query)]


def list_ledger(database: Database, dataset: str | None = None) -> Iterator[dict[str, Any]]:
    """The ledger of each bucket that `buckets` names."""
    query = IamMember.select(IamMember.bucket, IamMember.member, IamMember.state, IamMember.since)
    found = query.where(IamMember.bucket.in_(list_chosen_buckets(database, dataset)))
    return database.rows(found.order_by(IamMember.bucket, IamMember.member))


def begin(change: Change, bucket: str, difference: Difference) -> frozenset[str]:
    """Bring the ledger up to the policy that was read, and note who is about to be added.

    Returns:
        Those who were not intended before: `withdraw` takes them if Google refuses. The answer to an intention that
        was there before may still be on its way.
    """
    known = read_ledger(change.database, bucket)
    for member in difference.found:
        _set(change, bucket, member, known.get(member), HELD)
    for member in difference.gone:
        _forget(change, bucket, member, known.get(member), "iam.forget")
    new = [member for member in difference.add if known.get(member) != INTENDED]
    for member in new:
        _set(change, bucket, member, known.get(member), INTENDED)
    buckets.release(change, [bucket])
    return frozenset(new)


def finish(change: Change, bucket: str, difference: Difference) -> None:
    """Google has written the policy."""
    known = read_ledger(change.database, bucket)
    for member in difference.add:
        _set(change, bucket, member, known.get(member), HELD)
    for member in difference.remove:
        _forget(change, bucket, member, known.get(member), "iam.remove")
    buckets.release(change, [bucket])


def withdraw(change: Change, bucket: str, intended: Iterable[str]) -> None:
    """Google has refused the policy: those who were not there are not there."""
    known = read_ledger(change.database, bucket)
    for member in sorted(intended):
        _forget(change, bucket, member, known.get(member), "iam.forget")
    buckets.release(change, [bucket])


# The audit log has what came about at Google. An intention is not in it: a bucket that Google refuses, asked every
# few minutes, would fill it.


def _set(change: Change, bucket: str, member: str, before: str | None, state: str) -> None:
    row: Any = IamMember.insert(bucket=bucket, member=member, state=state, since=change.at)
    if before is not None:
        row = IamMember.update(state=state, since=change.at).where(_is(bucket, member))
    change.database.run(row)
    if state == HELD != before:
        change.record("iam.add", _target(bucket, member), after={"role": ROLE})
    if before == HELD != state:  # somebody else took it out
        change.record("iam.forget", _target(bucket, member), {"role": ROLE})


def _forget(change: Change, bucket: str, member: str, before: str | None, action: str) -> None:
    change.database.run(IamMember.delete().where(_is(bucket, member)))
    if before == HELD:
        change.record(action, _target(bucket, member), {"role": ROLE})


def _is(bucket: str, member: str) -> Any:
    return (IamMember.bucket == bucket) & (IamMember.member == member)


def _target(bucket: str, member: str) -> str:
    return f"bucket:{bucket} {member}"
