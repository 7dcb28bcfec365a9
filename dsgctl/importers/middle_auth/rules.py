"""Reads terms, who accepted them, and permissions."""

import secrets
from collections.abc import Iterator

from dsgctl.core import terms, validation
from dsgctl.core.acceptances import ImportedAcceptance
from dsgctl.core.errors import Conflict
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.importers.engine.record_importer import Rows, Step
from dsgctl.importers.engine.records import Record, Terms
from dsgctl.importers.engine.row import Row
from dsgctl.importers.middle_auth.import_run import MiddleAuthRun


def read_terms(run: MiddleAuthRun) -> Iterator[Step]:
    """With their ids. That server has no dates in them: they are in force from when they were written."""

    def read_document(row: Row) -> Iterator[Record]:
        document = Terms(
            row.id,
            row.title("name", "name for terms"),
            row.paragraph("text"),
            row.moment_or_none("created") or run.change.at,
            retired=None,
            invite_token=secrets.token_urlsafe(32),
        )
        existing = terms.find_by_id(run.change.database, row.id)
        if existing and existing.effective != document.effective and existing.text != document.text:
            raise Conflict(
                f"the terms of id {row.id} are {validation.quote(document.name)} there, "
                f"but here {validation.quote(existing.name)}",
                "import into an empty database",
            )
        yield document
        run.terms[row.id] = row.id

    yield Rows("tos", read_document)


def read_acceptances(run: MiddleAuthRun) -> Iterator[Step]:
    def read_acceptance(row: Row) -> Iterator[Record]:
        user, document = run.user(row), run.resolve(row, "tos_id", "tos", run.terms)
        at = row.moment_or_none("created") or run.change.at
        yield ImportedAcceptance(document, user.id, user.email, at, None)

    yield Rows("user_tos", read_acceptance, counts="acceptances")


def read_grants(run: MiddleAuthRun) -> Iterator[Step]:
    """Permissions of groups, and ``admin`` for the administrators of datasets. A grant that the source has twice is one
    here."""
    change = run.change

    def read_permission(row: Row) -> None:
        run.permissions[row.id] = row.name("name", "permission")

    def read_group_grant(row: Row) -> Iterator[Record]:
        subject = group_subject(change.database, run.group(row))
        target = Target(run.dataset(row), run.resolve(row, "permission_id", "permission", run.permissions))
        yield ImportedGrant(subject, target, "import", change.actor, change.at)

    def read_dataset_admin(row: Row) -> Iterator[Record]:
        subject = principal_subject(run.user(row))
        yield ImportedGrant(subject, Target(run.dataset(row), "admin"), "import", change.actor, change.at)

    yield Rows("permission", read_permission)
    yield Rows("group_dataset_permission", read_group_grant, counts="grants")
    before = run.report.added["grants"]
    yield Rows("dataset_admin", read_dataset_admin, counts="grants")
    if admins := run.report.added["grants"] - before:
        run.remark(
            f"dataset_admin: {admins} new grants of admin, which, unlike there, bring manage, edit and view"
            " (each is in the plan of a dry run)"
        )
