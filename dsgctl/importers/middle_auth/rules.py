"""Takes over terms, who accepted them, and who may what."""

import secrets

from dsgctl.core import acceptances, grant_import, terms, validation
from dsgctl.core.errors import Conflict
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.importers.engine.row import Row
from dsgctl.importers.middle_auth.import_run import MiddleAuthRun


def import_terms(taking: MiddleAuthRun) -> None:
    """With their ids. There is no date in them there: they count from when they were written."""
    database = taking.change.database

    def take(row: Row) -> None:
        name, text = row.title("name", "name for terms"), row.paragraph("text")
        there = {"name": name, "text": text, "effective": row.moment_or_none("created") or taking.change.at}
        known = terms.by_id(database, row.id)
        if known is None:
            terms.import_terms(
                taking.change,
                id=row.id,
                **there,
                dataset=None,
                version=None,
                service=None,
                retired=None,
                invite_token=secrets.token_urlsafe(32),
            )
        elif known.effective != there["effective"] and known.text != text:
            raise Conflict(
                f"the terms of id {row.id} are {validation.quoted(name)} there, "
                f"but here {validation.quoted(known.name)}",
                "import into an empty database",
            )
        else:
            taking.compare(f"terms {row.id}", {key: getattr(known, key) for key in there}, there)
        taking.terms[row.id] = row.id
        taking.count("terms", known is None)

    taking.each("tos", take)


def import_acceptances(taking: MiddleAuthRun) -> None:
    def accepted(row: Row) -> acceptances.ImportedAcceptance:
        user, document = taking.user(row), taking.named(row, "tos_id", "tos", taking.terms)
        return acceptances.ImportedAcceptance(
            document, user.id, user.email, row.moment_or_none("created") or taking.change.at, None
        )

    def keep(batch: list[acceptances.ImportedAcceptance]) -> None:
        taking.report.counts("acceptances", new=acceptances.import_acceptances(taking.change, batch), of=len(batch))

    taking.batches("user_tos", accepted, keep)


def import_grants(taking: MiddleAuthRun) -> None:
    """What groups may, and as grants of ``admin`` who administers what. One that stands there twice is one here."""
    change = taking.change

    def permission(row: Row) -> None:
        taking.permissions[row.id] = row.name("name", "permission")

    def of_group(row: Row) -> ImportedGrant:
        group = taking.named(row, "group_id", "group", taking.groups)
        target = Target(taking.dataset(row), taking.named(row, "permission_id", "permission", taking.permissions))
        return ImportedGrant(group_subject(change.database, group), target, "import", change.actor, change.at)

    def of_admin(row: Row) -> ImportedGrant:
        subject = principal_subject(taking.user(row))
        return ImportedGrant(subject, Target(taking.dataset(row), "admin"), "import", change.actor, change.at)

    admins = 0

    def give(kept: list[ImportedGrant]) -> None:
        taking.report.counts("grants", new=grant_import.import_grants(change, kept), of=len(kept))

    def give_admins(kept: list[ImportedGrant]) -> None:
        nonlocal admins
        before = taking.report.added["grants"]
        give(kept)
        admins += taking.report.added["grants"] - before

    taking.each("permission", permission)
    taking.batches("group_dataset_permission", of_group, give)
    taking.batches("dataset_admin", of_admin, give_admins)
    if admins:
        taking.remark(
            f"dataset_admin: {admins} new grants of admin, which, unlike there, bring manage, edit and view"
            " (each is in the plan of a dry run)"
        )
