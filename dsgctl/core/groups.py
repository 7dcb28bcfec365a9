"""Groups of people, and who leads them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dsgctl.core import delegated_grants, users, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Group
from dsgctl.store.queries import JOIN, fn


def find_or_none(database: Database, name: str) -> Group | None:
    return database.first(Group.select().where(Group.name == name)) if validation.is_storable(name) else None


def find(database: Database, name: str) -> Group:
    """The group of exactly this name.

    Raises:
        NotFound: there is none.
    """
    group = find_or_none(database, name)
    if group is None:
        raise NotFound(f"there is no group {validation.quoted(name)}", "dsgctl group list")
    return group


def add(change: Change, name: str) -> tuple[Group, bool]:
    """Make a group. Returns it, and whether it is new."""
    known = find_or_none(change.database, name)
    if known is not None:
        return known, False
    validation.single_line(name, "group name")
    change.database.run(Group.insert(name=name, created=change.at))
    change.record("group.add", f"group:{name}", after={"name": name})
    return find(change.database, name), True


def remove(change: Change, name: str) -> dict[str, Any]:
    """Delete a group, its memberships, its grants and the grants given within its scope.

    Returns:
        What went, as `holdings` tells it.
    """
    group = find(change.database, name)
    gone = list_holdings(change.database, group)
    change.database.run(Group.delete().where(Group.id == group.id))
    change.record("group.remove", f"group:{name}", {"id": group.id, **gone})
    return gone


def list_holdings(database: Database, group: Group) -> dict[str, Any]:
    """What goes with a group: members, its grants, and grants to people scoped to it."""
    members = m.Membership.select(m.Principal.email).join(m.Principal).where(m.Membership.group == group.id)
    grants = m.Grant.select(m.Dataset.name, m.Grant.permission).join(m.Dataset).where(m.Grant.group == group.id)
    scoped = (
        m.Grant.select(m.Dataset.name, m.Grant.permission, m.Principal.email)
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Principal, JOIN.LEFT_OUTER)
        .where(m.Grant.scope_group == group.id)
    )
    return {
        "members": sorted(email for (email,) in database.tuples(members)),
        "grants": sorted(f"{dataset} {permission}" for dataset, permission in database.tuples(grants)),
        "scoped_grants": sorted(" ".join(filter(None, row)) for row in database.tuples(scoped)),
    }


def add_member(change: Change, name: str, email: str, *, leads: bool | None = None) -> bool:
    """Put a person into a group.

    Args:
        leads: whether they lead it; None leaves it as it is, and a new member does not.

    Returns:
        Whether anything changed.
    """
    group = find(change.database, name)
    if change.delegate is not None:
        change.delegate.require_member(name, group.id, leads=leads is not None, joins=True)
    user = users.find(change.database, email)
    known = _find_membership(change.database, group, user)
    if known is None:
        add_members(change, group, [user.id], [user.email], leads=bool(leads))
        return True
    if change.giver_id is not None:
        return False  # that they are in it is an operator's word already, or a lead's
    by_lead = bool(_adopt(change, group, [user.id]))
    before = {"leads": known.leads} | ({"delegated": True} if by_lead else {})
    after = {"leads": known.leads if leads is None else leads}
    if before == after:
        return False
    change.database.run(
        m.Membership.update(leads=after["leads"]).where(
            m.Membership.group == group.id, m.Membership.principal == user.id
        )
    )
    change.record("group.member.set", f"group:{name} user:{user.email}", before, after)
    return True


def add_members(
    change: Change, group: Group, ids: Sequence[int], emails: Sequence[str], *, leads: bool = False
) -> None:
    """Put people who are not in it into a group; the same as `add_member`, many at once."""
    rows = [{"principal": principal_id, "group": group.id, "leads": leads} for principal_id in ids]
    change.database.insert_many(m.Membership, rows)
    if change.giver_id is not None:
        # A grant that the group has is no later one, also if it bears the moment of another system's clock.
        query = m.Grant.select(m.Grant.created).where(m.Grant.group == group.id)
        since = max((change.at, *(created for (created,) in change.database.tuples(query))))
        given = [{"principal_id": principal_id, "group_id": group.id, "since": since} for principal_id in ids]
        change.database.insert_many(m.DelegatedMember, given)
    after = {"leads": leads}
    for email in emails:
        change.record("group.member.add", f"group:{group.name} user:{email}", after=after)


def confirm_members(change: Change, group: Group, people: Mapping[int, str]) -> dict[int, bool]:
    """Those of these users (by id, with their email) who are in the group, and whether they lead it; at most some
    thousands at once. Whom a lead put into it is in it by an operator's word from now on."""
    query = m.Membership.select(m.Membership.principal, m.Membership.leads).where(
        m.Membership.group == group.id, m.Membership.principal.in_(list(people))
    )
    known = dict(change.database.tuples(query))
    for principal_id in _adopt(change, group, known):
        leads = {"leads": known[principal_id]}
        target = f"group:{group.name} user:{people[principal_id]}"
        change.record("group.member.set", target, leads | {"delegated": True}, leads)
    return known


def _adopt(change: Change, group: Group, ids: Iterable[int]) -> list[int]:
    """Make those of these members whom a lead put into the group an operator's. Returns who these were."""
    by_leads = (m.DelegatedMember.group_id == group.id) & m.DelegatedMember.principal_id.in_(list(ids))
    adopted = [
        who
        for (who,) in change.database.tuples(m.DelegatedMember.select(m.DelegatedMember.principal_id).where(by_leads))
    ]
    if adopted:
        change.database.run(m.DelegatedMember.delete().where(by_leads))
    return adopted


def remove_member(change: Change, name: str, email: str) -> bool:
    """Take a person out of a group, and away the grants scoped to it that they have.

    Returns:
        Whether they were in it.
    """
    group = find(change.database, name)
    if change.delegate is not None:
        change.delegate.require_member(name, group.id, leads=False, joins=False)
    user = users.find(change.database, email)
    known = _find_membership(change.database, group, user)
    if known is None:
        return False
    if change.delegate is not None and known.leads and not change.delegate.is_self(user.email):
        change.delegate.require_member(name, group.id, leads=True, joins=False)
    delegated_grants.remove_member(change, user.id, group.id)
    return True


def _find_membership(database: Database, group: Group, user: m.Principal) -> m.Membership | None:
    return database.first(
        m.Membership.select().where(m.Membership.group == group.id, m.Membership.principal == user.id)
    )


def list_groups(database: Database) -> Iterator[dict[str, Any]]:
    """Every group by name, with how many are in it and lead it."""
    query = (
        Group.select(
            Group.id,
            Group.name,
            fn.count(m.Membership.principal).alias("members"),
            fn.coalesce(fn.sum(m.Membership.leads), 0).alias("leads"),
        )
        .join(m.Membership, JOIN.LEFT_OUTER)
        .group_by(Group.id)
        .order_by(Group.name)
    )
    return database.rows(query)


def show(database: Database, name: str) -> dict[str, Any]:
    group = find(database, name)
    leads = (
        m.Membership.select(m.Principal.email)
        .join(m.Principal)
        .where(m.Membership.group == group.id, m.Membership.leads == True)
    )
    held = list_holdings(database, group)
    return {
        "id": group.id,
        "name": group.name,
        "created": group.created,
        "leads": sorted(email for (email,) in database.tuples(leads)),
        **held,
    }
