"""People: their attributes, and the changes to their accounts."""

import shlex
from collections.abc import Iterable
from typing import Unpack

from dsgctl.core import (
    account_status,
    addresses,
    delegated_grants,
    new_users,
    principals,
    validation,
)
from dsgctl.core.change import Change, difference
from dsgctl.core.errors import Conflict, NotAllowed, NotFound
from dsgctl.core.new_users import Attributes, CheckedUser, NewUser
from dsgctl.core.principals import Holdings
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal


def find(database: Database, email: str) -> Principal:
    """The user of this address; ASCII case is ignored.

    Raises:
        NotFound: no user has it.
    """
    user = principals.find_by_email(database, email)
    if user is not None:
        return user
    message = f"there is no user {validation.quote(email)}"
    renamed = addresses.find_by_provider_email(database, email)
    if renamed is not None:
        raise NotFound(f"{message}; it is how {renamed.email} signs in now", addresses.suggest_following(renamed))
    raise NotFound(message, "dsgctl user list --search TEXT finds people by name")


def add(
    change: Change, email: str, *, affiliations: Iterable[str] = (), **attributes: Unpack[Attributes]
) -> tuple[Principal, bool]:
    """Add a person; succeeds without a change if the same person is already there.

    Returns:
        The user, and whether it was added.

    Raises:
        Invalid: a value is malformed.
        Conflict: a user of this address exists and differs, or signs in with this address.
    """
    person = new_users.check(NewUser(email, attributes, tuple(affiliations)))
    user = principals.find_by_email(change.database, email)
    if user is not None:
        _require_same(change.database, user, person)
        return user, False
    addresses.require_unclaimed(change.database, email)
    new_users.add_all(change, [person])
    return find(change.database, email), True


def _require_same(database: Database, user: Principal, person: CheckedUser) -> None:
    """Raises:
    Conflict: the user lacks an attribute or an affiliation of the person.
    """
    differing = [key for key, value in person.attributes.items() if getattr(user, key) != value]
    if differing or not set(person.affiliations) <= set(list_affiliations(database, user)):
        raise Conflict(
            f"{user.email} is a user already, with another {', '.join(differing) or 'affiliation'}",
            f"dsgctl user set {user.email} ...",
        )


def list_affiliations(database: Database, user: Principal) -> list[str]:
    """The names of a person's affiliations, sorted."""
    query = m.Affiliation.select(m.Affiliation.name).where(m.Affiliation.principal == user.id)
    return [name for (name,) in database.tuples(query.order_by(m.Affiliation.name))]


def set_attributes(
    change: Change,
    email: str,
    *,
    new_email: str | None = None,
    unbind: bool = False,
    affiliations: Iterable[str] | None = None,
    last_admin: bool = False,
    **attributes: Unpack[Attributes],
) -> bool:
    """Change what is recorded about a person; attributes that are not named stay.

    Args:
        new_email: the address of the account from now on.
        unbind: forget the identity of the provider, so that the next login binds a new one.
        affiliations: all of them; they replace the present ones.
        last_admin: allow the last admin to lose that role.

    Returns:
        Whether anything changed.

    Raises:
        Invalid: a value is malformed.
        NotFound: no user has this address.
        Conflict: another user has the new address, or signs in with it.
        NotAllowed: nobody else is an admin.
    """
    new: dict[str, str | bool | None] = {**new_users.check_attributes(attributes)}
    if new_email is not None:
        new["email"] = validation.email(new_email)
    names = sorted(new_users.check_affiliations(affiliations)) if affiliations is not None else None
    user = find(change.database, email)
    if new_email is not None:
        _require_free(change.database, new_email, user)
    if unbind:
        new |= {"issuer": None, "subject": None}
    email_after = new_email or user.email
    if unbind or validation.email_key(email_after) == validation.email_key(user.seen_email or email_after):
        new["seen_email"] = None
    before, after = difference({key: getattr(user, key) for key in new}, new)
    if before.get("admin") and not last_admin:
        _require_another_admin(change.database, user, "no longer be an admin")
    if after:
        change.database.run(Principal.update(**after).where(Principal.id == user.id))
    if names is not None and names != (old_names := list_affiliations(change.database, user)):
        change.database.run(m.Affiliation.delete().where(m.Affiliation.principal == user.id))
        change.database.insert_many(m.Affiliation, [{"principal": user.id, "name": name} for name in names])
        before, after = before | {"affiliations": old_names}, after | {"affiliations": names}
    if after:
        change.record("user.set", f"user:{user.email}", before, after)
    return bool(after)


def _require_free(database: Database, email: str, user: Principal) -> None:
    """Raises:
    Conflict: a user other than this one has the address, or signs in with it.
    """
    other = principals.find_by_email(database, email)
    if other is not None and other.id != user.id:
        raise Conflict(f"{other.email} is another user already", f"dsgctl user show {other.email}")
    addresses.require_unclaimed(database, email, by_other_than=user)


