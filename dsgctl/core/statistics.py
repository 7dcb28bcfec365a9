"""What there is, counted."""

from datetime import datetime, timedelta
from typing import Any

from dsgctl.core import terms
from dsgctl.store import Database
from dsgctl.store import models as m

SOON = timedelta(days=30)


def count_all(database: Database, at: datetime) -> dict[str, Any]:
    """How many there are of each kind, how many grants end within `SOON`, and for how many terms somebody waits."""
    users = m.Principal.select().where(m.Principal.kind == "user")
    accounts = m.Principal.select().where(m.Principal.kind == "service_account")
    good = m.Token.revoked.is_null() & (m.Token.expires.is_null() | (m.Token.expires > at))
    ending = m.Grant.expires.is_null(False) & (m.Grant.expires > at) & (m.Grant.expires <= at + SOON)
    queries = {
        "users": users,
        "disabled_users": users.where(m.Principal.active == False),
        "admins": users.where(m.Principal.admin == True, m.Principal.active == True),
        "service_accounts": accounts,
        "groups": m.Group.select(),
        "datasets": m.Dataset.select(),
        "grants": m.Grant.select(),
        "grants_ending_within_30_days": m.Grant.select().where(ending),
        "tokens": m.Token.select().where(good),
        "terms": m.Terms.select(),
        "audit_records": m.AuditRecord.select(),
    }
    with database.snapshot():
        found = {"revision": database.revision()} | {key: database.count(query) for key, query in queries.items()}
    return found | {"pending_terms": sum(1 for _ in terms.list_pending(database, at))}
