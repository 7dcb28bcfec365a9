"""Writes records of registered clients, and of the people who are not asked again about one."""

from collections.abc import Callable
from typing import Any

from dsgctl.core import clients, delegated_keys, validation
from dsgctl.core.errors import Conflict
from dsgctl.importers.engine.import_run import AnyRun
from dsgctl.importers.engine.records import Client, Consent


def _write_client(run: AnyRun, client: Client) -> None:
    """Raises:
    Conflict: the client of this name is another application here, or is another person's: keys and consents are for the
        one that people agreed to.
    """
    database = run.change.database
    existing = clients.find_by_name(database, client.name)
    if existing is None:
        clients.add(run.change, client.name, origin=client.origin, owner=client.owner, created=client.created)
        clients.set_active(run.change, client.name, client.active)
    else:
        here = existing.origin, validation.email_key(clients.find_owner(database, existing) or "")
        if here != (client.origin, validation.email_key(client.owner)):
            raise Conflict(
                f"client {validation.quote(client.name)} has the origin {client.origin} and the owner {client.owner} "
                f"there, but here {here[0]} and {here[1]}",
                "rename the client here first",
            )
        run.compare(f"client {client.name}", {"active": existing.active}, {"active": client.active})
    run.count("clients", existing is None)


def _write_consent(run: AnyRun, consent: Consent) -> None:
    new = delegated_keys.remember_consent(run.change, consent.user, consent.client, created=consent.created)
    run.count("consents", new)


# As of writers.py. Any: each takes the records of its key.
WRITERS: dict[type, Callable[[AnyRun, Any], None]] = {Client: _write_client, Consent: _write_consent}
