"""Reads terms, who accepted them, and grants."""

import ipaddress
from collections.abc import Iterator, Set
from dataclasses import replace

from dsgctl.core import datasets, locations, terms, validation, versions
from dsgctl.core.acceptances import ImportedAcceptance
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_insertion import Source as GrantSource
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun, no_place
from dsgctl.importers.engine.record_importer import Rows, Step
from dsgctl.importers.engine.records import OwnTerms, Record, Terms
from dsgctl.importers.engine.row import Damaged, Row
from dsgctl.wording import format_count

_SOURCES: dict[str, GrantSource] = {"manual": "manual", "self_service": "self-service"}


def read_terms(run: DatasetGatewayRun) -> Iterator[Step]:
    """With their ids; and which are a dataset's own."""
    new: set[int] = set()

    def read_document(row: Row) -> Iterator[Record]:
        document = Terms(
            row.id,
            row.title("name", "name for terms"),
            row.paragraph("text"),
            row.moment("effective_date"),
            row.moment_or_none("retired_date"),
            row.text("invite_token"),
            compared=("name", "text", "effective", "retired"),
        )
        is_new = terms.find_by_id(run.change.database, row.id) is None
        yield _resolve_subject(run, row, document) if is_new else document
        run.terms[row.id] = row.id
        if is_new:
            new.add(row.id)

    def read_own_terms(row: Row) -> Iterator[Record]:
        if row.id in run.datasets:
            yield OwnTerms(run.datasets[row.id], row.values["tos_id"], is_new=row.values["tos_id"] in new)

    yield Rows("tos_document", read_document, checked=True)
    yield Rows(run.source.rows("dataset"), read_own_terms)


def _resolve_subject(run: DatasetGatewayRun, row: Row, document: Terms) -> Terms:
    """The same terms with the dataset, version and service here that they are of."""
    database = run.change.database
    version = run.version(row) if row.values["dataset_version_id"] is not None else None
    of_dataset = row if row.values["dataset_id"] is not None else version  # here a version is of a dataset
    if of_dataset is not None:
        dataset = datasets.find(database, run.dataset(of_dataset))
        name = run.version_name(row, of_dataset.number("dataset_id"))
        version_id = versions.find(database, dataset, name).id if name is not None else None
        document = replace(document, dataset_id=dataset.id, version_id=version_id)
    elif row.values["service_id"] is not None:
        run.note(f"terms {row.id} of a service but of no dataset: imported, but they withhold nothing")
    if service := run.service(row):
        document = replace(document, service_id=service.id)
    return document


def read_acceptances(run: DatasetGatewayRun) -> Iterator[Step]:
    def read_acceptance(row: Row) -> Iterator[Record]:
        user, address = run.user(row), row.text_or_none("ip_address")
        if address is not None:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise Damaged(f"{validation.quote(address)} is not a network address") from None
        document = run.resolve(row, "tos_document_id", "tos_document", run.terms)
        yield ImportedAcceptance(document, user.id, user.email, row.moment("accepted_at"), address)

    yield Rows("tos_acceptance", read_acceptance, counts="acceptances")


def read_grants(run: DatasetGatewayRun) -> Iterator[Step]:
    """To users, groups and service accounts. A grant that the source has twice is one here."""
    change = run.change
    buckets_of: dict[int, set[str]] = {}  # id of a grant -> the buckets that it is limited to

    def read_permission(row: Row) -> None:
        run.permissions[row.id] = row.name("name", "permission")

    def read_bucket(row: Row) -> None:
        # First the set: also if its bucket is left out, the grant is limited.
        buckets = buckets_of.setdefault(row.number("grant_id"), set())
        buckets.add(run.resolve(row, "datasetbucket_id", "dataset_bucket", run.buckets))

    def read_target(row: Row, scope: str | None = None) -> Target:
        dataset, service = run.dataset(row), run.service(row)
        permission = run.resolve(row, "permission_id", "permission", run.permissions)
        version = run.version_name(row, row.number("dataset_id"))
        return Target(dataset, permission, version, scope, service.name if service else None)

    def read_giver(row: Row) -> str:
        return run.actor(row.values["granted_by_id"]) or change.actor

    def read_user_grant(row: Row) -> Iterator[Record]:
        subject = principal_subject(run.user(row))
        source = _SOURCES.get(row.text("source"), "import")
        target = read_target(row, run.group(row) if row.values["group_id"] is not None else None)
        buckets = buckets_of.get(row.id)
        if buckets is not None and not _is_whole(run, target, buckets):
            raise no_place(f"the grant reaches {format_count(len(buckets), 'bucket')} alone")
        yield ImportedGrant(subject, target, source, read_giver(row), row.moment("created"))

    def read_group_grant(row: Row) -> Iterator[Record]:
        subject = group_subject(change.database, run.group(row))
        yield ImportedGrant(subject, read_target(row), "import", change.actor, change.at)

    def read_dataset_admin(row: Row) -> Iterator[Record]:
        """That server's own migration made the same grants."""
        subject = principal_subject(run.user(row))
        yield ImportedGrant(subject, Target(run.dataset(row), "admin"), "manual", change.actor, change.at)

    def read_account_grant(row: Row) -> Iterator[Record]:
        subject = principal_subject(run.service_account(row))
        yield ImportedGrant(subject, read_target(row), "manual", read_giver(row), row.moment("created"))

    yield Rows("permission", read_permission)
    yield Rows("grant_buckets", read_bucket)
    yield Rows("grant", read_user_grant, counts="grants")
    yield Rows("group_dataset_permission", read_group_grant, counts="grants")
    yield Rows("dataset_admin", read_dataset_admin, counts="grants")
    yield Rows("service_account_grant", read_account_grant, counts="grants")


def _is_whole(run: DatasetGatewayRun, target: Target, buckets: Set[str]) -> bool:
    """Whether these are all the buckets that a grant with this target reaches here.

    Then the grant means the same without them. Otherwise it would reach more here than there.
    """
    reached = {
        row["location"].removeprefix("gs://").partition("/")[0]
        for row in locations.list_locations(run.change.database, target.dataset)
        if target.version in (None, row["version"])
    }
    return bool(reached) and reached <= buckets
