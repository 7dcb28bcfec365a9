"""Inserts grants. An existing grant that a delegate gave is changed into the new one, not duplicated."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dsgctl.core import validation, withdrawals
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import ResolvedTarget, Subject, belongs_to, list_principal_ids
from dsgctl.core.rules import levels
from dsgctl.store import Database
from dsgctl.store.models import Grant

Source = Literal["manual", "self-service", "import"]


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A grant to be inserted for a target; ``delegate_id`` is the id of the delegate who gives it."""

    subject: Subject
    expires: datetime | None
    source: Source
    granted_by: str
    created: datetime
    delegate_id: int | None = None


def insert(
    change: Change, place: ResolvedTarget, grants: Sequence[NewGrant], *, new_ids: Set[int] = frozenset()
) -> None:
    """Give grants for one target to subjects who have none yet, or have it only from a delegate.

    Args:
        new_ids: principals that this change has added. They have no grant and no withdrawal, so none is looked up.

    Raises:
        Invalid: the permission has not the form of one.
    """
    check_permission(change.database, place.target.permission)
    former = [grant for grant in grants if grant.subject.principal_id not in new_ids]
    adopted: Set[Subject] = frozenset()
    if former:
        if place.is_whole:
            by_others = [grant.subject for grant in former if grant.source != "self-service"]
            withdrawals.end(change, list_principal_ids(by_others), place.dataset)
        adopted = _adopt(change, place, former)
    new = [grant for grant in grants if grant.subject not in adopted] if adopted else grants
    target_columns = {
        "dataset": place.dataset.id,
        "version": place.version_id,
        "permission": place.target.permission,
        "scope_group": place.scope_id,
        "service": place.service_id,
    }
    change.database.insert_many(
        Grant,
        [
            {
                "principal": grant.subject.principal_id,
                "group": grant.subject.group_id,
                **target_columns,
                **_grant_columns(grant),
            }
            for grant in new
        ],
    )
    state = place.state  # one for all records, so that it is encoded once
    for grant in new:
        after = {**state, "expires": grant.expires} if grant.expires else state
        change.record("grant.add", place.label(grant.subject), after=after)


def _grant_columns(grant: NewGrant) -> dict[str, str | int | datetime | None]:
    return {
        "expires": grant.expires,
        "source": grant.source,
        "granted_by": grant.granted_by,
        "created": grant.created,
        "delegate_id": grant.delegate_id,
    }


def _adopt(change: Change, place: ResolvedTarget, grants: Sequence[NewGrant]) -> set[Subject]:
    """Turn existing grants of delegates into these. Returns the subjects of those grants."""
    condition = belongs_to(grant.subject for grant in grants) & Grant.delegate_id.is_null(False)
    delegated = {
        (row.principal_id, row.group_id): row for row in change.database.objects(place.select(Grant).where(condition))
    }
    adopted = set()
    for grant in grants:
        row = delegated.get((grant.subject.principal_id, grant.subject.group_id))
        if row is None:
            continue
        adopted.add(grant.subject)
        change.database.run(Grant.update(_grant_columns(grant)).where(Grant.id == row.id))
        before, after = (
            {**place.state, "expires": state.expires, "granted_by": state.granted_by} for state in (row, grant)
        )
        change.record("grant.set", place.label(grant.subject), before, after)
    return adopted


def check_permission(database: Database, name: str) -> None:
    """Raises:
    Invalid: no grant has a permission of this name yet, and it has not the form that a new one must have.
    """
    if name in levels.BY_NAME or isinstance(name, validation.Foreign):
        return
    in_use = Grant.select().where(Grant.permission == name)
    if not validation.is_storable(name) or database.first(in_use) is None:
        validation.permission(name)
