"""Acceptances of terms: who has accepted which terms, when and from where, and who has yet to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from dsgctl.core import dataset_list, datasets, grants, services, snapshots, terms, users, withdrawals
from dsgctl.core.change import Change
from dsgctl.core.delegation import Delegate
from dsgctl.core.errors import NotAllowed
from dsgctl.core.grant_targets import Subject, Target, principal_subject
from dsgctl.core.row_streams import start_reading
from dsgctl.core.rules import access, levels
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Acceptance, Terms


class AcceptedRow(TypedDict):
    """Terms that a person has accepted; ``accepted`` is when."""

    id: int
    name: str
    accepted: datetime


def list_accepted_by(database: Database, principal_id: int) -> Iterator[AcceptedRow]:
    """The terms that a person has accepted, the latest first."""
    query = (
        Acceptance.select(Acceptance.terms.alias("id"), Terms.name, Acceptance.accepted)
        .join(Terms)
        .where(Acceptance.principal == principal_id)
        .order_by(Acceptance.accepted.desc(), Acceptance.terms.desc())
    )
    return database.rows(query, AcceptedRow)


def find_date(database: Database, terms_id: int, principal_id: int, at: datetime) -> datetime | None:
    """When a person accepted terms; None if they have not, or if the acceptance does not count at a moment.

    Raises:
        NotFound: the terms were deleted in the meantime.
    """
    where = (Acceptance.principal == principal_id) & (Acceptance.terms == terms_id)
    acceptance = database.first(Acceptance.select().where(where))
    if acceptance is None:
        return None
    accepted: datetime = acceptance.accepted
    return accepted if terms.read_rule(database, terms_id).counts(accepted, at) else None


def accept(change: Change, terms_id: int, email: str, *, address: str | None = None) -> bool:
    """Record that a person accepts terms.

    If the terms are a public dataset's own, the person also gets a grant of ``view`` on it, by self-service. If
    it was withdrawn (withdrawals.py), accepting terms does not restore it: only a grant does.

    Args:
        address: the network address of the browser; None if an operator records it on the person's behalf.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there are no such terms, or no such user.
        NotAllowed: the account is disabled, or it is a child, whose parent accepts for it.
    """
    document, user = terms.find(change.database, terms_id), users.find(change.database, email)
    if not user.active:
        raise NotAllowed(f"{user.email} is disabled", f"dsgctl user enable {user.email}")
    if user.parent_id is not None:
        raise NotAllowed(
            f"for {user.email} the acceptances of its parent count",
            f"dsgctl user show {user.email} names the parent",
        )
    if find_date(change.database, terms_id, user.id, change.at) is not None:
        return False
    columns = {"accepted": change.at, "address": address, "recorded_by": change.actor}
    change.database.run(
        Acceptance.insert(principal=user.id, terms=terms_id, **columns).on_conflict(
            conflict_target=[Acceptance.principal, Acceptance.terms], update=columns
        )
    )
    after = {"name": document.name, "address": address}
    change.record("terms.accept", f"terms:{terms_id} user:{user.email}", after=after)
    public = (m.Dataset.own_terms_id == terms_id) & (m.Dataset.access == "public")
    subject = principal_subject(user)
    withdrawn = withdrawals.list_datasets(change.database, user.id)
    for dataset in change.database.objects(m.Dataset.select().where(public)):
        if dataset.name not in withdrawn:
            _give_view(change, dataset.name, subject)
    return True


def _give_view(change: Change, dataset: str, subject: Subject) -> None:
    # Nobody can accept again while the acceptance counts, so a grant of one version, one that expires, and one that
    # rests on a delegate's grants are not enough.
    for row in grants.list_grants(change.database, dataset=dataset, subject=subject, by_operators=True):
        lasting = row["expires"] is None or row["expires"] > change.at
        if row["permission"] == levels.VIEW and row["version"] is None and lasting:
            return
    grants.add(change, subject, Target(dataset, levels.VIEW), for_ever=True, source="self-service")


@dataclass(frozen=True, slots=True)
class ImportedAcceptance:
    """An acceptance from another system; ``address`` is the network address that it came from."""

    terms_id: int
    principal_id: int
    email: str
    at: datetime
    address: str | None


def import_acceptances(change: Change, acceptances: Iterable[ImportedAcceptance]) -> int:
    """Import acceptances, at most a few thousand in one call. Existing ones are left unchanged.

    Returns:
        How many are new.
    """
    by_terms: dict[int, dict[int, ImportedAcceptance]] = {}
    for acceptance in acceptances:
        by_terms.setdefault(acceptance.terms_id, {}).setdefault(acceptance.principal_id, acceptance)
    new: list[ImportedAcceptance] = []
    for terms_id, by_principal in by_terms.items():
        query = Acceptance.select(Acceptance.principal).where(
            Acceptance.terms == terms_id, Acceptance.principal.in_(list(by_principal))
        )
        existing = {principal_id for (principal_id,) in change.database.tuples(query)}
        new += [acceptance for principal_id, acceptance in by_principal.items() if principal_id not in existing]
    rows = [
        {
            "principal": acceptance.principal_id,
            "terms": acceptance.terms_id,
            "accepted": acceptance.at,
            "address": acceptance.address,
            "recorded_by": f"user:{acceptance.email}",
        }
        for acceptance in new
    ]
    change.database.insert_many(Acceptance, rows)
    for acceptance in new:
        after = {"accepted": acceptance.at, "address": acceptance.address}
        change.record("terms.accept", f"terms:{acceptance.terms_id} user:{acceptance.email}", after=after)
    return len(new)


class PendingRow(TypedDict):
    """A person, a dataset on which they have a permission, and terms that withhold it.

    Attributes:
        terms: the id of the terms; ``name``: their name.
        service: the service that they are for; None for the dataset's own terms.
    """

    user: str
    dataset: str
    terms: int
    name: str
    service: str | None


def list_pending(
    database: Database,
    at: datetime,
    *,
    email: str | None = None,
    dataset: str | None = None,
    delegate: Delegate | None = None,
) -> Iterator[PendingRow]:
    """For everybody who has a permission: the terms that withhold it, those of datasets and those of services.

    All of it is read in one state of the database.

    Args:
        email: only the terms of this person.
        dataset: only the terms of this dataset.
        delegate: only people whose access to the dataset they may see; None for an operator.

    Raises:
        NotFound: there is no such user or dataset.
    """
    rows = _read_pending(database, at, email, dataset)
    if delegate is not None:
        rows = (row for row in rows if delegate.oversees(row["dataset"], row["user"]))
    return start_reading(rows)


def _read_pending(database: Database, at: datetime, email: str | None, dataset: str | None) -> Iterator[PendingRow]:
    with database.snapshot():
        principal_id = users.find(database, email).id if email is not None else None
        if dataset is not None:
            names = [datasets.find(database, dataset).name]
        else:
            names = [row["name"] for row in dataset_list.list_datasets(database)]
        all_services = [None, *(row["name"] for row in services.list_services(database))]
        for name in names:
            reported: set[tuple[int, int]] = set()
            for service in all_services:
                if not snapshots.has_terms(database, name, service=service):
                    continue  # saves reading all holders
                for holder_id, pending in _list_missing(database, name, service, at):
                    if principal_id not in (None, holder_id) or (holder_id, pending["terms"]) in reported:
                        continue
                    reported.add((holder_id, pending["terms"]))
                    yield pending


def _list_missing(
    database: Database, dataset: str, service: str | None, at: datetime
) -> Iterator[tuple[int, PendingRow]]:
    """The id of each enabled holder of a permission on a dataset, with each of the missing terms."""
    for snapshot in snapshots.read_dataset_holders(database, dataset, service=service):
        for_services = {grant.service for grant in snapshot.service_grants if grant.is_active(at)}
        has_some = dataset in access.granted_permissions(snapshot, at) or (
            service in for_services if service is not None else bool(for_services)
        )
        if not snapshot.active or not has_some:
            continue
        for missing in access.missing_terms(snapshot, snapshot.datasets[dataset], at):
            yield (
                snapshot.id,
                {
                    "user": snapshot.label,
                    "dataset": dataset,
                    "terms": missing.id,
                    "name": missing.name,
                    "service": missing.service,
                },
            )