def bind(change: Change, user: Principal, issuer: str, subject: str) -> None:
    """Bind an account to an identity of a provider, which no other account may have."""
    change.database.run(Principal.update(issuer=issuer, subject=subject).where(Principal.id == user.id))
    change.record(
        "user.bind",
        f"user:{user.email}",
        {"issuer": user.issuer, "subject": user.subject},
        {"issuer": issuer, "subject": subject},
    )


def extend(
    change: Change,
    user: Principal,
    *,
    name: str = "",
    affiliation: str = "",
    note: str = "",
    affiliations: list[str] | None = None,
) -> bool:
    """Add to what is recorded about a person: a name if there is none, an affiliation, a note below the present ones.

    Args:
        affiliations: the present ones, if the caller has read them already (`new_users.find_by_emails`).

    Returns:
        Whether anything was new.

    Raises:
        Invalid: a value cannot be stored.
        NotFound: the person was deleted in the meantime.
    """
    new: Attributes = {}
    if name and not user.name:
        new["name"] = name
    if note and f"\n{note}\n" not in f"\n{user.notes}\n":  # a note may have several lines
        new["notes"] = f"{user.notes}\n{note}" if user.notes else note
    if affiliations is None:
        affiliations = list_affiliations(change.database, user)
    extended = [*affiliations, affiliation] if affiliation and affiliation not in affiliations else None
    return bool(new or extended) and set_attributes(change, user.email, affiliations=extended, **new)


def set_active(change: Change, email: str, active: bool, *, last_admin: bool = False) -> bool:
    """Enable or disable an account. A disabled one and its children are refused everywhere from the next request on.

    Args:
        last_admin: allow the last admin to be disabled.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: no user has this address.
        NotAllowed: no admin would be left.
    """
    user = find(change.database, email)
    if user.active == active:
        return False
    if not active and not last_admin:
        _require_another_admin(change.database, user, "be disabled", with_children=True)
    change.database.run(Principal.update(active=active).where(Principal.id == user.id))
    change.record(
        "user.enable" if active else "user.disable",
        f"user:{user.email}",
        {"active": not active},
        {"active": active},
    )
    return True


def list_enabled_children(database: Database, email: str) -> list[str]:
    """The emails of the accounts below an account, at any depth, that are not disabled themselves.

    Raises:
        NotFound: no user has this address.
    """
    descendants = principals.list_descendants(database, find(database, email))
    return [str(child.email) for child in descendants if child.active]


def remove(change: Change, email: str, *, last_admin: bool = False) -> Holdings:
    """Delete a person and everything that belongs to them. `set_active` is usually the better choice.

    Args:
        last_admin: allow the last admin to be deleted.

    Returns:
        What was deleted with the person.

    Raises:
        NotFound: no user has this address.
        NotAllowed: no admin would be left.
        Conflict: the person, or a child of the account, is responsible for a client.
    """
    user = find(change.database, email)
    accounts = [*reversed(principals.list_descendants(change.database, user)), user]
    holdings = {account.id: principals.list_holdings(change.database, account) for account in accounts}
    for account in accounts:
        if not last_admin:
            _require_another_admin(change.database, account, "be removed")
        _require_no_client(change.database, account)
        delegated_grants.revoke_given_by(change, account.id)
        change.database.run(Principal.delete().where(Principal.id == account.id))
        before = {"id": account.id, "name": account.name, **holdings[account.id]}
        change.record("user.remove", f"user:{account.email}", before)
    return holdings[user.id]


def _require_no_client(database: Database, user: Principal) -> None:
    """Raises:
    Conflict: the user is responsible for a client.
    """
    client = database.first(m.Client.select().where(m.Client.owner == user.id).order_by(m.Client.name))
    if client is not None:
        raise Conflict(
            f"{user.email} is responsible for client {client.name}",
            f"dsgctl client set {shlex.quote(client.name)} --owner EMAIL",
        )


def _require_another_admin(database: Database, user: Principal, change: str, *, with_children: bool = False) -> None:
    """Raises:
    NotAllowed: nobody would be left who manages the gateway.

    Args:
        change: what happens to the user, in the message.
        with_children: the same happens to the children of the account.
    """
    children = principals.list_descendants(database, user) if with_children else []
    accounts = {account.id: account for account in (user, *children)}
    admins = database.objects(Principal.select().where(Principal.admin == True, Principal.active == True))
    counting = [admin.id for admin in admins if account_status.find_disabled(database, admin) is None]
    affected = [accounts[admin].email for admin in counting if admin in accounts]
    if affected and len(affected) == len(counting):
        raise NotAllowed(
            f"{affected[0]} is the last admin and would {change}",
            "make another admin first, or add --last-admin",
        )
