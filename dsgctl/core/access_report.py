"""Who holds what: every grant with every one whom it reaches, also through a group."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from dsgctl.core import datasets as all_datasets
from dsgctl.core import snapshots
from dsgctl.core.rules import access
from dsgctl.core.rules.access import Decision
from dsgctl.store import Database


def list_holders(database: Database, at: datetime, *, datasets: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """A row for each grant that has not ended and each principal whom it reaches; of one state of the database.

    In the order of the names of datasets, then of the principals' and the grants' ids. ``state`` is the reason
    (`access.Reason`) why this permission counts or does not: ``terms_missing``, ``account_disabled``.

    Args:
        datasets: names; all if there are none.

    Raises:
        NotFound: there is no dataset of such a name.
    """
    with database.snapshot():
        for name in _names(database, datasets):
            for known in snapshots.read_dataset_holders(database, name):
                decisions: dict[str, Decision] = {}
                for grant in sorted(known.grants, key=lambda grant: grant.id):
                    if not grant.counts(at):
                        continue  # it gives nothing; 'dsgctl grant list' has it
                    if grant.permission not in decisions:
                        decisions[grant.permission] = access.decide(known, name, grant.permission, at)
                    yield {
                        "dataset": name,
                        "id": known.id,
                        "who": known.label,
                        "kind": "service account" if known.service_account else "user",
                        "permission": grant.permission,
                        "version": grant.version,
                        "through": grant.group or "direct",
                        "until": grant.expires,
                        "state": str(decisions[grant.permission].reason),
                        "granted_by": grant.granted_by,
                    }


def _names(database: Database, wanted: Sequence[str]) -> list[str]:
    if wanted:
        return sorted({all_datasets.find(database, name).name for name in wanted})
    return sorted(row["name"] for row in all_datasets.list_datasets(database))
