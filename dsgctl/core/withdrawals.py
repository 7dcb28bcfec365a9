"""Withdrawals: public datasets on which somebody revoked a person's ``view``, so that self-service does not restore it.

Accepting terms of a public dataset gives ``view`` (acceptances.accept), except to a person with a withdrawal there. A
withdrawal ends when somebody grants that person anything on the whole dataset.
"""

from collections.abc import Iterable

from dsgctl.core.change import Change
from dsgctl.store import Database
from dsgctl.store.models import Dataset, Withdrawal


def add(change: Change, principal_id: int, dataset: Dataset) -> None:
    """Note that a person's ``view`` was revoked, if the dataset is public.

    Nothing is noted if a lead revokes a grant that is scoped to their group: what everybody may have is not theirs to
    revoke.
    """
    if dataset.access == "public" and (change.delegate is None or change.delegate.administers(dataset.name)):
        row = {"principal": principal_id, "dataset": dataset.id, "withdrawn": change.at, "withdrawn_by": change.actor}
        change.database.run(Withdrawal.insert(**row).on_conflict_ignore())


def end(change: Change, principal_ids: Iterable[int], dataset: Dataset) -> None:
    """End the withdrawals of people who are granted something on the whole dataset.

    A delegate's grant does not end them: it ends with what the delegate holds, and must leave nothing behind.
    """
    if change.giver_id is None:
        condition = (Withdrawal.dataset == dataset.id) & Withdrawal.principal.in_(list(principal_ids))
        change.database.run(Withdrawal.delete().where(condition))


def list_datasets(database: Database, principal_id: int) -> frozenset[str]:
    """The names of the datasets on which this person has a withdrawal."""
    query = Withdrawal.select(Dataset.name).join(Dataset).where(Withdrawal.principal == principal_id)
    return frozenset(name for (name,) in database.tuples(query))
