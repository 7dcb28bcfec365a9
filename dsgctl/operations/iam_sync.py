"""Makes the policies of buckets at Google follow the database: one read and one write per bucket, repeated on conflict.

core/iam_ledger.py decides which members a bucket should have and which are the gateway's own, and describes the
recovery from a crash; core/rules/iam_policy.py computes the difference; gcs/policies.py sends the requests.
"""

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from dsgctl.bounded_http import Deadline
from dsgctl.core import buckets, iam_ledger
from dsgctl.core.clock import now
from dsgctl.core.errors import Conflict, DsgError
from dsgctl.core.rules import iam_policy
from dsgctl.core.rules.iam_policy import MAX_PRINCIPALS, Difference
from dsgctl.gcs.policies import EtagConflict, GoogleError, InvalidMember, NoBucket, OutcomeUnknown, Policies
from dsgctl.operations.maintenance import Begin
from dsgctl.store import Database

TRIES = 5  # of a bucket's cycle, while others write its policy
PAUSE = 0.2  # seconds before the second try; doubled for each further one
BUCKET_SECONDS = 60.0  # after which a bucket is not tried again in this run
UNKNOWN = 50  # addresses without an account that Google may name, in one run of one bucket


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one bucket.

    Attributes:
        difference: the change that was made, or would be.
        trouble: why it failed, completely or for ``left_out``; None if it did not.
        left_out: members that should be added and could not be.
    """

    bucket: str
    difference: Difference = field(default_factory=Difference)
    trouble: DsgError | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Limits:
    """Additions that a cycle leaves out.

    Attributes:
        unknown: members that Google does not accept.
        adding: whether members are added at all; removals must not wait for additions.
        trouble: why.
    """

    unknown: frozenset[str] = frozenset()
    adding: bool = True
    trouble: DsgError | None = None


class Sync:
    """One run over buckets."""

    def __init__(self, database: Database, storage_url: str, begin: Begin, *, dry_run: bool = False) -> None:
        """
        Args:
            begin: opens a change of this database, as the actor of the run.
            dry_run: change nothing.
        """
        self._database = database
        self._storage_url = storage_url
        self._begin = begin
        self._dry_run = dry_run
        self._credentials: dict[str | None, Policies | GoogleError] = {}

    def run(self, buckets: list[str]) -> Iterator[Outcome]:
        """Sync each bucket in turn; a failure of one does not stop the others."""
        try:
            for bucket in buckets:
                try:
                    yield self._sync_bucket(bucket)
                except DsgError as error:
                    yield Outcome(bucket, trouble=error)
        finally:
            for policies in self._credentials.values():
                if isinstance(policies, Policies):
                    policies.close()

    def _sync_bucket(self, bucket: str) -> Outcome:
        policies = self._open_policies(buckets.find_credential(self._database, bucket))
        limits, tries, deadline = _Limits(), 0, Deadline(BUCKET_SECONDS)
        while True:
            try:
                return self._run_cycle(policies, bucket, limits)
            except EtagConflict as error:
                tries += 1
                if tries < TRIES and deadline.seconds_left():
                    time.sleep(PAUSE * 2 ** (tries - 1) * random.uniform(0.5, 1.0))  # noqa: S311  no secret
                    continue
                trouble: GoogleError = error  # Google also answers 412 if a member is forbidden there
            except InvalidMember as error:
                named = self._find_named(bucket, error, limits)
                if named and len(limits.unknown) < UNKNOWN and deadline.seconds_left():
                    limits = _Limits(limits.unknown | named, trouble=_explain_unknown(limits.unknown | named, error))
                    continue
                trouble = error
            if not limits.adding:
                raise trouble
            limits, tries = replace(limits, adding=False, trouble=trouble), 0

    def _find_named(self, bucket: str, error: InvalidMember, limits: _Limits) -> frozenset[str]:
        """The members to be added that Google's refusal names."""
        words = {word.strip(".,;:'\"()") for word in error.google_message.lower().split()}
        with self._database.snapshot():
            wanted = iam_ledger.read_members(self._database, bucket, now())
        return frozenset(member for member in wanted - limits.unknown if words & {member, member.removeprefix("user:")})

    def _run_cycle(self, policies: Policies, bucket: str, limits: _Limits) -> Outcome:
        """Read the policy, compute the difference, and write it."""
        try:
            policy = policies.read(bucket)
        except NoBucket:
            if iam_ledger.is_chosen(self._database, bucket):
                raise
            policy = {}  # the bucket is no longer chosen either: the ledger forgets its members
        with self._database.snapshot():
            wanted = iam_ledger.read_members(self._database, bucket, now())
            ledger = iam_ledger.read_ledger(self._database, bucket)
        whole = iam_policy.compare(policy, wanted, ledger)
        difference, trouble = _limit_difference(whole, iam_policy.count_principals(policy), limits)
        outcome = Outcome(bucket, difference, trouble, tuple(sorted({*whole.add} - {*difference.add})))
        if self._dry_run:
            return outcome
        new: frozenset[str] = frozenset()
        if difference.add or difference.confirmed or difference.vanished:
            with self._begin() as change:
                new = iam_ledger.begin(change, bucket, difference)
        if not (difference.add or difference.remove):
            return outcome
        try:
            written = policies.write(bucket, iam_policy.apply_difference(policy, difference))
        except GoogleError as error:
            if new and not isinstance(error, OutcomeUnknown):
                with self._begin() as change:
                    iam_ledger.withdraw(change, bucket, new)
            raise
        return self._record_written(outcome, iam_policy.list_viewers(policy), iam_policy.list_viewers(written))

    def _record_written(self, outcome: Outcome, before: frozenset[str], after: frozenset[str]) -> Outcome:
        """Record a written policy, which may differ from the one that was sent.

        Args:
            before, after: the viewers in the policy that was read, and in the one that Google returned.
        """
        sent = outcome.difference
        # The etag excludes other writers: every new member came with this write, maybe under another address.
        new = sorted(member for member in after - before if member.startswith("user:"))
        done = replace(sent, add=tuple(new), remove=tuple(member for member in sent.remove if member not in after))
        with self._begin() as change:
            iam_ledger.finish(change, outcome.bucket, done)
        if (done.add, done.remove) == (sent.add, sent.remove):
            return outcome
        unexpected = ", ".join(sorted({*done.add} ^ {*sent.add} | {*sent.remove} - {*done.remove}))
        trouble = Conflict(
            f"Google has written another policy than it was sent: {unexpected}",
            "where it has another address for a person: dsgctl user set EMAIL --email ADDRESS",
        )
        return replace(outcome, difference=done, trouble=trouble)

    def _open_policies(self, credential: str | None) -> Policies:
        if credential not in self._credentials:
            try:
                self._credentials[credential] = Policies(self._storage_url, credential)
            except GoogleError as error:  # a search for a missing credential takes seconds: do it once
                self._credentials[credential] = error
        policies = self._credentials[credential]
        if isinstance(policies, GoogleError):
            raise policies
        return policies


