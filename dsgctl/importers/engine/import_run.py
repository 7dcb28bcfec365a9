"""One run of an import: where it reads and writes, what it has found, and what is wrong with it."""

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, DsgError, Invalid
from dsgctl.importers.engine.report import BadRows, Conflicts, Progress, Report
from dsgctl.importers.engine.row import Damaged, Row

Found = TypeVar("Found")

_STEP = 100  # rows from one report of progress to the next
_BATCH = 500
_NOWHERE = "mend it there first, or dump all of it at one moment"
_MOST_PROBLEMS = 1000  # nobody reads more, and a large file of another kind must not fill the memory


class Source(Protocol):
    """What is read: tables of rows, all of one moment."""

    @property
    def name(self) -> str:
        """As messages name it; no secret is in it."""

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table, one at a time."""

    def total(self) -> int:
        """How many there are in all, for a bar; 0 if that is not known."""


SourceType = TypeVar("SourceType", bound=Source)


class SkippedParent(Exception):
    """A row refers to one that could not be taken over, of which another line tells already."""


@dataclass(slots=True)
class ImportRun(Generic[SourceType]):
    """What the steps of an import work with.

    Attributes:
        skip_conflicts: leave a row out against which something stands, or that cannot be kept here, and go on; a source
            that is damaged ends it all the same.
    """

    change: Change
    source: SourceType
    progress: Progress | None = None
    skip_conflicts: bool = False
    report: Report = field(default_factory=Report)
    _lost: set[tuple[str, int]] = field(default_factory=set)  # table and id of rows that were not taken over
    _depending: Counter[str] = field(default_factory=Counter)  # table -> its rows that refer to one of those
    _errors: list[DsgError] = field(default_factory=list)  # what ends this import, in the order of the source
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

    def each_checked(self, table: str, take: Callable[[Row], None]) -> None:
        """The same, of rows that were looked at before: those that were lost then are passed over, and what is wrong
        with another means that the source contradicts itself."""

        def take_sound(row: Row) -> None:
            if isinstance(row.values["id"], int) and self.was_lost(table, row.values["id"]):
                return
            try:
                take(row)
            except (Conflict, Invalid) as error:
                raise Damaged(error.message) from None

        self.each(table, take_sound)

    def batches(self, table: str, read: Callable[[Row], Found], write: Callable[[list[Found]], None]) -> None:
        """Take over many rows of a table at once; of what is wrong with one, ``read`` tells.

        Nothing is written any more once something has been found that ends the import: it would be undone, and what
        cannot be written because of that would hide it.
        """
        batch: list[Found] = []

        def flush() -> None:
            if not self._errors:
                write(batch)
            batch.clear()

        def take(row: Row) -> None:
            batch.append(read(row))
            if len(batch) == _BATCH:
                flush()

        self.each(table, take)
        flush()

    def attempt(self, row: Row, take: Callable[[Row], None]) -> None:
        """Take over a row. Against a row that is left out, nothing may have been written yet."""
        try:
            if row.problem:
                raise Damaged(row.problem)
            take(row)
        except (BadRows, Conflicts):  # the end of it all, from a row within this one
            raise
        except SkippedParent:
            self.lose_dependent(row)
        except DsgError as error:
            if self.skip_conflicts and may_be_left_out(error):
                self.leave_out(f"{row.where}: {error.message}")
            else:
                self.fail(f"{row.where}: {error.message}", error)
            self.lose(row)

    def lose(self, row: Row) -> None:
        """Note that this row was not taken over, for those that refer to it."""
        if isinstance(row.values.get("id"), int):
            self._lost.add((row.table, row.values["id"]))

    def lose_dependent(self, row: Row) -> None:
        """The same of a row that must not be here without one that was lost."""
        self._depending[row.table] += 1
        self.lose(row)

    def was_lost(self, table: str, number: int) -> bool:
        """Whether the row of this id is there and was not taken over."""
        return (table, number) in self._lost

    def fail(self, problem: str, error: DsgError) -> None:
        """Note what ends this import; the rest is looked at all the same, so that all of it can be told.

        Raises:
            Conflict, BadRows: there is too much of it.
        """
        self._errors.append(error)
        self._problems.append(problem)
        if len(self._problems) >= _MOST_PROBLEMS:
            self.finish()

    def leave_out(self, line: str) -> None:
        """Tell of a fact that is not taken over, and why."""
        self.report.left_out.append(line)

    def note(self, line: str) -> None:
        """Tell of a detail that is otherwise here."""
        self.report.noted.append(line)

    def remark(self, line: str) -> None:
        """Tell of what became of something that was taken over."""
        self.report.remarks.append(line)

    def named(self, row: Row, column: str, table: str, found: Mapping[int, Found]) -> Found:
        """What was taken over from the row of ``table`` that a column names.

        Raises:
            Lost: that row was not taken over.
            Invalid: there is no such row.
        """
        number = row.number(column)
        if number in found:
            return found[number]
        if self.was_lost(table, number):
            raise SkippedParent
        raise Damaged(f"{column} {number} is no row of {table}", _NOWHERE)

    def refuse_strangers(self, column: str, table: str, found: Container[int], places: Mapping[int, str]) -> None:
        """Refuse rows that named rows of a table before that was read, and that are not in it.

        Args:
            found: the ids that were taken over of ``table``.
            places: an id that was named -> where it was.
        """
        for number, place in places.items():
            if number not in found and not self.was_lost(table, number):
                error = Damaged(f"{column} {number} is no row of {table}", _NOWHERE)
                self.fail(f"{place}: {error.message}", error)

    def finish(self) -> None:
        """Tell what hung on rows that were left out, and that all is done.

        Raises:
            Conflicts, BadRows: there was something wrong; all of it is told.
        """
        if not self._errors:
            if self.progress:
                self.progress(self._total, self._total)
            for table, count in self._depending.items():
                rows = "row belongs" if count == 1 else "rows belong"
                self.leave_out(f"{table}: {count} {rows} to what was left out")
            return
        name = self.source.name
        lasting = [error for error in self._errors if not may_be_left_out(error)]
        if lasting:
            raise BadRows(name, self._problems, f"{lasting[0].hint}; nothing was imported")
        conflicts = [error for error in self._errors if isinstance(error, Conflict)]
        hint = f"{(conflicts or self._errors)[0].hint}, or --skip-conflicts to leave them out; nothing was imported"
        raise (Conflicts if conflicts else BadRows)(name, self._problems, hint)

    def count(self, kind: str, new: bool) -> None:
        self.report.count(kind, new=new)

    def compare(self, what: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        """Tell where a fact that is here already differs; what is here stays."""
        differing = [key.replace("_", " ") for key in there if here[key] != there[key]]
        if differing:
            self.note(f"{what}: {', '.join(differing)} differs there; what is here stays")


def may_be_left_out(error: DsgError) -> bool:
    """Whether ``--skip-conflicts`` gets past it: the row is sound there, and only cannot be kept here."""
    return isinstance(error, (Conflict, Invalid)) and not isinstance(error, Damaged)
