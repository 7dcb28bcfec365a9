"""Grants: a permission on a dataset, for a user, a group or a service account."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from dsgctl.core import datasets, delegation_support, services, withdrawals
from dsgctl.core.change import Authorizer, Change
from dsgctl.core.delegation_support import Reach
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.core.grant_insertion import NewGrant, Source, check_permission, insert
from dsgctl.core.grant_targets import Subject, Target, belongs_to, list_principal_ids, resolve
from dsgctl.core.rules import levels
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Grant
from dsgctl.store.queries import JOIN


@dataclass(frozen=True, slots=True)
class AddedGrant:
    """The result of `add`: whether anything changed, and the resulting end of the grant; None for never."""

    changed: bool
    expires: datetime | None


def add(
    change: Change,
    subject: Subject,
    target: Target,
    *,
    expires: datetime | None = None,
    for_ever: bool = False,
    source: Source = "manual",
) -> AddedGrant:
    """Give a grant, or change the end of an existing one.

    What a delegate gives ends no later than what they hold. A grant of a delegate becomes an operator's if an operator
    gives it again, and another delegate's if that one gives it again for longer.

    Args:
        expires: the first moment at which it no longer counts; None for never.
        for_ever: whether an existing grant with an end may lose it.

    Raises:
        Conflict: there is one that will end, and neither another end nor ``for_ever`` was given.
        Invalid: the permission has not the form of one.
        NotAllowed: the delegate may not give it.
        NotFound: there is no such dataset, version, scoping group or service.
    """
    end = _earlier(expires, _authorize(change, subject, target))
    check_permission(change.database, target.permission)
    place = resolve(change.database, target)
    grant = place.find(change.database, subject)
    if grant is None:
        insert(change, place, [NewGrant(subject, end, source, change.actor, change.at, change.giver_id)])
        return AddedGrant(True, end)
    giver = change.giver_id
    adopted = giver is None and grant.delegate_id is not None
    if grant.expires == end and not adopted:
        return AddedGrant(False, end)
    if giver is not None and _last_moment(end) < _last_moment(grant.expires) <= _last_moment(expires):
        return AddedGrant(False, grant.expires)  # only what the delegate holds would make it shorter
    if expires is None and grant.expires is not None and grant.expires > change.at and not for_ever:
        raise Conflict(
            f"{subject.label} has {target} until {grant.expires:%Y-%m-%d %H:%M UTC}",
            "use --expires with another end, or --expires never",
        )
    columns: dict[str, str | int | datetime | None] = {"expires": end}
    if adopted or _last_moment(end) > _last_moment(grant.expires):
        # This gives it again, also to people who have joined the group since.
        columns |= {"delegate_id": giver, "granted_by": change.actor, "created": change.at}
    change.database.run(Grant.update(columns).where(Grant.id == grant.id))
    if source != "self-service" and place.is_whole:
        withdrawals.end(change, list_principal_ids([subject]), place.dataset)
    before, after = {**place.state, "expires": grant.expires}, {**place.state, "expires": end}
    if adopted:
        before, after = {**before, "granted_by": grant.granted_by}, {**after, "granted_by": change.actor}
    change.record("grant.set", place.label(subject), before, after)
    return AddedGrant(True, end)


def add_all(
    change: Change,
    subjects: Sequence[Subject],
    target: Target,
    *,
    expires: datetime | None = None,
    source: Source = "manual",
) -> None:
    """Give the same grant to many subjects who have none yet, or have it only from a delegate.

    Raises:
        Invalid, NotAllowed, NotFound: as `add`.
    """
    grants = [
        NewGrant(
            subject,
            _earlier(expires, _authorize(change, subject, target)),
            source,
            change.actor,
            change.at,
            change.giver_id,
        )
        for subject in subjects
    ]
    insert(change, resolve(change.database, target), grants)


def _last_moment(expires: datetime | None) -> datetime:
    return expires or delegation_support.NEVER


def _earlier(expires: datetime | None, latest: datetime) -> datetime | None:
    """The requested end of a grant, but no later than ``latest``."""
    return expires if _last_moment(expires) <= latest else latest


def _authorize(change: Change, subject: Subject | None, target: Target) -> datetime:
    """Check that the delegate may give and revoke this grant.

    This is done before anything is looked up, so that a refusal reveals nothing about the database.

    Args:
        subject: None if it does not exist.

    Returns:
        The latest end that they may give.

    Raises:
        NotAllowed: they may not.
    """
    if change.delegate is None:
        return delegation_support.NEVER
    ids = (subject.principal_id, subject.group_id) if subject is not None else (None, None)
    return change.delegate.require_grant(
        target.dataset, Reach(target.permission, target.version, target.service), target.scope, ids
    )


def find_subject(change: Change, target: Target, find: Callable[[], Subject]) -> Subject:
    """Look up the subject of a grant for a person who may give and revoke the grant.

    Raises:
        NotAllowed: they may not; whether the subject exists is not revealed.
        NotFound: there is no such subject.
    """
    try:
        return find()
    except NotFound:
        _authorize(change, None, target)
        raise


# Revoking


def revoke(change: Change, subject: Subject, target: Target) -> None:
    """Revoke a grant; the next request of those who had it is answered without it.

    A person's ``view`` on a public dataset does not come back when they accept other terms (withdrawals.py).

    Raises:
        NotAllowed: the delegate may not revoke it.
        NotFound: there is no such grant, dataset, version, scoping group or service.
    """
    _authorize(change, subject, target)
    place = resolve(change.database, target)
    grant = place.find(change.database, subject)
    if grant is None:
        raise NotFound(
            f"{subject.label} has no such grant: {target}",
            _hint_of_others(change, subject, target),
        )
    change.database.run(Grant.delete().where(Grant.id == grant.id))
    before = {**place.state, "granted_by": grant.granted_by, "source": grant.source}
    if grant.expires:
        before["expires"] = grant.expires
    if subject.principal_id is not None and target.permission == levels.VIEW and place.is_whole:
        withdrawals.add(change, subject.principal_id, place.dataset)
    change.record("grant.revoke", place.label(subject), before)


def _hint_of_others(change: Change, subject: Subject, target: Target) -> str:
    """The subject's other grants on the dataset, as arguments of ``grant revoke``."""
    others = [
        row["permission"]
        + (f" --version {row['version']}" if row["version"] else "")
        + (f" --scope {row['scope']}" if row["scope"] else "")
        + (f" --service {row['service']}" if row["service"] else "")
        for row in list_grants(change.database, dataset=target.dataset, subject=subject)
        if change.delegate is None or change.delegate.may_see(row)
    ]
    return f"there is: {', '.join(others)}" if others else f"dsgctl grant list --dataset {target.dataset}"


