"""Ends what people gave through ``dsgctl --as`` when it lasts longer, or reaches further, than what they hold.

`settle` runs at the end of every change, whatever the change was. Which grants and memberships may stay, and how long,
is computed in delegation_support.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dsgctl.core.change import Change, VisibleGrant
from dsgctl.core.delegation_support import Support, is_anything_delegated
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.queries import JOIN


def settle(change: Change) -> None:
    """Revoke or shorten what people gave and no longer may give, each with an audit record."""
    while _settle_once(change):
        pass


def count_unsupported(database: Database) -> int:
    """The number of grants and memberships that `settle` would end or shorten.

    It is not 0 only after a change with the sqlite3 shell.
    """
    if not is_anything_delegated(database):
        return 0
    support = Support(database)
    ends, memberships = support.compute()
    too_long = sum(ends[grant.id] < grant.end for grant in support.grants.values())
    return too_long + len(support.memberships.keys() - memberships)


def _settle_once(change: Change) -> bool:
    """Whether anything ended or was shortened that may have supported something else."""
    if not is_anything_delegated(change.database):
        return False
    support = Support(change.database)
    ends, memberships = support.compute()
    too_long = [grant for grant in support.grants.values() if ends[grant.id] < grant.end]
    for grant in too_long:
        if ends[grant.id] <= change.at:
            revoke_where(change, m.Grant.id == grant.id, because="the person who gave it may no longer give it")
        else:
            _shorten(change, grant.id, ends[grant.id])
    ended = sorted(support.memberships.keys() - memberships)
    for principal_id, group_id in ended:
        remove_member(change, principal_id, group_id, because="no lead of the group may add them any more")
    return bool(too_long or ended)


def revoke_where(change: Change, condition: Any, *, because: str) -> None:
    """Revoke the grants that meet a condition on `models.Grant`.

    Args:
        condition: an expression of peewee, which exports no type for it.
        because: the reason, in each audit record.
    """
    for grant in list(_describe_grants(change.database, condition)):
        change.database.run(m.Grant.delete().where(m.Grant.id == grant.id))
        before = grant.state | ({"expires": grant.expires} if grant.expires else {})
        before |= {"granted_by": grant.granted_by, "source": grant.source}
        change.record("grant.revoke", grant.label, before, {"because": because})
        change.count_grant(grant.visible)


def revoke_given_by(change: Change, principal_id: int) -> None:
    """Revoke the delegated grants of a person whose account is about to be deleted."""
    revoke_where(
        change, m.Grant.delegate_id == principal_id, because="the account of the person who gave it is deleted"
    )


def remove_member(change: Change, principal_id: int, group_id: int, *, because: str | None = None) -> None:
    """Remove a person from a group, and revoke the grants scoped to it that they have, whoever gave these.

    Args:
        because: the reason, in the audit record; None if an operator or a delegate asked for it.
    """
    scoped = (m.Grant.principal == principal_id) & (m.Grant.scope_group == group_id)
    revoke_where(change, scoped, because="it is scoped to a group that they leave")
    membership = (m.Membership.principal == principal_id) & (m.Membership.group == group_id)
    query = (
        m.Membership.select(m.Group.name, m.Principal.email, m.Membership.leads)
        .join_from(m.Membership, m.Group)
        .join_from(m.Membership, m.Principal)
        .where(membership)
    )
    rows = list(change.database.tuples(query))
    change.database.run(m.Membership.delete().where(membership))
    for group, email, leads in rows:
        after = {"because": because} if because else None
        change.record("group.member.remove", f"group:{group} user:{email}", {"leads": leads}, after)
        if because:
            change.count_member(group)


def _shorten(change: Change, grant_id: int, end: datetime) -> None:
    for grant in list(_describe_grants(change.database, m.Grant.id == grant_id)):
        change.database.run(m.Grant.update(expires=end).where(m.Grant.id == grant_id))
        before = grant.state | {"expires": grant.expires}
        after = grant.state | {"expires": end, "because": "the permission of the person who gave it ends then"}
        change.record("grant.set", grant.label, before, after)
        change.count_grant(grant.visible)


@dataclass(frozen=True, slots=True)
class _GrantDescription:
    """A grant as audit records describe it, in the words of grant_targets.py.

    Attributes:
        label: the target of the audit record.
        state: permission, version, scope and service, without those that are None.
        visible: what decides whether a delegate may see the grant.
    """

    id: int
    label: str
    state: dict[str, object]
    expires: datetime | None
    granted_by: str
    source: str
    visible: VisibleGrant


def _describe_grants(database: Database, condition: Any) -> Iterator[_GrantDescription]:
    scope = m.Group.alias("scope")
    query = (
        m.Grant.select(
            m.Grant.id,
            m.Dataset.name,
            m.Grant.permission,
            m.Version.name,
            scope.name,
            m.Principal.email,
            m.Principal.slug,
            m.Group.name,
            m.Grant.expires,
            m.Grant.granted_by,
            m.Grant.source,
            m.Service.name,
        )
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Version, JOIN.LEFT_OUTER)
        .join_from(m.Grant, m.Service, JOIN.LEFT_OUTER)
        .join_from(m.Grant, m.Principal, JOIN.LEFT_OUTER)
        .join_from(m.Grant, m.Group, JOIN.LEFT_OUTER, on=(m.Grant.group == m.Group.id))
        .join_from(m.Grant, scope, JOIN.LEFT_OUTER, on=(m.Grant.scope_group == scope.id))
        .where(condition)
        .order_by(m.Grant.id)
    )
    for row in database.tuples(query):
        grant_id, dataset, permission, version, scope_name, email, slug, group, expires, granted_by, *others = row
        source, service = others
        subject = f"user:{email}" if email else f"service-account:{slug}" if slug else f"group:{group}"
        state: dict[str, object] = {
            "permission": permission,
            "version": version,
            "scope": scope_name,
            "service": service,
        }
        yield _GrantDescription(
            id=grant_id,
            label=f"dataset:{dataset} {subject}",
            state={key: value for key, value in state.items() if value is not None},
            expires=expires,
            granted_by=granted_by,
            source=source,
            visible={
                "dataset": dataset,
                "version": version,
                "permission": permission,
                "user": email,
                "group": group,
                "scope": scope_name,
                "service": service,
            },
        )