def _limit_difference(whole: Difference, principals: int, limits: _Limits) -> tuple[Difference, DsgError | None]:
    """The difference without the additions that the policy cannot take, and why."""
    add = tuple(member for member in whole.add if member not in limits.unknown)
    after = principals - len(whole.remove) + len(add)
    if add and after > MAX_PRINCIPALS:
        trouble = Conflict(
            f"the policy would have {after} principals, and Google takes {MAX_PRINCIPALS}: nobody was added",
            "put people into a Google group, and give that the role; or let them read through the gateway alone",
        )
        return replace(whole, add=()), trouble
    if not limits.adding:
        return replace(whole, add=()), limits.trouble if whole.add else None
    return replace(whole, add=add), limits.trouble if len(add) < len(whole.add) else None


def _explain_unknown(members: frozenset[str], error: InvalidMember) -> GoogleError:
    people = ", ".join(member.removeprefix("user:") for member in sorted(members))
    return GoogleError(
        f"Google does not take {people}", "have them make a Google account of this address", error.google_message
    )


@contextmanager
def open_sync(database: Database, storage_url: str, begin: Begin, *, dry_run: bool = False) -> Iterator[Sync]:
    """Open a run over buckets. Unless it changes nothing, it excludes other runs (`lock_sync`).

    Args:
        begin, dry_run: as `Sync` takes them.

    Raises:
        Conflict: another run is in progress.
    """
    with nullcontext() if dry_run else lock_sync(Path(database.path)):
        yield Sync(database, storage_url, begin, dry_run=dry_run)


@contextmanager
def lock_sync(database: Path) -> Iterator[None]:
    """Exclude other runs on the same database: each would take the intentions of the other for its own.

    It locks the directory, not the file: closing another descriptor of the file would end SQLite's own locks on it
    (https://sqlite.org/howtocorrupt.html#posix_close_bug).

    Raises:
        Conflict: another run is in progress.
    """
    directory = os.open(database.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("another 'dsgctl iam sync' is under way", "wait until it has ended") from None
        yield
    finally:
        os.close(directory)
