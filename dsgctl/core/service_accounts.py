"""Accounts of programs. Their tokens are in tokens.py and their grants in grants.py, like those of people."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypedDict

from dsgctl.core import principals, users, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from dsgctl.store.queries import JOIN, fn


class ServiceAccountHoldings(TypedDict):
    """What is deleted with a service account: ``DATASET PERMISSION`` of each grant, and ids of tokens."""

    grants: list[str]
    tokens: list[int]


class ServiceAccountRow(TypedDict):
    """A row of ``service-account list``; ``tokens`` is their number, ``last_used`` the last use of any."""

    id: int
    name: str
    description: str
    active: bool
    tokens: int
    last_used: datetime | None


class ServiceAccountDetails(TypedDict):
    """The answer of ``service-account show``."""

    id: int
    name: str
    description: str
    active: bool
    created: datetime
    created_by: str
    grants: list[str]
    tokens: list[int]


def find(database: Database, slug: str) -> Principal:
    """The service account of exactly this name.

    Raises:
        NotFound: there is none.
    """
    account = principals.find_by_slug(database, slug)
    if account is None:
        raise NotFound(f"there is no service account {validation.quote(slug)}", "dsgctl service-account list")
    return account


def find_principal(database: Database, who: str) -> Principal:
    """A user by email, or a service account by name or by its address in ``user/cache``.

    Raises:
        NotFound: there is none.
    """
    slug, at, domain = who.partition("@")
    if at and validation.email_key(domain) != validation.SERVICE_ACCOUNT_DOMAIN:
        return users.find(database, who)
    return find(database, slug)


def add(
    change: Change,
    slug: str,
    *,
    description: str = "",
    active: bool | None = None,
    created: datetime | None = None,
    created_by: str | None = None,
) -> tuple[Principal, bool]:
    """Add a service account; succeeds without a change if the same one is already there.

    Args:
        active, created, created_by: the values that an importer keeps from another system.

    Returns:
        The service account, and whether it was added.

    Raises:
        Invalid: a value is malformed.
        Conflict: there is one of this name with another description.
    """
    slug = validation.slug(slug, "service account")
    description = validation.single_line(description, "description", empty=True)
    account = principals.find_by_slug(change.database, slug)
    if account is not None:
        if account.description != description:
            raise Conflict(
                f"service account {slug} exists, with another description", f"dsgctl service-account show {slug}"
            )
        return account, False
    foreign = {"active": active, "created": created, "created_by": created_by}
    foreign = {key: value for key, value in foreign.items() if value is not None}
    values = {"created": change.at, "created_by": change.actor, **foreign}
    account = Principal(kind="service_account", slug=slug, description=description, **values)
    account.id = change.database.run(Principal.insert(**account.__data__))
    change.record("service-account.add", f"service-account:{slug}", after={"description": description, **foreign})
    return account, True


def set_description(change: Change, slug: str, description: str) -> bool:
    """Change the description. Returns whether anything changed.

    Raises:
        Invalid: the description cannot be stored.
        NotFound: there is no such service account.
    """
    description = validation.single_line(description, "description", empty=True)
    account = find(change.database, slug)
    if account.description == description:
        return False
    change.database.run(Principal.update(description=description).where(Principal.id == account.id))
    change.record(
        "service-account.set",
        principals.format_label(account),
        {"description": account.description},
        {"description": description},
    )
    return True


def set_active(change: Change, slug: str, active: bool) -> bool:
    """Enable or disable; the tokens of a disabled account are refused from the next request on.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such service account.
    """
    account = find(change.database, slug)
    if account.active == active:
        return False
    change.database.run(Principal.update(active=active).where(Principal.id == account.id))
    change.record(
        "service-account.enable" if active else "service-account.disable",
        f"service-account:{slug}",
        {"active": not active},
        {"active": active},
    )
    return True


def hand_over(change: Change, account: Principal, to: Principal) -> bool:
    """Make a user the creator of a service account. Returns whether anything changed."""
    created_by = principals.format_label(to)
    if account.created_by == created_by:
        return False
    change.database.run(Principal.update(created_by=created_by).where(Principal.id == account.id))
    change.record(
        "service-account.hand-over",
        principals.format_label(account),
        {"created_by": account.created_by},
        {"created_by": created_by},
    )
    return True


def remove(change: Change, slug: str) -> ServiceAccountHoldings:
    """Delete the account with its grants and tokens. Returns what was deleted with it.

    Raises:
        NotFound: there is no such service account.
    """
    account = find(change.database, slug)
    holdings = list_holdings(change.database, account)
    change.database.run(Principal.delete().where(Principal.id == account.id))
    change.record("service-account.remove", f"service-account:{slug}", {"id": account.id, **holdings})
    return holdings


def list_holdings(database: Database, account: Principal) -> ServiceAccountHoldings:
    """What is deleted with a service account."""
    holdings = principals.list_holdings(database, account)
    return {"grants": holdings["grants"], "tokens": holdings["tokens"]}


def list_service_accounts(database: Database) -> Iterator[ServiceAccountRow]:
    """Every service account, in the order of names."""
    query = (
        Principal.select(
            Principal.id,
            Principal.slug.alias("name"),
            Principal.description,
            Principal.active,
            fn.count(m.Token.id).alias("tokens"),
            fn.max(m.Token.last_used).alias("last_used"),
        )
        .join(m.Token, JOIN.LEFT_OUTER, on=((m.Token.principal == Principal.id) & m.Token.revoked.is_null()))
        .where(Principal.kind == "service_account")
        .group_by(Principal.id)
        .order_by(Principal.slug)
    )
    return database.rows(query, ServiceAccountRow)


def show(database: Database, slug: str) -> ServiceAccountDetails:
    """Everything that is recorded about a service account.

    Raises:
        NotFound: there is none of this name.
    """
    with database.snapshot():
        account = find(database, slug)
        return {
            "id": account.id,
            "name": account.slug,
            "description": account.description,
            "active": account.active,
            "created": account.created,
            "created_by": account.created_by,
            **list_holdings(database, account),
        }
