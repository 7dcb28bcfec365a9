"""A person leaves: what has to end outside the database too. Inside it, core/offboarding.py ends everything."""

from dsgctl.core import iam_ledger
from dsgctl.core.errors import DsgError
from dsgctl.operations.maintenance import Begin
from dsgctl.store import Database


def remove_from_bucket_policies(database: Database, storage_url: str, begin: Begin, email: str) -> list[str]:
    """Remove an offboarded person from the bucket policies to which the gateway added them.

    Args:
        storage_url: of Cloud Storage.
        begin: opens a change, as the person who runs this.

    Returns:
        The names of the buckets whose policies the person was removed from.

    Raises:
        DsgError: the policy of a bucket could not be changed; in the database the person stays offboarded.
    """
    buckets = iam_ledger.list_buckets_of(database, email)
    if not buckets:
        return []
    from dsgctl.operations.iam_sync import open_sync  # slow to import, and seldom needed

    with open_sync(database, storage_url, begin) as sync:
        outcomes = list(sync.run(buckets))
    failed = [outcome.bucket for outcome in outcomes if outcome.trouble is not None]
    if failed:
        raise DsgError(f"they may still read {', '.join(failed)} with their own Google account", "dsgctl iam sync")
    return buckets
