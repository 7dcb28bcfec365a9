"""The database of the original DatasetGateway: ids of users, datasets and terms stay, tokens keep working."""

from dataclasses import dataclass
from pathlib import Path

from dsgctl.core.change import Change
from dsgctl.importers.datasetgateway.accounts import import_groups, import_service_accounts, import_tokens, import_users
from dsgctl.importers.datasetgateway.check import check
from dsgctl.importers.datasetgateway.data import import_datasets, import_locations, import_services, refuse_new_kinds
from dsgctl.importers.datasetgateway.history import import_history
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun
from dsgctl.importers.datasetgateway.rules import import_acceptances, import_grants, import_terms
from dsgctl.importers.datasetgateway.source import open_source
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.importers.engine.report import Progress, Report

__all__ = ["Importer"]

# In the order in which facts refer to each other.
_STEPS = (
    import_users,
    import_groups,
    check,
    import_datasets,
    import_locations,
    import_services,
    import_terms,
    import_acceptances,
    import_service_accounts,
    import_grants,
    import_tokens,
    refuse_new_kinds,
    import_history,
)


@dataclass
class Importer(BaseImporter):
    """Import a database of the original DatasetGateway: ids are kept, and tokens keep working."""

    example = "dsgctl import datasetgateway db.sqlite3 --dry-run"
    metavar = "DB.sqlite3"

    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        with open_source(Path(source)) as found:
            taking = DatasetGatewayRun(change, found, progress, skip_conflicts)
            for step in _STEPS:
                step(taking)
            taking.report.noted.extend(found.lost())
            taking.finish()
            return taking.report
