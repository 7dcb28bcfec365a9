"""The database of the original DatasetGateway: ids of users, datasets and terms stay, tokens keep working."""

from pathlib import Path

from dsgctl.core.change import Change
from dsgctl.core.errors import DsgError
from dsgctl.importers import Progress, Report
from dsgctl.importers.datasetgateway.source import opened
from dsgctl.importers.datasetgateway.taking import STEPS, Taking

__all__ = ["run"]


def run(change: Change, source: Path, *, progress: Progress | None = None) -> Report:
    """Take over all that a database of the original server holds, in the caller's transaction.

    What is here already stays as it is here, so that a second run changes nothing, nor undoes
    what an operator has decided since the first.

    Raises:
        Invalid: the file is damaged, of another program, or a value in it cannot be kept here.
        Conflict: an id, a name or an address is somebody else's here.
    """
    with opened(source) as found:
        taking = Taking(change, found, progress)
        try:
            for step in STEPS:
                step(taking)
        except DsgError as error:
            raise type(error)(f"{source}: {error.message}", error.hint) from None
        return taking.report
