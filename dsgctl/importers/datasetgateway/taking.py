"""One run of the import: where it reads and writes, what it has found, and what is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, DsgError
from dsgctl.importers import BadRows, Progress, Report, first_of
from dsgctl.importers.datasetgateway.source import Row, Source
from dsgctl.store.models import Principal

Found = TypeVar("Found")

_STEP = 100  # rows from one report of progress to the next
_BATCH = 500


class _Lost(Exception):
    """A row refers to one that could not be taken over, of which the error tells already."""


@dataclass(slots=True)
class Taking:
    """What later steps need of the rows of earlier ones, by the ids that they have there."""

    change: Change
    source: Source
    progress: Progress | None
    report: Report = field(default_factory=Report)
    users: dict[int, Principal] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    datasets: dict[int, str] = field(default_factory=dict)
    versions: dict[int, Row] = field(default_factory=dict)
    permissions: dict[int, str] = field(default_factory=dict)
    services: dict[int, int] = field(default_factory=dict)  # id there -> id here
    terms: dict[int, int] = field(default_factory=dict)  # id there -> id here, which is the same
    tables: dict[int, Row] = field(default_factory=dict)
    accounts: dict[int, Principal] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)  # tokens, which must not be kept in clear anywhere
    _errors: list[DsgError] = field(default_factory=list)
    _problems: list[str] = field(default_factory=list)
    _done: int = 0
    _total: int = 0

    def each(self, table: str, take: Callable[[Row], None]) -> None:
        """Take over every row of a table; what is wrong with one is noted, and the next one taken."""
        self._total = self._total or self.source.total()
        for row in self.source.rows(table):
            self.attempt(row, take)
            self._done += 1
            if self.progress and (self._done % _STEP == 0 or self._done == self._total):
                self.progress(self._done, self._total)

    def batches(self, table: str, read: Callable[[Row], Found], write: Callable[[list[Found]], None]) -> None:
        """Take over many rows of a table at once; of what is wrong with one, ``read`` tells."""
        batch: list[Found] = []

        def take(row: Row) -> None:
            batch.append(read(row))
            if len(batch) == _BATCH:
                write(batch)
                batch.clear()

        self.each(table, take)
        write(batch)

    def attempt(self, row: Row, take: Callable[[Row], None]) -> None:
        try:
            take(row)
        except _Lost:
            pass
        except DsgError as error:
            self._errors.append(error)
            self._problems.append(f"{row.where}: {error.message}")

    def finish(self, path: Path) -> None:
        """Raises:
        Conflict, BadRows: there was something wrong; all of it is told.
        """
        if not self._errors:
            return
        for error in self._errors:
            if isinstance(error, Conflict):
                raise Conflict(f"{path}: {first_of(self._problems)}", error.hint)
        raise BadRows(path, self._problems, f"{self._errors[0].hint}; nothing was imported")

    def count(self, kind: str, new: bool) -> None:
        self.report.count(kind, new=new)

    def actor(self, user_id: int | None) -> str | None:
        """As audit records name that user."""
        return f"user:{of(self.users, user_id).email}" if user_id is not None else None

    def version(self, version_id: int | None, dataset_id: int) -> str | None:
        """The name of a version, which must be one of that dataset.

        Raises:
            Conflict: it is one of another.
        """
        if version_id is None:
            return None
        version = of(self.versions, version_id)
        if version.number("dataset_id") != dataset_id:
            raise Conflict(f"{version.where} is not a version of dataset row {dataset_id}", "mend it there first")
        return version.text("version")

    def compare(self, what: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        """Tell where a fact that is here already differs; what is here stays."""
        differing = [key.replace("_", " ") for key in there if here[key] != there[key]]
        if differing:
            self.report.skipped.append(f"{what}: {', '.join(differing)} differs there; what is here stays")


def of(found: Mapping[int, Found], there: int) -> Found:
    """What was taken over from the row of this id."""
    if there not in found:
        _lost()
    return found[there]


def _lost() -> NoReturn:
    raise _Lost
