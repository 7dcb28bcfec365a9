"""Reads registered clients, and the people who are not asked again about one."""

from collections.abc import Iterator

from dsgctl.core import clients, principals, validation
from dsgctl.core.errors import Invalid
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun, no_place
from dsgctl.importers.engine.record_importer import Rows, Step
from dsgctl.importers.engine.records import Client, Consent, Record
from dsgctl.importers.engine.row import Row

_EVERY_SERVICE = ("", "[]", "null")  # a client that may ask for keys whatever the service


def read_clients(run: DatasetGatewayRun) -> Iterator[Step]:
    """With the people who are not asked again."""

    def read_client(row: Row) -> Iterator[Record]:
        if (row.text_or_none("allowed_services") or "").strip() not in _EVERY_SERVICE:
            raise no_place(f"the keys of {validation.quote(row.text('origin'))} are for some services alone")
        owner = row.text("owner").strip()
        if principals.find_by_email(run.change.database, owner) is None:
            raise Invalid(f"its owner {validation.quote(owner)} is no user's address here", "name a user there")
        name = row.title("name", "client name")
        yield Client(name, row.text("origin"), owner, row.flag("enabled"), row.moment("created"))
        run.clients[row.id] = clients.find(run.change.database, name)

    def read_consent(row: Row) -> Iterator[Record]:
        client = run.resolve(row, "client_id", "core_registeredclient", run.clients)
        yield Consent(run.user(row), client, row.moment("created"))

    yield Rows("core_registeredclient", read_client)
    yield Rows("core_clientconsent", read_consent)
