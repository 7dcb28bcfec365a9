"""Grants: a permission on a dataset, to a user, a group or a service account."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from dsgctl.core import datasets, delegated_grants, groups, service_accounts, validation, versions
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.rules import levels
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Grant
from dsgctl.store.queries import JOIN

Source = Literal["manual", "self-service", "import"]
TargetIds = tuple[int, int | None, int | None]  # the ids of a target: dataset, version, scoping group


@dataclass(frozen=True, slots=True)
class Subject:
    """To whom a grant is given: a principal (``principal_id``) or a group (``group_id``)."""

    label: str  # as audit records name it
    principal_id: int | None = None
    group_id: int | None = None


def group_subject(database: Database, name: str) -> Subject:
    """The subject that is this group."""
    return Subject(f"group:{name}", group_id=groups.find(database, name).id)


def principal_subject(principal: m.Principal) -> Subject:
    """The subject that is this user or service account."""
    return Subject(service_accounts.format_label(principal), principal_id=principal.id)


@dataclass(frozen=True, slots=True)
class Target:
    """What a grant is given on, by names: the words of ``grant add`` and ``grant revoke``."""

    dataset: str
    permission: str
    version: str | None = None
    scope: str | None = None


def require_level(text: str) -> str:
    """The name of a level: what a person may grant. Imports may bring others."""
    if text not in levels.BY_NAME:
        raise Invalid(
            f"{validation.quoted(text)} is not a permission", f"the permissions are {levels.enumerate_names('and')}"
        )
    return text


def add(
    change: Change,
    subject: Subject,
    target: Target,
    *,
    expires: datetime | None = None,
    for_ever: bool = False,
    source: Source = "manual",
) -> bool:
    """Give a grant, or change when an existing one ends. Returns whether anything changed.

    Args:
        expires: the first moment at which it no longer counts; None for never.
        for_ever: a grant that ends may become one that does not.

    What a delegate gives ends, at the latest, with what they hold. What an operator gives again is the operator's
    from then on, and so is what another delegate gives again for longer that delegate's.

    Raises:
        Conflict: there is one that will end, and no other end was said: it is not made endless by the way.
    """
    end = _ends(expires, _authorize(change, subject, target))
    _check_permission(change.database, target.permission)
    found = _resolve(change.database, target)
    known = _find_existing(change.database, subject, target.permission, found)
    if known is None:
        add_all(change, [subject], target, expires=end, source=source)
        return True
    giver = change.giver_id
    adopted = giver is None and known.delegate_id is not None
    if known.expires == end and not adopted:
        return False
    if giver is not None and _lasts(end) < _lasts(known.expires) <= _lasts(expires):
        return False  # it would be shorter only because what the delegate holds is
    if expires is None and known.expires is not None and known.expires > change.at and not for_ever:
        raise Conflict(
            f"{subject.label} has {target.permission} on {target.dataset} until {known.expires:%Y-%m-%d %H:%M UTC}",
            "say --expires with another end, or --expires never",
        )
    values: dict[str, Any] = {"expires": end}
    if adopted or _lasts(end) > _lasts(known.expires):  # given anew: to those, too, who have joined a group since
        values |= {"delegate_id": giver, "granted_by": change.actor, "created": change.at}
    change.database.run(Grant.update(values).where(Grant.id == known.id))
    if source != "self-service":
        _end_withdrawals(change, [subject], found)
    which = _describe_target(target)
    before, after = which | {"expires": known.expires}, which | {"expires": end}
    if adopted:
        before, after = before | {"granted_by": known.granted_by}, after | {"granted_by": change.actor}
    change.record("grant.set", _format_label(target, subject), before, after)
    return True


def _lasts(expires: datetime | None) -> datetime:
    return expires or delegated_grants.NEVER


def _ends(expires: datetime | None, latest: datetime) -> datetime | None:
    """The end of a grant that was asked for until then, and may be given until ``latest``."""
    return expires if _lasts(expires) <= latest else latest


def add_all(
    change: Change,
    subjects: Sequence[Subject],
    target: Target,
    *,
    expires: datetime | None = None,
    source: Source = "manual",
) -> None:
    """Give the same grant to many who are known not to have it, or to have it from a delegate alone."""
    rows = []
    for subject in subjects:
        end = _ends(expires, _authorize(change, subject, target))
        rows.append(
            (
                subject,
                {
                    "expires": end,
                    "source": source,
                    "granted_by": change.actor,
                    "created": change.at,
                    "delegate_id": change.giver_id,
                },
            )
        )
    _insert(change, target, _resolve(change.database, target), rows)


@dataclass(frozen=True, slots=True)
class ImportedGrant:
    """A grant of another system, which knows by whom and when it was given."""

    subject: Subject
    target: Target
    source: Source
    granted_by: str
    created: datetime


def import_grants(change: Change, kept: Iterable[ImportedGrant]) -> int:
    """Take over grants of another system; those that operators gave here are left as they are, and those that
    delegates gave become the import's. At most some thousands at once.

    Returns:
        How many are new.
    """
    by_target: dict[Target, dict[Subject, ImportedGrant]] = {}
    for one in kept:
        by_target.setdefault(one.target, {}).setdefault(one.subject, one)
    new = 0
    for target, grants in by_target.items():
        found = _resolve(change.database, target)
        query = _select_grants(target.permission, found, (Grant.principal, Grant.group)).where(
            _is_of(grants) & Grant.delegate_id.is_null()
        )
        there = set(change.database.tuples(query))
        rows = [
            (
                subject,
                {
                    "expires": None,
                    "source": one.source,
                    "granted_by": one.granted_by,
                    "created": one.created,
                    "delegate_id": None,
                },
            )
            for subject, one in grants.items()
            if (subject.principal_id, subject.group_id) not in there
        ]
        _insert(change, target, found, rows)
        new += len(rows)
    return new


def _insert(
    change: Change, target: Target, found: TargetIds, subjects: Sequence[tuple[Subject, dict[str, Any]]]
) -> None:
    dataset_id, version_id, scope_id = found
    _check_permission(change.database, target.permission)
    _end_withdrawals(change, [who for who, how in subjects if how["source"] != "self-service"], found)
    subjects = _adopt(change, target, found, subjects)
    row = {"dataset": dataset_id, "version": version_id, "permission": target.permission, "scope_group": scope_id}
    change.database.insert_many(
        Grant,
        [{"principal": who.principal_id, "group": who.group_id, **row, **how} for who, how in subjects],
    )
    words = _describe_target(target)
    for subject, how in subjects:
        after = words | {"expires": how["expires"]} if how["expires"] else words
        change.record("grant.add", _format_label(target, subject), after=after)


def _adopt(
    change: Change, target: Target, found: TargetIds, subjects: Sequence[tuple[Subject, dict[str, Any]]]
) -> list[tuple[Subject, dict[str, Any]]]:
    """Make of grants that delegates gave those that an operator gives now. Returns the subjects who have none yet."""
    query = _select_grants(target.permission, found, (Grant,)).where(
        _is_of([who for who, _ in subjects]) & Grant.delegate_id.is_null(False)
    )
    delegated = {(one.principal_id, one.group_id): one for one in change.database.objects(query)}
    if not delegated:
        return list(subjects)
    words, new = _describe_target(target), []
    for who, how in subjects:
        known = delegated.get((who.principal_id, who.group_id))
        if known is None:
            new.append((who, how))
            continue
        change.database.run(Grant.update(how).where(Grant.id == known.id))
        before, after = ({key: of[key] for key in ("expires", "granted_by")} for of in (known.__data__, how))
        change.record("grant.set", _format_label(target, who), words | before, words | after)
    return new


def _is_of(subjects: Iterable[Subject]) -> Any:
    """The condition that a grant is one of these subjects'."""
    subjects = list(subjects)
    principals = [subject.principal_id for subject in subjects if subject.principal_id is not None]
    return Grant.principal.in_(principals) | Grant.group.in_(
        [subject.group_id for subject in subjects if subject.group_id is not None]
    )


