"""Groups of people, and who leads them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from dsgctl.core import delegated_grants, users, validation
from dsgctl.core.change import Change
from dsgctl.core.delegation import Delegate
from dsgctl.core.errors import NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Group, Principal
from dsgctl.store.queries import JOIN, fn
from dsgctl.wording import format_grant


class GroupHoldings(TypedDict):
    """What is deleted with a group.

    Attributes:
        members: emails.
        grants: ``DATASET PERMISSION [for SERVICE]`` of each grant for the group.
        scoped_grants: ``DATASET PERMISSION [EMAIL] [for SERVICE]`` of each grant that is scoped to the group.
    """

    members: list[str]
    grants: list[str]
    scoped_grants: list[str]


class GroupRow(TypedDict):
    """A row of ``group list``, with the numbers of members and of leads."""

    id: int
    name: str
    members: int
    leads: int


class GroupDetails(TypedDict):
    """The answer of ``group show``; ``leads`` are the emails of the members who lead the group."""

    id: int
    name: str
    created: datetime
    leads: list[str]
    members: list[str]
    grants: list[str]
    scoped_grants: list[str]


def find_or_none(database: Database, name: str) -> Group | None:
    """The group of exactly this name."""
    return database.first(Group.select().where(Group.name == name)) if validation.is_storable(name) else None


def find(database: Database, name: str) -> Group:
    """The group of exactly this name.

    Raises:
        NotFound: there is none.
    """
    group = find_or_none(database, name)
    if group is None:
        raise NotFound(f"there is no group {validation.quote(name)}", "dsgctl group list")
    return group


def add(change: Change, name: str) -> tuple[Group, bool]:
    """Add a group. If there is one of this name, nothing changes, even if only an importer could add such a name.

    Returns:
        The group, and whether it was added.

    Raises:
        Invalid: the name of a new group is malformed.
    """
    group = find_or_none(change.database, name)
    if group is not None:
        return group, False
    group = Group(name=validation.single_line(name, "group name"), created=change.at)
    group.id = change.database.run(Group.insert(name=group.name, created=group.created))
    change.record("group.add", f"group:{name}", after={"name": name})
    return group, True


def remove(change: Change, name: str) -> GroupHoldings:
    """Delete a group, its memberships, its grants, and the grants scoped to it. Returns what was deleted with it.

    Raises:
        NotFound: there is no such group.
    """
    group = find(change.database, name)
    holdings = list_holdings(change.database, group)
    change.database.run(Group.delete().where(Group.id == group.id))
    change.record("group.remove", f"group:{name}", {"id": group.id, **holdings})
    return holdings


def list_holdings(database: Database, group: Group) -> GroupHoldings:
    """What is deleted with a group."""
    members = m.Membership.select(m.Principal.email).join(m.Principal).where(m.Membership.group == group.id)
    grants = (
        m.Grant.select(m.Dataset.name, m.Grant.permission, m.Service.name)
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Service, JOIN.LEFT_OUTER)
        .where(m.Grant.group == group.id)
    )
    scoped = (
        m.Grant.select(m.Dataset.name, m.Grant.permission, m.Principal.email, m.Service.name)
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Service, JOIN.LEFT_OUTER)
        .join_from(m.Grant, m.Principal, JOIN.LEFT_OUTER)
        .where(m.Grant.scope_group == group.id)
    )
    return {
        "members": sorted(email for (email,) in database.tuples(members)),
        "grants": sorted(format_grant(*words, service=service) for *words, service in database.tuples(grants)),
        "scoped_grants": sorted(format_grant(*words, service=service) for *words, service in database.tuples(scoped)),
    }


def add_member(change: Change, name: str, email: str, *, leads: bool | None = None) -> bool:
    """Add a person to a group, or change whether they lead it.

    Args:
        leads: whether they lead it; None leaves the role of a member unchanged, and adds one who does not lead it.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such group or user.
        NotAllowed: the delegate may not decide who is in this group, or who leads it.
    """
    group = find(change.database, name)
    if change.delegate is not None:
        change.delegate.require_member(name, group.id, leads=leads is not None, joins=True)
    user = users.find(change.database, email)
    membership = _find_membership(change.database, group, user)
    if membership is None:
        add_members(change, group, [user.id], [user.email], leads=bool(leads))
        return True
    if change.giver_id is not None:
        return False  # an operator or another lead has added them already
    was_delegated = bool(_adopt(change, group, [user.id]))
    before = {"leads": membership.leads} | ({"delegated": True} if was_delegated else {})
    after = {"leads": membership.leads if leads is None else leads}
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
    """Add people who are not members of a group; the same as `add_member`, many at once."""
    rows = [{"principal": principal_id, "group": group.id, "leads": leads} for principal_id in ids]
    change.database.insert_many(m.Membership, rows)
    if change.giver_id is not None:
        # No grant that the group has now counts as later, even if its time is that of another system's clock.
        query = m.Grant.select(m.Grant.created).where(m.Grant.group == group.id)
        since = max((change.at, *(created for (created,) in change.database.tuples(query))))
        delegated = [{"principal_id": principal_id, "group_id": group.id, "since": since} for principal_id in ids]
        change.database.insert_many(m.DelegatedMember, delegated)
    after = {"leads": leads}
    for email in emails:
        change.record("group.member.add", f"group:{group.name} user:{email}", after=after)


def confirm_members(change: Change, group: Group, emails: Mapping[int, str]) -> dict[int, bool]:
    """Make the memberships that delegates gave to these users an operator's.

    Args:
        emails: id of a user -> their email; at most a few thousand.

    Returns:
        The users who are members, by id, each with whether they lead the group.
    """
    query = m.Membership.select(m.Membership.principal, m.Membership.leads).where(
        m.Membership.group == group.id, m.Membership.principal.in_(list(emails))
    )
    members = dict(change.database.tuples(query))
    for principal_id in _adopt(change, group, members):
        leads = {"leads": members[principal_id]}
        target = f"group:{group.name} user:{emails[principal_id]}"
        change.record("group.member.set", target, leads | {"delegated": True}, leads)
    return members


def _adopt(change: Change, group: Group, ids: Iterable[int]) -> list[int]:
    """Make the delegated memberships of these members an operator's. Returns the ids of these members."""
    delegated = (m.DelegatedMember.group_id == group.id) & m.DelegatedMember.principal_id.in_(list(ids))
    query = m.DelegatedMember.select(m.DelegatedMember.principal_id).where(delegated)
    adopted = [principal_id for (principal_id,) in change.database.tuples(query)]
    if adopted:
        change.database.run(m.DelegatedMember.delete().where(delegated))
    return adopted


