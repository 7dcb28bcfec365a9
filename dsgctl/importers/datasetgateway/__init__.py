"""The database of the original DatasetGateway: ids of users, datasets and terms stay, tokens keep working."""

from pathlib import Path

from dsgctl.core.change import Change
from dsgctl.importers import Progress, Report
from dsgctl.importers.datasetgateway.accounts import take_groups, take_service_accounts, take_tokens, take_users
from dsgctl.importers.datasetgateway.check import check
from dsgctl.importers.datasetgateway.data import refuse_new_kinds, take_datasets, take_locations, take_services
from dsgctl.importers.datasetgateway.history import take_history
from dsgctl.importers.datasetgateway.rules import take_acceptances, take_grants, take_terms
from dsgctl.importers.datasetgateway.source import opened
from dsgctl.importers.datasetgateway.taking import Taking

__all__ = ["run"]

# In the order in which facts refer to each other.
_STEPS = (
    take_users, take_groups, check, take_datasets, take_locations, take_services, take_terms, take_acceptances,
    take_service_accounts, take_grants, take_tokens, refuse_new_kinds, take_history,
)  # fmt: skip


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
    with opened(source) as found:
        taking = Taking(change, found, progress, skip_conflicts)
        for step in _STEPS:
            step(taking)
        taking.report.noted.extend(found.lost())
        taking.finish()
        return taking.report
