"""Counts of the entities in the database."""

from datetime import datetime, timedelta
from typing import TypedDict

from dsgctl.core import acceptances, tokens
from dsgctl.store import Database
from dsgctl.store import models as m

SOON = timedelta(days=30)


class Statistics(TypedDict):
    """Counts; ``revision`` is `Database.revision`, ``pending_terms`` the pairs of a person and terms to accept."""

    revision: int
    users: int
    disabled_users: int
    admins: int
    service_accounts: int
    groups: int
    datasets: int
    grants: int
    grants_ending_within_30_days: int
    tokens: int
    clients: int
    terms: int
    audit_records: int
    pending_terms: int


def count_all(database: Database, at: datetime) -> Statistics:
    """Count everything, in one state of the database.

    Args:
        at: the time at which tokens are good, terms are pending, and the 30 days begin.
    """
    users = m.Principal.select().where(m.Principal.kind == "user")
    accounts = m.Principal.select().where(m.Principal.kind == "service_account")
    ending = m.Grant.expires.is_null(False) & (m.Grant.expires > at) & (m.Grant.expires <= at + SOON)
    with database.snapshot():
        return {
            "revision": database.revision(),
            "users": database.count(users),
            "disabled_users": database.count(users.where(m.Principal.active == False)),
            "admins": database.count(users.where(m.Principal.admin == True, m.Principal.active == True)),
            "service_accounts": database.count(accounts),
            "groups": database.count(m.Group.select()),
            "datasets": database.count(m.Dataset.select()),
            "grants": database.count(m.Grant.select()),
            "grants_ending_within_30_days": database.count(m.Grant.select().where(ending)),
            "tokens": database.count(m.Token.select().where(tokens.is_live(at))),
            "clients": database.count(m.Client.select()),
            "terms": database.count(m.Terms.select()),
            "audit_records": database.count(m.AuditRecord.select()),
            "pending_terms": sum(1 for _ in acceptances.list_pending(database, at)),
        }
