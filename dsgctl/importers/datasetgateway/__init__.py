"""The database of the original DatasetGateway: ids of users, datasets and terms stay, tokens keep working."""

from pathlib import Path

from dsgctl.core.change import Change
from dsgctl.importers.datasetgateway.accounts import import_groups, import_service_accounts, import_tokens, import_users
from dsgctl.importers.datasetgateway.check import check
from dsgctl.importers.datasetgateway.data import import_datasets, import_locations, import_services, refuse_new_kinds
from dsgctl.importers.datasetgateway.history import import_history
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun
from dsgctl.importers.datasetgateway.rules import import_acceptances, import_grants, import_terms
from dsgctl.importers.datasetgateway.source import open_source
from dsgctl.importers.engine.report import Progress, Report

__all__ = ["run"]

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


def run(change: Change, source: Path, *, skip_conflicts: bool = False, progress: Progress | None = None) -> Report:
    """Take over all that a database of the original server holds, in the caller's transaction.

    What is here already stays as it is here, and a second run changes nothing; where the two differ,
    the report says so. What was removed here since, such as a grant, comes back: it is new here.

    Args:
        skip_conflicts: leave out that against which something stands, with all that hangs on it, and say so.

    Raises:
        BadRows: values in it cannot be kept here; every such row is told.
        Invalid: the file is damaged, or of another program or release.
        Conflict: an id, a name or an address is somebody else's here.
    """
    with open_source(source) as found:
        taking = DatasetGatewayRun(change, found, progress, skip_conflicts)
        for step in _STEPS:
            step(taking)
        taking.report.noted.extend(found.lost())
        taking.finish()
        return taking.report
