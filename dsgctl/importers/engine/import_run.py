"""One run of an import: its source, its change, its report, and the rows that were refused or left out."""

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, DsgError, Invalid
from dsgctl.importers.engine.report import BadRows, Conflicts, Progress, Report
from dsgctl.importers.engine.row import Damaged, Row

Value = TypeVar("Value")

_STEP = 100  # rows from one report of progress to the next
_MISSING_ROW = "correct it in the source, or dump all of it at one moment"
_MOST_PROBLEMS = 1000  # nobody reads more, and a large file of another kind must not fill the memory


class Source(Protocol):
    """Tables of rows, all of one moment."""

    @property
    def name(self) -> str:
        """The source as messages name it, without secrets."""

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table, one at a time."""

    def total(self) -> int:
        """The number of all rows, for a progress bar."""


SourceType = TypeVar("SourceType", bound=Source)


class SkippedParent(Exception):
    """A row refers to a row that was refused or left out, which is reported already."""


@dataclass(slots=True)
class ImportRun(Generic[SourceType]):
    """What readers and writers of records work with.

    Attributes:
        skip_conflicts: leave out rows that conflict or cannot be stored here, and go on. A damaged source ends the
            import all the same.
        can_skip_conflicts: whether the command has the option, which errors suggest then.
    """

    change: Change
    source: SourceType
    progress: Progress | None = None
    skip_conflicts: bool = False
    can_skip_conflicts: bool = True
    report: Report = field(default_factory=Report)
    _lost: set[tuple[str, int]] = field(default_factory=set)  # table and id of rows that were not imported
    _dependents: Counter[str] = field(default_factory=Counter)  # table -> its rows that refer to a lost row
    _errors: list[DsgError] = field(default_factory=list)  # errors that end this import, in the order of the source
    _problems: list[str] = field(default_factory=list)  # the same as lines of text
    _done: int = 0
    _total: int = 0

    @property
    def has_failed(self) -> bool:
        """Whether an error was found that ends this import. What is written from then on is rolled back."""
        return bool(self._errors)

    def each(self, table: str, take: Callable[[Row], None]) -> None:
        """Call a function with every row of a table. An error is noted, and the next row follows."""
        self._total = self._total or self.source.total()
        for row in self.source.rows(table):
            self.attempt(row, take)
            self._done += 1
            if self.progress and (self._done % _STEP == 0 or self._done == self._total):
                self.progress(self._done, self._total)

    def attempt(self, row: Row, take: Callable[[Row], None]) -> bool:
        """Call a function with a row, and note its error. If the row may be left out, nothing may be written of it yet.

        Returns:
            Whether there was no error.
        """
        try:
            if row.problem:
                raise Damaged(row.problem)
            take(row)
        except (BadRows, Conflicts):  # the end of the import, raised by a row within this one
            raise
        except SkippedParent:
            self.lose_dependent(row)
            return False
        except DsgError as error:
            if self.skip_conflicts and may_be_left_out(error):
                self.leave_out(f"{row.where}: {error.message}")
            else:
                self.fail(f"{row.where}: {error.message}", error)
            self.lose(row)
            return False
        return True

    def lose(self, row: Row) -> None:
        """Note that this row is not imported, for rows that refer to it."""
        if isinstance(row.values.get("id"), int):
            self._lost.add((row.table, row.values["id"]))

    def lose_dependent(self, row: Row) -> None:
        """Note that this row is not imported because it refers to a row that is not."""
        self._dependents[row.table] += 1
        self.lose(row)

    def was_lost(self, table: str, number: int) -> bool:
        """Whether the source has a row of this id that is not imported."""
        return (table, number) in self._lost

    def fail(self, problem: str, error: DsgError) -> None:
        """Note an error that ends this import. Further rows are still read, so that all errors are reported.

        Raises:
            Conflicts, BadRows: there are too many errors to go on.
        """
        self._errors.append(error)
        self._problems.append(problem)
        if len(self._problems) >= _MOST_PROBLEMS:
            self.finish()

    def leave_out(self, line: str) -> None:
        """Report something that is not imported, and why."""
        self.report.left_out.append(line)

    def note(self, line: str) -> None:
        """Report a detail that differs from the source."""
        self.report.noted.append(line)

    def remark(self, line: str) -> None:
        """Report something worth knowing about what was imported."""
        self.report.remarks.append(line)

    def count(self, kind: str, new: bool) -> None:
        self.report.count(kind, new=new)

    def compare(self, label: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        """Report in which fields of the source an existing object differs; it is left unchanged."""
        differing = [key.replace("_", " ") for key in there if here[key] != there[key]]
        if differing:
            self.note(f"{label}: {', '.join(differing)} differs there; what is here stays")

    def resolve(self, row: Row, column: str, table: str, imported: Mapping[int, Value]) -> Value:
        """The value that was imported from the row of ``table`` whose id a column has.

        Args:
            imported: the values of that table by id.

        Raises:
            SkippedParent: that row is not imported.
            Damaged: there is no such row.
        """
        number = row.number(column)
        if number in imported:
            return imported[number]
        if self.was_lost(table, number):
            raise SkippedParent
        raise Damaged(f"{column} {number} is no row of {table}", _MISSING_ROW)

    def refuse_missing(self, column: str, table: str, imported: Container[int], places: Mapping[int, str]) -> None:
        """Refuse references that were read before the table that they refer to.

        Args:
            imported: the ids of ``table`` that were imported.
            places: id -> where the reference is.
        """
        for number, place in places.items():
            if number not in imported and not self.was_lost(table, number):
                error = Damaged(f"{column} {number} is no row of {table}", _MISSING_ROW)
                self.fail(f"{place}: {error.message}", error)

    def finish(self) -> None:
        """Report the rows that depended on rows that were left out, and that the import is done.

        Raises:
            Conflicts, BadRows: there were errors; all of them are in it.
        """
        if not self._errors:
            if self.progress:
                self.progress(self._total, self._total)
            for table, count in self._dependents.items():
                rows = "row belongs" if count == 1 else "rows belong"
                self.leave_out(f"{table}: {count} {rows} to what was left out")
            return
        name = self.source.name
        lasting = [error for error in self._errors if not may_be_left_out(error)]
        conflicts = [error for error in self._errors if isinstance(error, Conflict)]
        if lasting or not self.can_skip_conflicts:
            raise BadRows(name, self._problems, f"{(lasting or self._errors)[0].hint}; nothing was imported")
        hint = f"{(conflicts or self._errors)[0].hint}, or --skip-conflicts to leave them out; nothing was imported"
        raise (Conflicts if conflicts else BadRows)(name, self._problems, hint)


AnyRun = ImportRun[Any]  # of any source


def may_be_left_out(error: DsgError) -> bool:
    """Whether ``--skip-conflicts`` gets past an error: the row is sound there, and only cannot be stored here."""
    return isinstance(error, (Conflict, Invalid)) and not isinstance(error, Damaged)