def _end_withdrawals(change: Change, subjects: Sequence[Subject], found: TargetIds) -> None:
    """Who is given something anew may have ``view`` by self-service again; a delegate's grant, which falls with what
    the delegate holds, leaves no such thing behind."""
    dataset_id, version_id, _ = found
    if version_id is not None or change.giver_id is not None:
        return
    given = [subject.principal_id for subject in subjects]
    of_them = m.Withdrawal.principal.in_(given)
    change.database.run(m.Withdrawal.delete().where(m.Withdrawal.dataset == dataset_id, of_them))


def end_of(database: Database, subject: Subject, target: Target) -> datetime | None:
    """When a grant that is there ends; None for never."""
    known = _find_existing(database, subject, target.permission, _resolve(database, target))
    return known.expires if known is not None else None


def _check_permission(database: Database, name: str) -> None:
    """Raises:
    Invalid: nobody has a permission of this name yet, and it is not of the form that a new one must have.
    """
    if name in levels.BY_NAME or isinstance(name, validation.Foreign):
        return
    if (
        not validation.is_storable(name)
        or database.first(Grant.select().where(Grant.permission == name).limit(1)) is None
    ):
        validation.permission(name)


def holders_among(database: Database, target: Target, ids: Iterable[int]) -> dict[int, datetime | None]:
    """Those of these principals who have this very grant from an operator, and when it ends; at most some thousands
    at once."""
    query = _select_grants(target.permission, _resolve(database, target), (Grant.principal, Grant.expires))
    return dict(database.tuples(query.where(Grant.principal.in_(list(ids)), Grant.delegate_id.is_null())))


