"""Whom a change of a table concerns: the list of all tables, and of those that decide no access."""

EVERYBODY = "NULL, NULL"
# Table -> SQL of (principal, group) that a row concerns; None: its rows decide no access.
OWNERS: dict[str, str | None] = {
    "principals": "id, NULL",
    "affiliations": "principal_id, NULL",
    "memberships": "principal_id, NULL",
    "acceptances": "principal_id, NULL",
    "tokens": "principal_id, NULL",
    "groups": "NULL, id",
    "grants": "principal_id, group_id",
    "datasets": EVERYBODY,
    "versions": EVERYBODY,
    "buckets": EVERYBODY,
    "locations": EVERYBODY,
    "services": EVERYBODY,
    "translations": EVERYBODY,
    "terms": EVERYBODY,
    "clients": EVERYBODY,
    "client_app_urls": None,
    "client_consents": None,
    "service_tables": None,
    "public_roots": None,
    "iam_members": None,
    "declared": None,
    "withdrawals": None,
    "delegated_members": None,
    "audit": None,
    "changes": None,
    "migrations": None,
}
