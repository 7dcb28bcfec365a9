"""What users and service accounts share: the look-ups, their name in audit records, and what is deleted with one."""

from collections.abc import Iterable
from typing import TypedDict

from dsgctl.core import hidden_characters, validation
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from dsgctl.store.queries import JOIN, fn
from dsgctl.wording import format_grant


class Holdings(TypedDict):
    """What is deleted with a principal.

    Attributes:
        grants: ``DATASET PERMISSION [for SERVICE]`` of each.
        groups: names.
        tokens, acceptances: ids of tokens, and of accepted terms.
        children: emails.
    """

    grants: list[str]
    groups: list[str]
    tokens: list[int]
    acceptances: list[int]
    children: list[str]


def find_by_email(database: Database, email: str) -> Principal | None:
    """The user of this address; ASCII case is ignored."""
    return database.first(Principal.select().where(fn.lower(Principal.email).in_(email_keys([email]))))


def find_by_identity(database: Database, issuer: str, subject: str) -> Principal | None:
    """The user who signs in with this identity of this provider."""
    return database.first(Principal.select().where(Principal.issuer == issuer, Principal.subject == subject))


def find_by_slug(database: Database, slug: str) -> Principal | None:
    """The service account of exactly this name."""
    return database.first(Principal.select().where(Principal.slug == slug))


def email_keys(emails: Iterable[str]) -> list[str]:
    """The `email_key` of each address, without those that no database can hold and so nobody has."""
    return sorted({validation.email_key(email) for email in emails if not hidden_characters.has_control(email)})


def format_label(principal: Principal) -> str:
    """``user:EMAIL`` or ``service-account:NAME``, as in audit records."""
    return f"user:{principal.email}" if principal.kind == "user" else f"service-account:{principal.slug}"


def list_holdings(database: Database, principal: Principal) -> Holdings:
    """Everything that is deleted with a principal, besides what describes it."""
    grants = (
        m.Grant.select(m.Dataset.name, m.Grant.permission, m.Service.name)
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Service, JOIN.LEFT_OUTER)
        .where(m.Grant.principal == principal.id)
        .order_by(m.Dataset.name, m.Grant.id)
    )
    groups = m.Membership.select(m.Group.name).join(m.Group).where(m.Membership.principal == principal.id)
    tokens = m.Token.select(m.Token.id).where(m.Token.principal == principal.id).order_by(m.Token.id)
    accepted = m.Acceptance.select(m.Acceptance.terms).where(m.Acceptance.principal == principal.id)
    children = Principal.select(Principal.email).where(Principal.parent == principal.id).order_by(Principal.id)
    return {
        "grants": [format_grant(*words, service=service) for *words, service in database.tuples(grants)],
        "groups": sorted(name for (name,) in database.tuples(groups)),
        "tokens": [token_id for (token_id,) in database.tuples(tokens)],
        "acceptances": sorted(terms_id for (terms_id,) in database.tuples(accepted)),
        "children": [email for (email,) in database.tuples(children)],
    }


def list_descendants(database: Database, principal: Principal) -> list[Principal]:
    """The children of an account, their children, and so on."""
    descendants: dict[int, Principal] = {}
    parents = [principal.id]
    while parents:
        children = database.objects(Principal.select().where(Principal.parent.in_(parents)).order_by(Principal.id))
        # A circle, which only the sqlite3 shell can make, must not be followed for ever.
        new = [child for child in children if child.id not in descendants and child.id != principal.id]
        descendants |= {child.id: child for child in new}
        parents = [child.id for child in new]
    return list(descendants.values())
