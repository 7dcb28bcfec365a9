"""Grants: a permission on a dataset, to a user, a group or a service account."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from peewee import JOIN

from dsgctl.core import access, datasets, groups, names, service_accounts
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Grant

Source = Literal["manual", "self-service", "import"]


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
    return Subject(service_accounts.label(principal), principal_id=principal.id)


@dataclass(frozen=True, slots=True)
class Target:
    """What a grant is given on, by names: the words of ``grant add`` and ``grant revoke``."""

    dataset: str
    permission: str
    version: str | None = None
    scope: str | None = None


def known_permission(text: str) -> str:
    """One of the four: what a person may grant. Imports may bring others."""
    if text not in access.LEVELS:
        raise Invalid(f"{names.shown(text)} is not a permission", "the permissions are view, edit, manage and admin")
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

    Raises:
        Conflict: there is one that ends, and no other end was said: it is not made endless by the way.
    """
    names.permission(target.permission)
    found = _resolve(change.database, target)
    known = _existing(change.database, subject, target.permission, found)
    if known is None:
        add_all(change, [subject], target, expires=expires, source=source)
        return True
    if known.expires == expires:
        return False
    if expires is None and known.expires is not None and not for_ever:
        raise Conflict(
            f"{subject.label} has {target.permission} on {target.dataset} until {known.expires:%Y-%m-%d %H:%M UTC}",
            "say --expires with another end, or --expires never",
        )
    change.database.run(Grant.update(expires=expires).where(Grant.id == known.id))
    which = _words(target)
    change.record(
        "grant.set", _label(target, subject), which | {"expires": known.expires}, which | {"expires": expires}
    )
    return True


def add_all(
    change: Change,
    subjects: Sequence[Subject],
    target: Target,
    *,
    expires: datetime | None = None,
    source: Source = "manual",
    granted_by: str | None = None,
    created: datetime | None = None,
) -> None:
    """Give the same grant to many who are known not to have it.

    Args:
        granted_by, created: by whom and when, where another system knows; None for this change.
    """
    dataset_id, version_id, scope_id = _resolve(change.database, target)
    row = {
        "dataset": dataset_id, "version": version_id, "permission": names.permission(target.permission),
        "scope_group": scope_id, "source": source, "granted_by": granted_by or change.actor,
        "created": created or change.at,
        "expires": expires,
    }  # fmt: skip
    change.database.insert_many(
        Grant, [{"principal": subject.principal_id, "group": subject.group_id, **row} for subject in subjects]
    )
    after = _words(target) | ({"expires": expires} if expires else {})
    for subject in subjects:
        change.record("grant.add", _label(target, subject), after=after)


def holders_among(database: Database, target: Target, ids: Iterable[int]) -> dict[int, datetime | None]:
    """Those of these principals who have this very grant, and when it ends; at most some thousands at once."""
    dataset_id, version_id, scope_id = _resolve(database, target)
    query = Grant.select(Grant.principal, Grant.expires).where(
        Grant.dataset == dataset_id,
        Grant.permission == target.permission,
        Grant.version.is_null() if version_id is None else Grant.version == version_id,
        Grant.scope_group.is_null() if scope_id is None else Grant.scope_group == scope_id,
        Grant.principal.in_(list(ids)),
    )
    return dict(database.tuples(query))


def exists(database: Database, subject: Subject, target: Target) -> bool:
    """Whether this very grant is there, whenever it ends."""
    return _existing(database, subject, target.permission, _resolve(database, target)) is not None


def revoke(change: Change, subject: Subject, target: Target) -> None:
    """Take a grant away; the next request of whoever had it is answered without it.

    Raises:
        NotFound: there is no such grant.
    """
    found = _resolve(change.database, target)
    known = _existing(change.database, subject, target.permission, found)
    if known is None:
        others = [
            " ".join(filter(None, (row["permission"], row["version"] and f"--version {row['version']}",
                                   row["scope"] and f"--scope {row['scope']}")))
            for row in listed(change.database, dataset=target.dataset, subject=subject)
        ]  # fmt: skip
        raise NotFound(
            f"{subject.label} has no such grant: {target.permission} on {target.dataset}",
            f"there is: {', '.join(others)}" if others else f"dsgctl grant list --dataset {target.dataset}",
        )
    change.database.run(Grant.delete().where(Grant.id == known.id))
    before = _words(target) | ({"expires": known.expires} if known.expires else {})
    before |= {"granted_by": known.granted_by, "source": known.source}
    change.record("grant.revoke", _label(target, subject), before)


def _resolve(database: Database, target: Target) -> tuple[int, int | None, int | None]:
    dataset = datasets.find(database, target.dataset)
    version_id = datasets.find_version(database, dataset, target.version).id if target.version is not None else None
    scope_id = groups.find(database, target.scope).id if target.scope is not None else None
    return dataset.id, version_id, scope_id


def _existing(
    database: Database, subject: Subject, permission: str, found: tuple[int, int | None, int | None]
) -> Grant | None:
    columns = (Grant.principal, Grant.group, Grant.dataset, Grant.version, Grant.scope_group)
    values = (subject.principal_id, subject.group_id, *found)
    query = Grant.select().where(Grant.permission == permission)
    for column, value in zip(columns, values, strict=True):
        query = query.where(column.is_null() if value is None else column == value)
    return database.first(query)


def _words(target: Target) -> dict[str, Any]:
    """Which of a subject's grants on a dataset, as audit records tell it."""
    words = {"permission": target.permission, "version": target.version, "scope": target.scope}
    return {key: value for key, value in words.items() if value is not None}


def _label(target: Target, subject: Subject) -> str:
    return f"dataset:{target.dataset} {subject.label}"


def listed(
    database: Database,
    *,
    dataset: str | None = None,
    subject: Subject | None = None,
    expiring_before: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """Grants as they were given, in the order of dataset and id; those of a user's groups are the groups'.

    Args:
        expiring_before: only those that end before then; those that have ended too.
    """
    scope = m.Group.alias("scope")
    query = (
        Grant.select(
            Grant.id, m.Dataset.name.alias("dataset"), m.Version.name.alias("version"), Grant.permission,
            m.Principal.email.alias("user"), m.Principal.slug.alias("service_account"),
            m.Group.name.alias("group"), scope.name.alias("scope"),
            Grant.expires, Grant.granted_by, Grant.source, Grant.created,
        )
        .join_from(Grant, m.Dataset)
        .join_from(Grant, m.Version, JOIN.LEFT_OUTER)
        .join_from(Grant, m.Principal, JOIN.LEFT_OUTER)
        .join_from(Grant, m.Group, JOIN.LEFT_OUTER, on=(Grant.group == m.Group.id))
        .join_from(Grant, scope, JOIN.LEFT_OUTER, on=(Grant.scope_group == scope.id))
        .order_by(m.Dataset.name, Grant.id)
    )  # fmt: skip
    if dataset is not None:
        query = query.where(Grant.dataset == datasets.find(database, dataset).id)
    if subject is not None:
        column, value = (Grant.group, subject.group_id) if subject.group_id else (Grant.principal, subject.principal_id)
        query = query.where(column == value)
    if expiring_before is not None:
        query = query.where(Grant.expires < expiring_before)
    return database.rows(query)
