"""Delegated keys: tokens that a registered client is handed, so that it acts for the person in the browser.

With such a key, nobody is an admin (token_checks.py).
"""

from datetime import datetime, timedelta
from typing import Final

from dsgctl.core import tokens
from dsgctl.core.change import Change
from dsgctl.core.token_checks import DELEGATED
from dsgctl.store import Database
from dsgctl.store.models import Client, ClientConsent, Principal, Token

LIFE: Final = timedelta(days=7)
MAX_KEYS: Final = 10  # of one person and client; the oldest ends


def mint(change: Change, principal: Principal, client: Client) -> str:
    """Make a key of a person for a client; beyond `MAX_KEYS`, the oldest are revoked.

    Returns:
        The key, which cannot be read again.

    Raises:
        Conflict: the account is disabled.
    """
    live = _list_live(change.database, principal, client, change.at)
    for token_id in live[: max(0, len(live) - MAX_KEYS + 1)]:
        tokens.revoke(change, token_id)
    end = change.at + LIFE
    _, key = tokens.mint(change, principal, kind=DELEGATED, description=client.name, expires=end, client=client)
    return key


def remember_consent(change: Change, principal: Principal, client: Client, *, created: datetime | None = None) -> bool:
    """Remember that a person does not want to be asked about this client again.

    Args:
        created: the time that an importer keeps from another system.

    Returns:
        Whether this is new.
    """
    if _has_consent(change.database, principal, client):
        return False
    row = {"principal": principal.id, "client": client.id, "created": created or change.at}
    change.database.run(ClientConsent.insert(**row))
    change.record("client.consent", f"client:{client.name} user:{principal.email}")
    return True


def needs_no_consent(database: Database, principal: Principal, client: Client, at: datetime) -> bool:
    """Whether a client gets a key without asking: the person said so, and a key of theirs for it is still valid."""
    return _has_consent(database, principal, client) and bool(_list_live(database, principal, client, at))


def _has_consent(database: Database, principal: Principal, client: Client) -> bool:
    query = ClientConsent.select().where(ClientConsent.principal == principal.id, ClientConsent.client == client.id)
    return bool(database.count(query))


def _list_live(database: Database, principal: Principal, client: Client, at: datetime) -> list[int]:
    """The ids of the valid keys of a person for a client, the oldest first."""
    query = Token.select(Token.id).where(Token.principal == principal.id, Token.client == client.id, tokens.is_live(at))
    return [token_id for (token_id,) in database.tuples(query.order_by(Token.id))]
