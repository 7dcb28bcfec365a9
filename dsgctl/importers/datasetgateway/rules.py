"""Takes over terms, who accepted them, and grants."""

import ipaddress

from dsgctl.core import datasets, grants, names, terms
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.grants import Source as GrantSource
from dsgctl.core.grants import Subject, Target
from dsgctl.importers.datasetgateway.source import Row
from dsgctl.importers.datasetgateway.taking import Taking, of

_SOURCES: dict[str, GrantSource] = {"manual": "manual", "self_service": "self-service"}


def take_terms(taking: Taking) -> None:
    """With their ids; and which are a dataset's own."""
    change = taking.change
    new: set[int] = set()

    def take(row: Row) -> None:
        known = terms.by_id(change.database, row.id)
        name, text, invite = row.line("name"), row.paragraph("text"), row.text("invite_token")
        dates = {"effective": row.moment("effective_date"), "retired": row.moment_or_none("retired_date")}
        if known is not None and known.invite_token != invite:
            raise Conflict(
                f"the terms of id {row.id} are {names.shown(name)} there, but here {names.shown(known.name)}",
                "import into an empty database",
            )
        taking.count("terms", known is None)
        if known is not None:
            there = {"name": name, "text": text, **dates}
            taking.compare(f"terms {row.id}", {key: getattr(known, key) for key in there}, there)
            return
        if terms.by_invite(change.database, invite):
            raise Conflict("its invite_token is that of other terms here", "import into an empty database")
        dataset_id, version_id, service_id = (
            row.values[key] for key in ("dataset_id", "dataset_version_id", "service_id")
        )
        if version_id is not None and dataset_id is None:
            dataset_id = of(taking.versions, version_id).number("dataset_id")  # here a version is of a dataset
        version = None
        if dataset_id is not None:
            dataset = datasets.find(change.database, of(taking.datasets, dataset_id))
            called = taking.version(version_id, dataset_id)
            version = datasets.find_version(change.database, dataset, called).id if called is not None else None
        elif service_id is not None:
            taking.report.skipped.append(f"terms {row.id} of a service but of no dataset: kept, but hold nothing back")
        terms.keep(
            change,
            id=row.id, name=name, text=text, dataset=dataset_id, version=version,
            service=of(taking.services, service_id) if service_id is not None else None,
            invite_token=invite, **dates,
        )  # fmt: skip
        new.add(row.id)

    def own(row: Row) -> None:
        dataset = datasets.find(change.database, of(taking.datasets, row.id))
        if row.values["tos_id"] in new:
            terms.keep_own(change, dataset, row.number("tos_id"))
        else:
            here = {"own_terms": dataset.own_terms_id}
            taking.compare(f"dataset {dataset.name}", here, {"own_terms": row.values["tos_id"]})

    taking.each("tos_document", take)
    for row in taking.source.rows("dataset"):
        taking.attempt(row, own)
    taking.each("tos_acceptance", lambda row: _take_acceptance(taking, row))


def _take_acceptance(taking: Taking, row: Row) -> None:
    user, address, document = (
        of(taking.users, row.number("user_id")),
        row.text_or_none("ip_address"),
        row.number("tos_document_id"),
    )
    if address is not None:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise Invalid(f"{names.shown(address)} is not a network address", "mend it there first") from None
    if terms.by_id(taking.change.database, document) is None:
        return  # they could not be taken over, of which is told already
    is_new = terms.keep_acceptance(
        taking.change, document, user, accepted=row.moment("accepted_at"), address=address,
        recorded_by=f"user:{user.email}",
    )  # fmt: skip
    taking.count("acceptances", is_new)


def take_grants(taking: Taking) -> None:
    """To people, groups and service accounts. One that stands there twice is one here."""

    def take_permission(row: Row) -> None:
        taking.permissions[row.id] = names.permission(row.text("name"))

    def target(row: Row) -> Target:
        """Not every one of the three tables knows versions and scoping groups."""
        dataset_id, scope = row.number("dataset_id"), row.values.get("group_id") if row.table == "grant" else None
        return Target(
            of(taking.datasets, dataset_id),
            of(taking.permissions, row.number("permission_id")),
            taking.version(row.values.get("dataset_version_id"), dataset_id),
            of(taking.groups, scope) if scope is not None else None,
        )

    def to_user(row: Row) -> None:
        subject = grants.principal_subject(of(taking.users, row.number("user_id")))
        _give(taking, row, subject, target(row), _SOURCES.get(row.text("source"), "import"))

    def to_group(row: Row) -> None:
        group = of(taking.groups, row.number("group_id"))
        _give(taking, row, grants.group_subject(taking.change.database, group), target(row), "import")

    def to_account(row: Row) -> None:
        subject = grants.principal_subject(of(taking.accounts, row.number("service_account_id")))
        _give(taking, row, subject, target(row), "manual")

    taking.each("permission", take_permission)
    taking.each("grant", to_user)
    taking.each("group_dataset_permission", to_group)
    taking.each("service_account_grant", to_account)


def _give(taking: Taking, row: Row, subject: Subject, target: Target, source: GrantSource) -> None:
    new = not grants.exists(taking.change.database, subject, target)
    if new:
        grants.add_all(
            taking.change, [subject], target, source=source,
            granted_by=taking.actor(row.values.get("granted_by_id")),
            created=row.moment("created") if "created" in row.values else None,
        )  # fmt: skip
    taking.count("grants", new)