def remove_member(change: Change, name: str, email: str) -> bool:
    """Remove a person from a group, and revoke the grants scoped to it that they have.

    Returns:
        Whether they were a member.

    Raises:
        NotFound: there is no such group or user.
        NotAllowed: the delegate may not decide who is in this group, or who leads it.
    """
    group = find(change.database, name)
    if change.delegate is not None:
        change.delegate.require_member(name, group.id, leads=False, joins=False)
    user = users.find(change.database, email)
    membership = _find_membership(change.database, group, user)
    if membership is None:
        return False
    if change.delegate is not None and membership.leads and not change.delegate.is_self(user.email):
        change.delegate.require_member(name, group.id, leads=True, joins=False)
    delegated_grants.remove_member(change, user.id, group.id)
    return True


def _find_membership(database: Database, group: Group, user: m.Principal) -> m.Membership | None:
    return database.first(
        m.Membership.select().where(m.Membership.group == group.id, m.Membership.principal == user.id)
    )


def list_emails(database: Database, name: str, reader: Principal) -> list[str] | None:
    """The emails of the members of a group, disabled ones too; None if there is no such group for the reader.

    Members see their own groups; admins and service accounts see all (contract-services.md, "Lists").
    """
    group = find_or_none(database, name)
    if group is None:
        return None
    sees_all = reader.admin or reader.kind == "service_account"
    if not sees_all and _find_membership(database, group, reader) is None:
        return None
    query = m.Principal.select(m.Principal.email).join(m.Membership).where(m.Membership.group == group.id)
    people = query.where(m.Principal.kind == "user").order_by(m.Principal.email)
    return [email for (email,) in database.tuples(people)]


def list_groups(database: Database) -> Iterator[GroupRow]:
    """Every group, in the order of names."""
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
    return database.rows(query, GroupRow)


def show(database: Database, name: str, *, delegate: Delegate | None = None) -> GroupDetails:
    """Everything that is recorded about a group.

    Args:
        delegate: leave out grants on datasets that they may not know of; None for an operator.

    Raises:
        NotFound: there is none of this name.
    """
    with database.snapshot():
        group = find(database, name)
        leads = (
            m.Membership.select(m.Principal.email)
            .join(m.Principal)
            .where(m.Membership.group == group.id, m.Membership.leads == True)
        )
        details: GroupDetails = {
            "id": group.id,
            "name": group.name,
            "created": group.created,
            "leads": sorted(email for (email,) in database.tuples(leads)),
            **list_holdings(database, group),
        }
    if delegate is not None:
        details["grants"] = delegate.filter_known(details["grants"])
        details["scoped_grants"] = delegate.filter_known(details["scoped_grants"])
    return details
