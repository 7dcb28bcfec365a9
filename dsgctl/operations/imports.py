"""Runs an import, and reports the people who have more than one account because of it."""

from collections.abc import Iterator

from dsgctl.core import addresses
from dsgctl.core.change import Change
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.importers.engine.report import Progress, Report
from dsgctl.wording import format_count

_MOST_TWINS = 20  # people that a report names


def run_import(
    importer: BaseImporter, change: Change, source: str, *, skip_conflicts: bool, progress: Progress | None = None
) -> Report:
    """Import a source in the caller's transaction.

    Args:
        source, skip_conflicts, progress: as of `BaseImporter.run`, which says what is raised.

    Returns:
        The importer's report; its remarks name new addresses that most likely reach a person who has an account.
    """
    twins = addresses.list_twins(change.database)
    report = importer.run(change, source, skip_conflicts=skip_conflicts, progress=progress)
    if report.added["users"]:
        report.remarks.extend(_describe_new_twins(twins, addresses.list_twins(change.database)))
    return report


def _describe_new_twins(before: list[list[str]], after: list[list[str]]) -> Iterator[str]:
    former = set(map(frozenset, before))
    new = [twins for twins in after if frozenset(twins) not in former]
    for twins in new[:_MOST_TWINS]:
        accounts = format_count(len(twins), "account")
        yield f"{' and '.join(twins)} most likely reach the same person, and are {accounts}"
    if len(new) > _MOST_TWINS:
        yield f"and {len(new) - _MOST_TWINS} more such people: dsgctl doctor"
