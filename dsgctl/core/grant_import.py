"""Grants of other systems, which recorded who gave each, and when."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime

from dsgctl.core.change import Change
from dsgctl.core.grant_insertion import NewGrant, Source, insert
from dsgctl.core.grant_targets import ResolvedTarget, Subject, Target, belongs_to, resolve
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


def import_grants(change: Change, imported: Iterable[ImportedGrant], *, new_ids: Set[int] = frozenset()) -> int:
    """Add grants of another system, at most a few thousand in one call.

    A grant that an operator gave here is left unchanged. One that a delegate gave becomes the import's.

    Args:
        new_ids: principals that this change has added. They have no grant, so none is looked up.

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
        former = [subject for subject in of_subjects if subject.principal_id not in new_ids]
        existing = _find_holders(change.database, place, former) if former else set()
        new = [
            NewGrant(subject, None, grant.source, grant.granted_by, grant.created)
            for subject, grant in of_subjects.items()
            if (subject.principal_id, subject.group_id) not in existing
        ]
        insert(change, place, new, new_ids=new_ids)
        count += len(new)
    return count


def _find_holders(
    database: Database, place: ResolvedTarget, subjects: Iterable[Subject]
) -> set[tuple[int | None, int | None]]:
    """Those of some subjects that have the grant from an operator: the id of the principal, and of the group."""
    query = place.select(Grant.principal, Grant.group).where(belongs_to(subjects), Grant.delegate_id.is_null())
    return set(database.tuples(query))


def list_ends(database: Database, target: Target, principal_ids: Iterable[int]) -> dict[int, datetime | None]:
    """Those of these principals that have exactly this grant from an operator, with its end; at most a few thousand.

    Raises:
        NotFound: there is no such dataset, version or scoping group.
    """
    query = resolve(database, target).select(Grant.principal, Grant.expires)
    return dict(database.tuples(query.where(Grant.principal.in_(list(principal_ids)), Grant.delegate_id.is_null())))
