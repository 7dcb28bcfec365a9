"""People from a CSV file: columns email, name, affiliation, notes, in any order, their names in any case.

Everybody joins the group ``user`` and gets ``view`` on one dataset. Existing accounts are only added to. A dataset
that does not exist is an error: more likely, its name is misspelled.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dsgctl.core import datasets, validation
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import Target
from dsgctl.core.repetitions import PossibleRepetitions
from dsgctl.importers.engine.csv_lines import Record as Line
from dsgctl.importers.engine.csv_lines import count_lines, read_records, read_state
from dsgctl.importers.engine.import_run import ImportRun
from dsgctl.importers.engine.importer import option
from dsgctl.importers.engine.record_importer import RecordImporter, Rows, Step
from dsgctl.importers.engine.records import Group, Membership, Person, PersonGrant, Record
from dsgctl.importers.engine.row import Damaged, Row

COLUMNS = ("email", "name", "affiliation", "notes")
_GROUP = "user"


class CsvPeople:
    """The rows of a file, without blank lines: a text for each of `COLUMNS`."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self._file = file
        self._state = read_state(file)

    def rows(self, table: str) -> Iterator[Row]:
        """The rows, each with the number of its line, and with its problem if it cannot be read.

        Raises:
            Invalid: the file cannot be read as CSV with these columns, or it changed meanwhile.
        """
        columns, lines = self._read_lines()
        for line in lines:
            place = f"line {line.line}"
            cells = [cell.strip() for cell in line.cells]
            if line.problem:
                yield Row(table, {}, place, line.problem)
            elif any(cells) and len(cells) != len(columns):
                yield Row(table, {}, place, f"{len(cells)} cells, where the header has {len(columns)}")
            elif any(cells):
                yield Row(table, dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=True)), place)
        if read_state(self._file) != self._state:
            raise Invalid(f"{self.name} was written to while it was read", "run it again when it is complete")

    def total(self) -> int:
        return count_lines(self._file) - 1

    def find_repeated_emails(self) -> PossibleRepetitions:
        """The emails that several rows have, in the form in which emails are compared.

        Raises:
            Invalid: as of `rows`.
        """
        count = self.total()
        columns, lines = self._read_lines()
        position = columns.index("email")
        emails = (line.cells[position].strip() for line in lines if len(line.cells) == len(columns))
        return PossibleRepetitions(map(validation.email_key, emails), count)

    def _read_lines(self) -> tuple[list[str], Iterator[Line]]:
        """The names of the columns, and the lines below the first."""
        lines = read_records(self.name, self._file)
        return _read_columns(self.name, next(lines, Line(1, []))), lines


@dataclass
class Importer(RecordImporter[ImportRun[CsvPeople]]):
    """Add people from a CSV file with columns email, name, affiliation, notes.

    They join the group 'user' and get 'view' on the dataset. Existing accounts are only added to.
    """

    example = "dsgctl import csv people.csv --dataset fish2 --dry-run"
    can_skip_conflicts = False

    dataset: str = option("The dataset on which everyone gets 'view'.", completes="dataset")

    @contextmanager
    def open(self, source: str) -> Iterator[CsvPeople]:
        with Path(source).open("rb") as file:
            if file.seekable():
                yield CsvPeople(str(source), file)
                return
            with tempfile.TemporaryFile() as copy:  # a pipe
                shutil.copyfileobj(file, copy)
                copy.flush()
                yield CsvPeople(str(source), copy)

    def read(self, run: ImportRun[CsvPeople]) -> Iterator[Step]:
        target = Target(datasets.find(run.change.database, self.dataset).name, "view")
        repetitions = _Repetitions(run.source.find_repeated_emails())

        def read_person(row: Row) -> Iterator[Record]:
            person = _read_person(row)
            if not repetitions.is_repeated(person, row.where):
                yield person
                yield Membership(_GROUP, person)
                yield PersonGrant(person, target)

        yield Group(_GROUP)
        yield Rows("people", read_person, batch=1000)


def _read_person(row: Row) -> Person:
    notes = row.text("notes").replace("\r\n", "\n").replace("\r", "\n")
    return Person(row.text("email"), row.text("name"), row.text("affiliation"), notes)


class _Repetitions:
    """Finds rows of one email. Nearly no others are kept, and of those only hashes, since files may be long."""

    def __init__(self, emails: PossibleRepetitions) -> None:
        self._emails = emails
        self._rows: dict[bytes, tuple[str, bytes]] = {}  # hash of an email -> its place, hash of the other cells

    def is_repeated(self, person: Person, where: str) -> bool:
        """Whether an earlier row says the same.

        Raises:
            Damaged: an earlier row has the same email and other details.
        """
        if person.key not in self._emails:
            return False
        details = _short_hash(repr((person.name, person.affiliation, person.notes)))
        place, earlier = self._rows.setdefault(_short_hash(person.key), (where, details))
        if earlier != details:
            raise Damaged(f"{person.email} is on {place} too, with other details")
        return place != where


def _short_hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _read_columns(name: str, header: Line) -> list[str]:
    """The names of the columns, from the first line."""
    if not header.encoded:
        raise Invalid(f"{name} is not UTF-8 text", "save it as CSV in UTF-8")
    if header.problem:
        raise Invalid(f"{name}, line 1: {header.problem}", "save it as CSV in UTF-8, with commas between the cells")
    for separator, plural in (";", "semicolons"), ("\t", "tabs"):
        if len(header.cells) == 1 and separator in header.cells[0]:
            raise Invalid(f"{name} has {plural} between its cells", "save it as CSV with commas between them")
    columns = [cell.strip().lower() for cell in header.cells]
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown or "email" not in columns or len(set(columns)) < len(columns):
        problem = (
            f"the column {validation.quote(unknown[0])} is unknown"
            if unknown
            else "the first line must name the columns"
        )
        raise Invalid(
            f"{name}: {problem}",
            f"the columns are {', '.join(COLUMNS)}, each once, with commas between; only email must be there",
        )
    return columns