# Listing


class GrantRow(TypedDict):
    """A row of `list_grants`. One of ``user``, ``service_account`` and ``group`` is set."""

    id: int
    dataset: str
    version: str | None
    permission: str
    user: str | None
    service_account: str | None
    group: str | None
    scope: str | None
    expires: datetime | None
    granted_by: str
    source: Source
    created: datetime
    service: str | None


def list_grants(
    database: Database,
    *,
    dataset: str | None = None,
    subject: Subject | None = None,
    service: str | None = None,
    expiring_before: datetime | None = None,
    by_operators: bool = False,
    delegate: Authorizer | None = None,
) -> Iterator[GrantRow]:
    """Grants as they were given, by dataset and id. A grant of a group is the group's, not its members'.

    Args:
        service: only those for this service alone.
        expiring_before: only those that end before then, or have ended.
        by_operators: only those that nobody gave with ``--as``.
        delegate: only those that they may see; None for an operator.

    Raises:
        NotFound: there is no such dataset or service.
    """
    scope = m.Group.alias("scope")
    query = (
        Grant.select(
            Grant.id,
            m.Dataset.name.alias("dataset"),
            m.Version.name.alias("version"),
            Grant.permission,
            m.Principal.email.alias("user"),
            m.Principal.slug.alias("service_account"),
            m.Group.name.alias("group"),
            scope.name.alias("scope"),
            Grant.expires,
            Grant.granted_by,
            Grant.source,
            Grant.created,
            m.Service.name.alias("service"),
        )
        .join_from(Grant, m.Dataset)
        .join_from(Grant, m.Version, JOIN.LEFT_OUTER)
        .join_from(Grant, m.Principal, JOIN.LEFT_OUTER)
        .join_from(Grant, m.Group, JOIN.LEFT_OUTER, on=(Grant.group == m.Group.id))
        .join_from(Grant, scope, JOIN.LEFT_OUTER, on=(Grant.scope_group == scope.id))
        .join_from(Grant, m.Service, JOIN.LEFT_OUTER)
        .order_by(m.Dataset.name, Grant.id)
    )
    if dataset is not None:
        query = query.where(Grant.dataset == datasets.find(database, dataset).id)
    if subject is not None:
        query = query.where(belongs_to([subject]))
    if service is not None:
        query = query.where(Grant.service == services.find(database, service).id)
    if expiring_before is not None:
        query = query.where(Grant.expires < expiring_before)
    if by_operators:
        query = query.where(Grant.delegate_id.is_null())
    rows = database.rows(query, GrantRow)
    return rows if delegate is None else filter(delegate.may_see, rows)
