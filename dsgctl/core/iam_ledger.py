"""Access to buckets with people's own Google accounts: the members that each policy should have, and the ledger.

It concerns the buckets that are chosen with ``dsgctl bucket set --iam``.

The ledger lists the members that the gateway added to a policy; it never removes others. So that the next run repairs
whatever a crash leaves behind, the ledger is written before and after each request to Google:

- `begin`, before the policy is written, records the members to add as ``intended``.
- `finish`, after Google has confirmed the policy, makes them ``held`` and deletes those that were removed.
- `withdraw`, if Google certainly wrote nothing, deletes the intentions.

After a crash, or if Google's answer is lost, intentions are left. The next `begin` compares them with the policy: a
member that is in it was added by that write, and is held; one that is not is added again, or deleted if it is no longer
wanted. A removed member whose row is left is not in the policy either, and is deleted in the same way.

One case cannot be told apart: after such a crash, somebody else adds the same member by hand before the next run. The
member is treated as the gateway's, because a member of the gateway that is treated as somebody else's would stay.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, Literal, TypedDict

from dsgctl.core import buckets, snapshots, validation
from dsgctl.core.change import Change
from dsgctl.core.rules.buckets import BucketReason, decide_bucket_access
from dsgctl.core.rules.iam_policy import ROLE, Difference
from dsgctl.store import Database
from dsgctl.store.models import Bucket, Dataset, IamMember, Location

MemberState = Literal["intended", "held"]
INTENDED: Final = "intended"
HELD: Final = "held"


class LedgerRow(TypedDict):
    """A row of `list_ledger`; ``member`` is ``user:EMAIL``, ``since`` the time of its state."""

    bucket: str
    member: str
    state: MemberState
    since: datetime


def read_members(database: Database, bucket: str, at: datetime) -> frozenset[str]:
    """The members that should be in a bucket's policy, as ``user:EMAIL`` in lower case.

    They are the active people, admins excepted, who may read anything in the bucket. The rule is the same as for
    POST /gcs_token (`decide_bucket_access`), so nobody reads here who is refused there. A bucket that is not chosen has
    none. Call it in a `Database.snapshot`.
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
    """Whether people also read the bucket with their own Google accounts (`buckets.set_attributes`)."""
    return database.first(Bucket.select().where(Bucket.name == bucket, Bucket.iam == True)) is not None


def member_of(email: str) -> str:
    """A person as a member of a policy. Google stores addresses in lower case."""
    return f"user:{validation.email_key(email)}"


def list_chosen_buckets(database: Database, dataset: str | None = None) -> list[str]:
    """The names of the buckets that are chosen, or whose policy may have members in the ledger.

    Args:
        dataset: only buckets with a location of this dataset.
    """
    in_ledger = IamMember.select(IamMember.bucket)
    query = Bucket.select(Bucket.name).where((Bucket.iam == True) | Bucket.name.in_(in_ledger)).order_by(Bucket.name)
    if dataset is not None:
        located = Location.select(Location.bucket).join(Dataset).where(Dataset.name == dataset)
        query = query.where(Bucket.name.in_(located))
    return [name for (name,) in database.tuples(query)]


def read_ledger(database: Database, bucket: str) -> dict[str, MemberState]:
    """The members in the ledger of a bucket, each with its state."""
    query = IamMember.select(IamMember.member, IamMember.state).where(IamMember.bucket == bucket)
    return dict(database.tuples(query.order_by(IamMember.member)))


def list_buckets_of(database: Database, email: str) -> list[str]:
    """The names of the buckets whose ledger has this person."""
    query = IamMember.select(IamMember.bucket).where(IamMember.member == member_of(email)).order_by(IamMember.bucket)
    return [name for (name,) in database.tuples(query)]


def list_ledger(database: Database, dataset: str | None = None) -> Iterator[LedgerRow]:
    """The ledgers of the buckets of `list_chosen_buckets`, by bucket and member."""
    query = (
        IamMember.select(IamMember.bucket, IamMember.member, IamMember.state, IamMember.since)
        .where(IamMember.bucket.in_(list_chosen_buckets(database, dataset)))
        .order_by(IamMember.bucket, IamMember.member)
    )
    return database.rows(query, LedgerRow)


def begin(change: Change, bucket: str, difference: Difference) -> frozenset[str]:
    """Update the ledger by the policy that was read, and record the members that are about to be added.

    Returns:
        Those that were not intended before, for `withdraw` if Google refuses. An earlier intention stays: the answer to
        that request may still be on its way.
    """
    states = read_ledger(change.database, bucket)
    for member in difference.confirmed:
        _set(change, bucket, member, states.get(member), HELD)
    for member in difference.vanished:
        _forget(change, bucket, member, states.get(member), "iam.forget")
    new = [member for member in difference.add if states.get(member) != INTENDED]
    for member in new:
        _set(change, bucket, member, states.get(member), INTENDED)
    buckets.release(change, [bucket])
    return frozenset(new)


def finish(change: Change, bucket: str, difference: Difference) -> None:
    """Update the ledger after Google has written the policy."""
    states = read_ledger(change.database, bucket)
    for member in difference.add:
        _set(change, bucket, member, states.get(member), HELD)
    for member in difference.remove:
        _forget(change, bucket, member, states.get(member), "iam.remove")
    buckets.release(change, [bucket])


def withdraw(change: Change, bucket: str, intended: Iterable[str]) -> None:
    """Delete intentions after Google has refused the policy."""
    states = read_ledger(change.database, bucket)
    for member in sorted(intended):
        _forget(change, bucket, member, states.get(member), "iam.forget")
    buckets.release(change, [bucket])


# The audit log records what happened at Google. Intentions are not in it: a bucket that Google refuses would fill it,
# because each run tries again.


def _set(change: Change, bucket: str, member: str, before: MemberState | None, state: MemberState) -> None:
    row: Any = IamMember.insert(bucket=bucket, member=member, state=state, since=change.at)
    if before is not None:
        row = IamMember.update(state=state, since=change.at).where(_row(bucket, member))
    change.database.run(row)
    if state == HELD != before:
        change.record("iam.add", _format_target(bucket, member), after={"role": ROLE})
    if before == HELD != state:  # somebody else removed it
        change.record("iam.forget", _format_target(bucket, member), {"role": ROLE})


def _forget(change: Change, bucket: str, member: str, before: MemberState | None, action: str) -> None:
    change.database.run(IamMember.delete().where(_row(bucket, member)))
    if before == HELD:
        change.record(action, _format_target(bucket, member), {"role": ROLE})


def _row(bucket: str, member: str) -> Any:
    return (IamMember.bucket == bucket) & (IamMember.member == member)


def _format_target(bucket: str, member: str) -> str:
    return f"bucket:{bucket} {member}"