def revoke(change: Change, subject: Subject, target: Target) -> None:
    """Take a grant away; the next request of whoever had it is answered without it.

    A person's ``view`` on a public dataset does not come back when they accept other terms (`withdrawn`).

    Raises:
        NotFound: there is no such grant.
    """
    _authorize(change, subject, target)
    found = _resolve(change.database, target)
    known = _find_existing(change.database, subject, target.permission, found)
    if known is None:
        others = [
            " ".join(
                filter(
                    None,
                    (
                        row["permission"],
                        row["version"] and f"--version {row['version']}",
                        row["scope"] and f"--scope {row['scope']}",
                    ),
                )
            )
            for row in list_grants(change.database, dataset=target.dataset, subject=subject)
            if change.delegate is None or change.delegate.may_see(row)
        ]
        raise NotFound(
            f"{subject.label} has no such grant: {target.permission} on {target.dataset}",
            f"there is: {', '.join(others)}" if others else f"dsgctl grant list --dataset {target.dataset}",
        )
    change.database.run(Grant.delete().where(Grant.id == known.id))
    before = _describe_target(target) | ({"expires": known.expires} if known.expires else {})
    before |= {"granted_by": known.granted_by, "source": known.source}
    if subject.principal_id is not None and target.permission == levels.VIEW and target.version is None:
        _withdraw(change, subject.principal_id, target.dataset)
    change.record("grant.revoke", _format_label(target, subject), before)


def _withdraw(change: Change, principal_id: int, dataset: str) -> None:
    """Remember that ``view`` was taken from this person, on a public dataset: self-service is not to undo it.

    Not where a lead takes away what is scoped to their group: what everybody may have is not theirs to take.
    """
    of = datasets.find(change.database, dataset)
    if of.access == "public" and (change.delegate is None or change.delegate.administers(dataset)):
        row = {"principal": principal_id, "dataset": of.id, "withdrawn": change.at, "withdrawn_by": change.actor}
        change.database.run(m.Withdrawal.insert(**row).on_conflict_ignore())


