"""The database of the original DatasetGateway: ids of users, datasets and terms are kept, and tokens keep working.

releases.py      which tables and columns each release has
source.py        the database file: opened, checked, read row by row
accounts.py      users, service accounts, tokens; the engine's database_run.py reads groups
check.py         what cannot be imported, found before anything is written
data.py          datasets, versions, locations, services
translations.py  what services call datasets and versions
clients.py       registered clients, and who is not asked about one again
rules.py         terms, acceptances, grants
history.py       audit records
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dsgctl.importers.datasetgateway.accounts import read_service_accounts, read_tokens, read_users
from dsgctl.importers.datasetgateway.check import lose_unusable
from dsgctl.importers.datasetgateway.clients import read_clients
from dsgctl.importers.datasetgateway.data import read_datasets, read_locations, read_services
from dsgctl.importers.datasetgateway.history import read_history
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun
from dsgctl.importers.datasetgateway.rules import read_acceptances, read_grants, read_terms
from dsgctl.importers.datasetgateway.source import Source, open_source
from dsgctl.importers.datasetgateway.translations import read_translations
from dsgctl.importers.engine.database_run import read_groups
from dsgctl.importers.engine.record_importer import RecordImporter, Step

__all__ = ["Importer"]


@dataclass
class Importer(RecordImporter[DatasetGatewayRun]):
    """Import a database of the original DatasetGateway: ids are kept, and tokens keep working."""

    example = "dsgctl import datasetgateway db.sqlite3 --dry-run"
    metavar = "DB.sqlite3"
    run_type = DatasetGatewayRun

    def open(self, source: str) -> AbstractContextManager[Source]:
        return open_source(Path(source))

    def read(self, run: DatasetGatewayRun) -> Iterator[Step]:
        yield from read_users(run)
        yield from read_groups(run)
        lose_unusable(run)
        yield from read_datasets(run)
        yield from read_locations(run)
        yield from read_services(run)
        yield from read_translations(run)
        yield from read_terms(run)
        yield from read_acceptances(run)
        yield from read_service_accounts(run)
        yield from read_grants(run)
        yield from read_clients(run)
        yield from read_tokens(run)
        yield from read_history(run)
        run.report.noted.extend(run.source.describe_ignored())
