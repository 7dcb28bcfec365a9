"""What is recorded about people: the list of all, and everything about one."""

from collections.abc import Iterator
from datetime import datetime
from typing import NotRequired, TypedDict

from dsgctl.core import groups, hidden_characters, principals, users, validation
from dsgctl.core.delegation import Delegate
from dsgctl.core.errors import Invalid
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from dsgctl.store.queries import fn
from dsgctl.store.search import principals_matching


class UserRow(TypedDict):
    """A row of ``user list``."""

    id: int
    email: str
    name: str
    display_name: str
    admin: bool
    active: bool
    read_only: bool
    created: datetime


def list_users(
    database: Database,
    *,
    search: str | None = None,
    group: str | None = None,
    admin: bool = False,
    disabled: bool = False,
    idle_since: datetime | None = None,
    limit: int | None = None,
) -> Iterator[UserRow]:
    """Users in the order of their ids, one at a time.

    Args:
        search: part of the address or a name; case is ignored.
        group: only members of the group of this name.
        idle_since: only accounts that are older than this and have used no token since.

    Raises:
        Invalid: no name can contain ``search``.
        NotFound: there is no such group.
    """
    query = (
        Principal.select(
            Principal.id,
            Principal.email,
            Principal.name,
            Principal.display_name,
            Principal.admin,
            Principal.active,
            Principal.read_only,
            Principal.created,
        )
        .where(Principal.kind == "user")
        .order_by(Principal.id)
    )
    if search:
        if hidden_characters.has_control(search):
            raise Invalid(f"{validation.quote(search)} cannot be part of a name", "search without control characters")
        query = query.where(principals_matching(search))
    if group is not None:
        group_id = groups.find(database, group).id
        members = m.Membership.select(m.Membership.principal).where(m.Membership.group == group_id)
        query = query.where(Principal.id.in_(members))
    if admin:
        query = query.where(Principal.admin == True)
    if disabled:
        query = query.where(Principal.active == False)
    if idle_since is not None:
        used = m.Token.select(m.Token.principal).where(m.Token.last_used >= idle_since)
        query = query.where(Principal.created < idle_since, Principal.id.not_in(used))
    return database.rows(query.limit(limit), UserRow)


class _ProviderEmail(TypedDict, total=False):
    seen_email: str


class UserDetails(TypedDict):
    """The answer of ``user show``.

    Attributes:
        notes: missing for delegates: notes are for operators.
        parent: the email of the parent account.
        leads: the names of the groups that the person leads.
        seen_email: the address that the provider reports; missing if it is ``email``.
    """

    id: int
    email: str
    name: str
    display_name: str
    admin: bool
    active: bool
    read_only: bool
    pi: str
    notes: NotRequired[str]
    picture_url: str
    issuer: str | None
    subject: str | None
    created: datetime
    created_by: str
    parent: str | None
    affiliations: list[str]
    leads: list[str]
    seen_email: NotRequired[str]
    grants: list[str]
    groups: list[str]
    tokens: list[int]
    acceptances: list[int]
    children: list[str]
    last_used: datetime | None


def show(database: Database, email: str, *, delegate: Delegate | None = None) -> UserDetails:
    """Everything that is recorded about a person.

    Args:
        delegate: leave out what they may not see; None for an operator.

    Raises:
        NotFound: no user has this address.
    """
    with database.snapshot():
        user = users.find(database, email)
        parent = database.first(Principal.select().where(Principal.id == user.parent_id)) if user.parent_id else None
        last_used = m.Token.select(fn.max(m.Token.last_used)).where(m.Token.principal == user.id)
        led_groups = (
            m.Membership.select(m.Group.name)
            .join(m.Group)
            .where(m.Membership.principal == user.id, m.Membership.leads == True)
        )
        provider_email: _ProviderEmail = {"seen_email": user.seen_email} if user.seen_email else {}
        details = UserDetails(
            id=user.id,
            email=user.email,
            name=user.name,
            display_name=user.display_name,
            admin=user.admin,
            active=user.active,
            read_only=user.read_only,
            pi=user.pi,
            notes=user.notes,
            picture_url=user.picture_url,
            issuer=user.issuer,
            subject=user.subject,
            created=user.created,
            created_by=user.created_by,
            parent=parent.email if parent else None,
            affiliations=users.list_affiliations(database, user),
            leads=sorted(name for (name,) in database.tuples(led_groups)),
            **provider_email,
            **principals.list_holdings(database, user),
            last_used=next((moment for (moment,) in database.tuples(last_used)), None),
        )
    if delegate is not None:
        del details["notes"]
        details["grants"] = delegate.filter_known(details["grants"])
    return details