def withdrawn(database: Database, principal_id: int) -> frozenset[str]:
    """The public datasets on which somebody took ``view`` from this person, and nobody has granted anything since."""
    query = m.Withdrawal.select(m.Dataset.name).join(m.Dataset).where(m.Withdrawal.principal == principal_id)
    return frozenset(name for (name,) in database.tuples(query))


def _authorize(change: Change, subject: Subject | None, target: Target) -> datetime:
    """Before anything is looked up: who may not decide learns nothing of what is there.

    Args:
        subject: None if it is not there.

    Returns:
        Until when it may be given.
    """
    if change.delegate is None:
        return delegated_grants.NEVER
    who = (subject.principal_id, subject.group_id) if subject is not None else (None, None)
    return change.delegate.require_grant(target.dataset, target.permission, target.version, target.scope, who)


def find_subject(change: Change, target: Target, find: Callable[[], Subject]) -> Subject:
    """The subject of a grant, for who may decide about the grant.

    Raises:
        NotAllowed: it is not theirs to decide; whether there is such a subject is not told then.
        NotFound: there is none.
    """
    try:
        return find()
    except NotFound:
        _authorize(change, None, target)
        raise


def _resolve(database: Database, target: Target) -> TargetIds:
    dataset = datasets.find(database, target.dataset)
    version_id = versions.find(database, dataset, target.version).id if target.version is not None else None
    scope_id = groups.find(database, target.scope).id if target.scope is not None else None
    return dataset.id, version_id, scope_id


def _find_existing(database: Database, subject: Subject, permission: str, found: TargetIds) -> Grant | None:
    query = _select_grants(permission, found, (Grant,))
    for column, value in ((Grant.principal, subject.principal_id), (Grant.group, subject.group_id)):
        query = query.where(column.is_null() if value is None else column == value)
    return database.first(query)


def _select_grants(permission: str, found: TargetIds, select: Sequence[Any]) -> Any:
    """Select from the grants of this permission on this dataset, version and scope, whoever has them."""
    query = Grant.select(*select).where(Grant.permission == permission)
    for column, value in zip((Grant.dataset, Grant.version, Grant.scope_group), found, strict=True):
        query = query.where(column.is_null() if value is None else column == value)
    return query


def _describe_target(target: Target) -> dict[str, Any]:
    """Which of a subject's grants on a dataset, as audit records tell it."""
    words = {"permission": target.permission, "version": target.version, "scope": target.scope}
    return {key: value for key, value in words.items() if value is not None}


def _format_label(target: Target, subject: Subject) -> str:
    return f"dataset:{target.dataset} {subject.label}"


def list_grants(
    database: Database,
    *,
    dataset: str | None = None,
    subject: Subject | None = None,
    expiring_before: datetime | None = None,
    by_operators: bool = False,
) -> Iterator[dict[str, Any]]:
    """Grants as they were given, in the order of dataset and id; those of a user's groups are the groups'.

    Args:
        expiring_before: only those that end before then; those that have ended too.
        by_operators: only those that nobody gave with ``--as``.
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
        )
        .join_from(Grant, m.Dataset)
        .join_from(Grant, m.Version, JOIN.LEFT_OUTER)
        .join_from(Grant, m.Principal, JOIN.LEFT_OUTER)
        .join_from(Grant, m.Group, JOIN.LEFT_OUTER, on=(Grant.group == m.Group.id))
        .join_from(Grant, scope, JOIN.LEFT_OUTER, on=(Grant.scope_group == scope.id))
        .order_by(m.Dataset.name, Grant.id)
    )
    if dataset is not None:
        query = query.where(Grant.dataset == datasets.find(database, dataset).id)
    if subject is not None:
        column, value = (Grant.group, subject.group_id) if subject.group_id else (Grant.principal, subject.principal_id)
        query = query.where(column == value)
    if expiring_before is not None:
        query = query.where(Grant.expires < expiring_before)
    if by_operators:
        query = query.where(Grant.delegate_id.is_null())
    return database.rows(query)
