"""Accounts of programs. Their tokens are in tokens.py, their grants in grants.py, as those of people are."""

from collections.abc import Iterator
from typing import Any

from dsgctl.core import users, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from dsgctl.store.queries import JOIN, fn


def by_slug(database: Database, slug: str) -> Principal | None:
    return database.first(Principal.select().where(Principal.slug == slug))


def find(database: Database, slug: str) -> Principal:
    """The service account of exactly this name.

    Raises:
        NotFound: there is none.
    """
    account = by_slug(database, slug)
    if account is None:
        raise NotFound(f"there is no service account {validation.quoted(slug)}", "dsgctl service-account list")
    return account


def find_principal(database: Database, who: str) -> Principal:
    """A user by email, or a service account by name or by the address that user/cache gives it."""
    slug, at, domain = who.partition("@")
    if at and validation.email_key(domain) != validation.SERVICE_ACCOUNT_DOMAIN:
        return users.find(database, who)
    return find(database, slug)


def format_label(principal: Principal) -> str:
    """``user:EMAIL`` or ``service-account:NAME``, as audit records name it."""
    return f"user:{principal.email}" if principal.kind == "user" else f"service-account:{principal.slug}"


def add(change: Change, slug: str, *, description: str = "", **kept: Any) -> tuple[Principal, bool]:
    """Make a service account; succeeds without a change if the same one is there already.

    Args:
        kept: what another system had and an importer keeps: active, created, created_by.
    """
    validation.single_line(description, "description", empty=True)
    known = by_slug(change.database, validation.slug(slug, "service account"))
    if known is not None:
        if known.description != description:
            raise Conflict(
                f"service account {slug} exists, with another description",
                f"dsgctl service-account show {slug}",
            )
        return known, False
    row = {"created": change.at, "created_by": change.actor, **kept}
    change.database.run(Principal.insert(kind="service_account", slug=slug, description=description, **row))
    change.record("service-account.add", f"service-account:{slug}", after={"description": description, **kept})
    return find(change.database, slug), True


def describe(change: Change, slug: str, description: str) -> bool:
    """Say in other words what it is for. Returns whether it was otherwise before."""
    account = find(change.database, slug)
    validation.single_line(description, "description", empty=True)
    if account.description == description:
        return False
    change.database.run(Principal.update(description=description).where(Principal.id == account.id))
    change.record(
        "service-account.set", format_label(account), {"description": account.description}, {"description": description}
    )
    return True


def set_active(change: Change, slug: str, active: bool) -> bool:
    """Enable or disable; a disabled account's tokens are refused from the next request on."""
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
    """Say that it is another user's from now on. Returns whether it was somebody else's."""
    after = format_label(to)
    if account.created_by == after:
        return False
    change.database.run(Principal.update(created_by=after).where(Principal.id == account.id))
    change.record(
        "service-account.hand-over", format_label(account), {"created_by": account.created_by}, {"created_by": after}
    )
    return True


def remove(change: Change, slug: str) -> dict[str, Any]:
    """Delete the account with its grants and tokens. Returns what went."""
    account = find(change.database, slug)
    gone = count_holdings(change.database, account)
    change.database.run(Principal.delete().where(Principal.id == account.id))
    change.record("service-account.remove", f"service-account:{slug}", {"id": account.id, **gone})
    return gone


def count_holdings(database: Database, account: Principal) -> dict[str, Any]:
    """What goes with a service account: grants and tokens."""
    held = users.count_holdings(database, account)
    return {"grants": held["grants"], "tokens": held["tokens"]}


def list_service_accounts(database: Database) -> Iterator[dict[str, Any]]:
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
    return database.rows(query)


def show(database: Database, slug: str) -> dict[str, Any]:
    account = find(database, slug)
    return {
        "id": account.id,
        "name": account.slug,
        "description": account.description,
        "active": account.active,
        "created": account.created,
        "created_by": account.created_by,
        **count_holdings(database, account),
    }
