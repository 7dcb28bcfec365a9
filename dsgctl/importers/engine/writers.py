"""Writes records: each kind in one function, whatever system it comes from.

What exists here is left unchanged. Where it differs, the report says so.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from dsgctl.core import (
    acceptances,
    audit,
    datasets,
    grant_import,
    groups,
    locations,
    principals,
    service_accounts,
    terms,
    tokens,
    versions,
)
from dsgctl.core.acceptances import ImportedAcceptance
from dsgctl.core.errors import Conflict
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.tokens import ImportedToken
from dsgctl.importers.engine import client_writers, service_writers
from dsgctl.importers.engine.import_run import AnyRun
from dsgctl.importers.engine.people import WrittenPeople, write_grants, write_people
from dsgctl.importers.engine.records import (
    Dataset,
    Group,
    Location,
    Membership,
    OwnTerms,
    Person,
    PersonGrant,
    Record,
    ServiceAccount,
    Terms,
    Version,
)
from dsgctl.importers.engine.row import Row
from dsgctl.store.models import Principal

RowRecords = tuple[Row, Sequence[Record]]  # a row, and what was read from it


def write_at_once(run: AnyRun, record: Record) -> bool:
    """Write a record whose kind is written row by row, because others refer to it or it may conflict.

    Returns:
        False for a record that is left to `write_batch`.

    Raises:
        DsgError: it conflicts with what exists here, or cannot be stored; nothing was written.
    """
    write = _WRITERS.get(type(record))
    if write is None:
        return False
    write(run, record)
    return True


def write_batch(run: AnyRun, batch: Sequence[RowRecords]) -> None:
    """Write the other records of a batch of rows, all of one kind together."""
    by_kind: dict[type, list[tuple[Row, Any]]] = {}  # Any: a record of the kind
    for row, records in batch:
        for record in records:
            by_kind.setdefault(type(record), []).append((row, record))
    people = write_people(run, by_kind.pop(Person, []))
    _write_memberships(run, [membership for _, membership in by_kind.pop(Membership, [])], people)
    write_grants(run, by_kind.pop(PersonGrant, []), people)
    for kind, rows in by_kind.items():
        _BATCH_WRITERS[kind](run, [record for _, record in rows])


def _write_group(run: AnyRun, group: Group) -> None:
    run.count("groups", groups.add(run.change, group.name)[1])


def _write_memberships(run: AnyRun, memberships: Sequence[Membership], people: WrittenPeople) -> None:
    by_group: dict[str, dict[int, tuple[Principal, bool | None]]] = {}
    for membership in memberships:
        member = membership.member
        user = people.users.get(member) if isinstance(member, Person) else member
        if user is not None:
            by_group.setdefault(membership.group, {})[user.id] = (user, membership.leads)
    for name, members in by_group.items():
        _write_members(run, name, members, people.new_ids)


def _write_members(
    run: AnyRun, name: str, members: Mapping[int, tuple[Principal, bool | None]], new_ids: Set[int]
) -> None:
    """
    Args:
        members: by id, each with whether they lead the group in the source; None if it has no leads.
        new_ids: users who were just added, and so are in no group.
    """
    group = groups.find(run.change.database, name)
    emails = {number: user.email for number, (user, _) in members.items()}
    former = {number: email for number, email in emails.items() if number not in new_ids}
    existing = groups.confirm_members(run.change, group, former) if former else {}
    run.report.count_many("memberships", new=len(members) - len(existing), of=len(members))
    for leads in (False, True):
        new = [number for number, (_, lead) in members.items() if number not in existing and bool(lead) == leads]
        groups.add_members(run.change, group, new, [emails[number] for number in new], leads=leads)
    for number, leads_here in existing.items():
        user, leads_there = members[number]
        if leads_there is not None:
            run.compare(f"{user.email} in group {name}", {"leads": leads_here}, {"leads": leads_there})


def refuse_other_dataset(run: AnyRun, name: str, dataset_id: int) -> None:
    """Raises:
    Conflict: the name or the id is another dataset's here.
    """
    database = run.change.database
    for existing in (datasets.find_by_name(database, name), datasets.find_by_id(database, dataset_id)):
        if existing and (existing.id != dataset_id or existing.name != name):
            raise Conflict(
                f"dataset {name} has id {dataset_id} there, but here {existing.name} has id {existing.id}",
                "import into an empty database, or remove the dataset here first",
            )


def _write_dataset(run: AnyRun, dataset: Dataset) -> None:
    if dataset.id is not None:
        refuse_other_dataset(run, dataset.name, dataset.id)
    existing = datasets.find_by_name(run.change.database, dataset.name)
    if existing is None:
        datasets.add(
            run.change,
            dataset.name,
            description=dataset.description,
            public=dataset.public,
            imported_id=dataset.id,
        )
    else:
        here = {"description": existing.description, "access": existing.access}
        there = {"description": dataset.description, "access": "public" if dataset.public else "closed"}
        run.compare(f"dataset {dataset.name}", here, {field: there[field] for field in dataset.compared})
    run.count("datasets", existing is None)


def _write_version(run: AnyRun, version: Version) -> None:
    database, position = run.change.database, version.position
    existing = versions.find_by_name(database, datasets.find(database, version.dataset), version.name)
    if existing:
        there = {"public": version.public, "branch": position.branch, "ordinal": position.ordinal}
        here = {field: getattr(existing, field) for field in there}
        run.compare(f"version {version.name} of {version.dataset}", here, there)
    else:
        versions.add(
            run.change,
            version.dataset,
            version.name,
            public=version.public,
            position=position,
            imported_id=version.id,
        )
    run.count("versions", existing is None)


def _write_location(run: AnyRun, location: Location) -> None:
    new = locations.add(run.change, location.dataset, location.url, version=location.version, any_prefix=True)
    run.count("locations", new)


def _write_terms(run: AnyRun, record: Terms) -> None:
    existing = terms.find_by_id(run.change.database, record.id)
    if existing is None:
        terms.import_terms(
            run.change,
            id=record.id,
            name=record.name,
            text=record.text,
            effective=record.effective,
            retired=record.retired,
            dataset=record.dataset_id,
            version=record.version_id,
            service=record.service_id,
            invite_token=record.invite_token,
        )
    else:
        here, there = ({field: getattr(terms_, field) for field in record.compared} for terms_ in (existing, record))
        run.compare(f"terms {record.id}", here, there)
    run.count("terms", existing is None)


def _write_own_terms(run: AnyRun, own: OwnTerms) -> None:
    dataset = datasets.find(run.change.database, own.dataset)
    if own.is_new and own.terms_id is not None:
        terms.import_own_terms(run.change, dataset, own.terms_id)
    else:
        run.compare(f"dataset {own.dataset}", {"own_terms": dataset.own_terms_id}, {"own_terms": own.terms_id})


def _write_service_account(run: AnyRun, account: ServiceAccount) -> None:
    there = {"description": account.description, "active": account.active}
    existing = principals.find_by_slug(run.change.database, account.slug)
    if existing:
        run.compare(f"service account {existing.slug}", {key: getattr(existing, key) for key in there}, there)
    else:
        service_accounts.add(
            run.change,
            account.slug,
            description=account.description,
            active=account.active,
            created=account.created,
            created_by=account.created_by,
        )
    run.count("service accounts", existing is None)


def _write_grants(run: AnyRun, grants: Sequence[ImportedGrant]) -> None:
    run.report.count_many("grants", new=grant_import.import_grants(run.change, grants), of=len(grants))


def _write_acceptances(run: AnyRun, accepted: Sequence[ImportedAcceptance]) -> None:
    run.report.count_many("acceptances", new=acceptances.import_acceptances(run.change, accepted), of=len(accepted))


def _write_tokens(run: AnyRun, imported: Sequence[ImportedToken]) -> None:
    run.report.count_many("tokens", new=tokens.import_tokens(run.change, imported), of=len(imported))


def _write_audit_records(run: AnyRun, records: Sequence[audit.Record]) -> None:
    """A record that was imported before is recognized by ``imported_from``."""
    by_origin = {record.imported_from or "": record for record in records}
    existing = audit.find_imported(run.change.database, list(by_origin))
    new = [record for origin, record in by_origin.items() if origin not in existing]
    for record in new:
        run.change.add_record(record)
    run.report.count_many("audit records", new=len(new), of=len(by_origin))


_WRITERS: dict[type, Callable[[AnyRun, Any], None]] = {  # Any: each takes the records of its key
    **service_writers.WRITERS,
    **client_writers.WRITERS,
    Group: _write_group,
    Dataset: _write_dataset,
    Version: _write_version,
    Location: _write_location,
    Terms: _write_terms,
    OwnTerms: _write_own_terms,
    ServiceAccount: _write_service_account,
}
_BATCH_WRITERS: dict[type, Callable[[AnyRun, Any], None]] = {
    **service_writers.BATCH_WRITERS,
    ImportedGrant: _write_grants,
    ImportedAcceptance: _write_acceptances,
    ImportedToken: _write_tokens,
    audit.Record: _write_audit_records,
}
