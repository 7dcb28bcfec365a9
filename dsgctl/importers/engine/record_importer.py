"""The base of importers that read records row by row. The engine writes them, and handles conflicts and errors."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.new_users import NewUser
from dsgctl.importers.engine.accounts import import_accounts
from dsgctl.importers.engine.import_run import AnyRun, ImportRun
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.importers.engine.records import Group, Record
from dsgctl.importers.engine.report import Progress, Report
from dsgctl.importers.engine.row import Damaged, Row
from dsgctl.importers.engine.writers import RowRecords, write_at_once, write_batch
from dsgctl.store.models import Principal


@dataclass(frozen=True, slots=True)
class Rows:
    """A step of an import: read records from rows.

    Attributes:
        rows: the name of a table of the source, or rows that were read before.
        read: yields the records of a row, or returns None for none. An error that it raises is reported with the
            place of the row, and none of its records that are written in batches are. A record that is written at
            once is written when ``read`` goes on after its ``yield``.
        checked: the rows were looked at before. Those that were lost then are skipped, and an error in another one
            means that the source contradicts itself.
        counts: the kind of record that the report counts even if the rows have none, so that a program that reads
            the answer finds a number.
        batch: the number of rows whose records are written together, each kind in turn.
    """

    rows: str | Iterable[Row]
    read: Callable[[Row], Iterable[Record] | None]
    checked: bool = False
    counts: str | None = None
    batch: int = 500


@dataclass(frozen=True, slots=True)
class Accounts:
    """A step of an import: a table of users who keep their ids. The fields are as in `import_accounts`."""

    table: str
    read: Callable[[Row], NewUser]
    imported: dict[int, Principal]


Step = Rows | Accounts | Group  # a group that every import from this system needs
RunType = TypeVar("RunType", bound=AnyRun)


class RecordImporter(BaseImporter, Generic[RunType]):
    """An importer that reads records.

    Attributes:
        run_type: the class of its runs, which may hold what later steps need of earlier ones.
    """

    run_type: ClassVar[Any] = ImportRun  # Any: a class attribute cannot have the type parameter

    @abstractmethod
    def open(self, source: str) -> AbstractContextManager[Any]:
        """Open the source; the value is the `Source` of the run.

        Raises:
            Invalid: it is not a source of this kind.
            OSError: it cannot be read.
        """

    @abstractmethod
    def read(self, run: RunType) -> Iterator[Step]:
        """The steps of the import, in the order in which records refer to each other. Each is done before the next is
        asked for."""

    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        with self.open(source) as tables:
            run = self.run_type(change, tables, progress, skip_conflicts, self.can_skip_conflicts)
            for step in self.read(run):
                match step:
                    case Accounts():
                        import_accounts(run, step.table, step.read, step.imported)
                    case Rows():
                        _import_rows(run, step)
                    case Group():
                        write_at_once(run, step)
            run.finish()
        report: Report = run.report
        return report


def _import_rows(run: AnyRun, step: Rows) -> None:
    """Write the records of a step. No batch is written after an error that ends the import: it would be rolled back,
    and its own errors would hide that one."""
    batch: list[RowRecords] = []

    def flush() -> None:
        if not run.has_failed:
            write_batch(run, batch)
        batch.clear()

    def take(row: Row) -> None:
        batch.append((row, [record for record in step.read(row) or () if not write_at_once(run, record)]))
        if len(batch) == step.batch:
            flush()

    def take_checked(row: Row) -> None:
        if isinstance(row.values["id"], int) and run.was_lost(row.table, row.values["id"]):
            return
        try:
            take(row)
        except (Conflict, Invalid) as error:
            raise Damaged(error.message) from None

    if isinstance(step.rows, str):
        run.each(step.rows, take_checked if step.checked else take)
    else:
        for row in step.rows:
            run.attempt(row, take_checked if step.checked else take)
    flush()
    if step.counts is not None:
        run.report.count_many(step.counts, new=0, of=0)
