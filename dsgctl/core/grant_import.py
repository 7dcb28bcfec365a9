"""Grants of other systems, which recorded who gave each, and when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dsgctl.core.change import Change
from dsgctl.core.grant_insertion import NewGrant, Source, insert
from dsgctl.core.grant_targets import Subject, Target, belongs_to, resolve
from dsgctl.store import Database
from dsgctl.store.models import Grant


@dataclass(frozen=True, slots=True)
class ImportedGrant:
    """A grant of another system. It has no end."""

    subject: Subject
    target: Target
    source: Source
    granted_by: str
    created: datetime


def import_grants(change: Change, imported: Iterable[ImportedGrant]) -> int:
    """Add grants of another system, at most a few thousand in one call.

    A grant that an operator gave here is left unchanged. One that a delegate gave becomes the import's.

    Returns:
        How many are new.

    Raises:
        NotFound: there is no such dataset, version or scoping group.
        Invalid: a permission has not the form of one.
    """
    by_target: dict[Target, dict[Subject, ImportedGrant]] = {}
    for grant in imported:
        by_target.setdefault(grant.target, {}).setdefault(grant.subject, grant)
    count = 0
    for target, of_subjects in by_target.items():
        place = resolve(change.database, target)
        query = place.select(Grant.principal, Grant.group).where(belongs_to(of_subjects), Grant.delegate_id.is_null())
        existing = set(change.database.tuples(query))
        new = [
            NewGrant(subject, None, grant.source, grant.granted_by, grant.created)
            for subject, grant in of_subjects.items()
            if (subject.principal_id, subject.group_id) not in existing
        ]
        insert(change, place, new)
        count += len(new)
    return count


def list_ends(database: Database, target: Target, principal_ids: Iterable[int]) -> dict[int, datetime | None]:
    """Those of these principals that have exactly this grant from an operator, with its end; at most a few thousand.

    Raises:
        NotFound: there is no such dataset, version or scoping group.
    """
    query = resolve(database, target).select(Grant.principal, Grant.expires)
    return dict(database.tuples(query.where(Grant.principal.in_(list(principal_ids)), Grant.delegate_id.is_null())))
