"""Takes over terms, who accepted them, and grants."""

import ipaddress
from collections import Counter

from dsgctl.core import acceptances, datasets, grant_import, terms, validation, versions
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_insertion import Source as GrantSource
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun, no_place, start_run
from dsgctl.importers.engine.row import Damaged, Row

_SOURCES: dict[str, GrantSource] = {"manual": "manual", "self_service": "self-service"}


def import_terms(taking: DatasetGatewayRun) -> None:
    """With their ids; and which are a dataset's own."""
    change = taking.change
    new: set[int] = set()

    def take(row: Row) -> None:
        known = terms.by_id(change.database, row.id)
        name, text, invite = row.title("name", "name for terms"), row.paragraph("text"), row.text("invite_token")
        dates = {"effective": row.moment("effective_date"), "retired": row.moment_or_none("retired_date")}
        taking.count("terms", known is None)
        if known is not None:
            taking.terms[row.id] = row.id
            there = {"name": name, "text": text, **dates}
            taking.compare(f"terms {row.id}", {key: getattr(known, key) for key in there}, there)
            return
        dataset_id, version_id, service_id = (
            row.values[key] for key in ("dataset_id", "dataset_version_id", "service_id")
        )
        if version_id is not None and dataset_id is None:
            dataset_id = start_run(taking.versions, version_id).number("dataset_id")  # here a version is of a dataset
        version = None
        if dataset_id is not None:
            dataset = datasets.find(change.database, start_run(taking.datasets, dataset_id))
            called = taking.version(version_id, dataset_id)
            version = versions.find(change.database, dataset, called).id if called is not None else None
        elif service_id is not None:
            taking.note(f"terms {row.id} of a service but of no dataset: kept, but hold nothing back")
        terms.import_terms(
            change,
            id=row.id,
            name=name,
            text=text,
            dataset=dataset_id,
            version=version,
            service=start_run(taking.services, service_id) if service_id is not None else None,
            invite_token=invite,
            **dates,
        )
        new.add(row.id)
        taking.terms[row.id] = row.id

    def own(row: Row) -> None:
        if row.id not in taking.datasets:
            return
        dataset = datasets.find(change.database, taking.datasets[row.id])
        if row.values["tos_id"] in new:
            terms.import_own_terms(change, dataset, row.number("tos_id"))
        else:
            here = {"own_terms": dataset.own_terms_id}
            taking.compare(f"dataset {dataset.name}", here, {"own_terms": row.values["tos_id"]})

    taking.each_checked("tos_document", take)
    for row in taking.source.rows("dataset"):
        taking.attempt(row, own)


def import_acceptances(taking: DatasetGatewayRun) -> None:
    def keep(accepted: list[acceptances.ImportedAcceptance]) -> None:
        taking.report.counts(
            "acceptances", new=acceptances.import_acceptances(taking.change, accepted), of=len(accepted)
        )

    taking.batches("tos_acceptance", lambda row: _read_acceptance(taking, row), keep)


def _read_acceptance(taking: DatasetGatewayRun, row: Row) -> acceptances.ImportedAcceptance:
    user, address = start_run(taking.users, row.number("user_id")), row.text_or_none("ip_address")
    if address is not None:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise Damaged(f"{validation.quoted(address)} is not a network address") from None
    document = start_run(taking.terms, row.number("tos_document_id"))
    return acceptances.ImportedAcceptance(document, user.id, user.email, row.moment("accepted_at"), address)


def import_grants(taking: DatasetGatewayRun) -> None:
    """To people, groups and service accounts. One that stands there twice is one here."""
    change = taking.change

    def take_permission(row: Row) -> None:
        taking.permissions[row.id] = row.name("name", "permission")

    only: Counter[int] = Counter()  # grant -> the buckets that it reaches, where it does not reach all

    def note_bucket(row: Row) -> None:
        only[row.number("grant_id")] += 1

    def target(row: Row, *, scope: int | None = None) -> Target:
        """Not every one of the three tables knows versions."""
        if (service := row.number_or_none("service_id")) is not None:
            raise no_place(f"the grant counts for service row {service} alone")
        dataset_id = row.number("dataset_id")
        return Target(
            start_run(taking.datasets, dataset_id),
            start_run(taking.permissions, row.number("permission_id")),
            taking.version(row.values.get("dataset_version_id"), dataset_id),
            start_run(taking.groups, scope) if scope is not None else None,
        )

    def given(row: Row) -> str:
        return taking.actor(row.values["granted_by_id"]) or change.actor

    def to_user(row: Row) -> ImportedGrant:
        if row.id in only:
            buckets = "bucket" if only[row.id] == 1 else "buckets"
            raise no_place(f"the grant reaches {only[row.id]} {buckets} alone")
        subject = principal_subject(start_run(taking.users, row.number("user_id")))
        source = _SOURCES.get(row.text("source"), "import")
        return ImportedGrant(
            subject, target(row, scope=row.values["group_id"]), source, given(row), row.moment("created")
        )

    def to_group(row: Row) -> ImportedGrant:
        subject = group_subject(change.database, start_run(taking.groups, row.number("group_id")))
        return ImportedGrant(subject, target(row), "import", change.actor, change.at)

    def to_admin(row: Row) -> ImportedGrant:
        """As that server's own migration made grants of them."""
        subject = principal_subject(start_run(taking.users, row.number("user_id")))
        target = Target(start_run(taking.datasets, row.number("dataset_id")), "admin")
        return ImportedGrant(subject, target, "manual", change.actor, change.at)

    def to_account(row: Row) -> ImportedGrant:
        subject = principal_subject(start_run(taking.accounts, row.number("service_account_id")))
        return ImportedGrant(subject, target(row), "manual", given(row), row.moment("created"))

    def give(kept: list[ImportedGrant]) -> None:
        taking.report.counts("grants", new=grant_import.import_grants(change, kept), of=len(kept))

    taking.each("permission", take_permission)
    taking.each("grant_buckets", note_bucket)
    taking.batches("grant", to_user, give)
    taking.batches("group_dataset_permission", to_group, give)
    taking.batches("dataset_admin", to_admin, give)
    taking.batches("service_account_grant", to_account, give)
