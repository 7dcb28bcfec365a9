"""People from a CSV file: columns email, name, affiliation, notes, in any order, their names in any case.

Everybody joins the group ``user`` and gets ``view`` on one dataset. What is known of people is only
added to. The file is read twice, first to check all of it, so that memory holds a batch of it at most
and every bad row is named before anything is written. A dataset that is not there is an error, and not
made: it is more likely a typing mistake.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from dsgctl.core import datasets, grant_import, grants, groups, new_users, users, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import Subject, Target
from dsgctl.core.new_users import NewUser
from dsgctl.importers.engine.csv_lines import Record, records
from dsgctl.importers.engine.importer import BaseImporter, option
from dsgctl.importers.engine.report import BadRows, Progress, Report
from dsgctl.store.models import Group

COLUMNS = ("email", "name", "affiliation", "notes")
_GROUP = "user"
_BATCH = 1000
_MEND = "nothing was imported; mend the file and run it again"


@dataclass(frozen=True, slots=True)
class Person:
    """A row. ``line``: the line of the file on which it begins (a quoted cell may have several)."""

    line: int
    email: str
    name: str
    affiliation: str
    notes: str

    @property
    def key(self) -> str:
        """The email as emails are compared."""
        return validation.email_key(self.email)


@dataclass
class Importer(BaseImporter):
    """Add people from a CSV file with columns email, name, affiliation, notes.

    They join the group 'user' and get 'view' on the dataset. Existing accounts are only added to.
    """

    example = "dsgctl import csv people.csv --dataset fish2 --dry-run"
    can_skip_conflicts = False

    dataset: str = option("The dataset on which everyone gets 'view'.", completes="dataset")

    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        datasets.find(change.database, self.dataset)
        path = Path(source)
        report = Report()
        with _open_source(path) as file:
            total = _check(path, file)
            group, new_group = groups.add(change, _GROUP)
            report.count("groups", new=new_group)
            people = _people(path, file, [])
            done = 0
            while batch := list(islice(people, _BATCH)):
                _import(change, batch, report, source=path, group=group, target=Target(self.dataset, "view"))
                done += len(batch)
                if progress:
                    progress(done, total)
            if done != total:
                raise Invalid(f"{source} was written to while it was read", "run it again when it is complete")
        return report


def _import(change: Change, batch: list[Person], report: Report, *, source: Path, group: Group, target: Target) -> None:
    database = change.database
    people = {person.key: person for person in reversed(batch)}  # those that stand twice are the same (`_check`)
    known = new_users.find_by_emails(database, people)
    new = [person for key, person in reversed(people.items()) if key not in known]
    added = new_users.add_all(change, [_new_user(person) for person in new])
    report.counts("users", new=len(new), of=len(people))
    for key, (user, have) in known.items():
        person = people[key]
        try:
            extended = users.extend(
                change, user, name=person.name, affiliation=person.affiliation, note=person.notes, affiliations=have
            )
        except Invalid as error:  # what there is and what is added may be too long together
            raise BadRows(source, [f"line {person.line}: {error.message}"], _MEND) from None
        report.count("people added to", new=extended)

    emails = {user.id: user.email for user, _ in known.values()}
    members = groups.confirm_members(change, group, emails)
    ends = grant_import.list_ends(database, target, emails)
    emails |= {user.id: user.email for user in added}  # who are and hold nothing yet

    joining = [principal_id for principal_id in emails if principal_id not in members]
    groups.add_members(change, group, joining, [emails[principal_id] for principal_id in joining])
    report.counts("memberships", new=len(joining), of=len(emails))

    given = [principal_id for principal_id in emails if principal_id not in ends]
    subjects = [Subject(f"user:{emails[principal_id]}", principal_id=principal_id) for principal_id in given]
    grants.add_all(change, subjects, target, source="import")
    report.counts("grants", new=len(given), of=len(emails))
    for principal_id, end in ends.items():
        if end is not None:
            email = emails[principal_id]
            report.noted.append(
                f"line {people[validation.email_key(email)].line}: {email} has view on {target.dataset} already, "
                f"until {end:%Y-%m-%d}, and keeps it until then only"
            )


def _new_user(person: Person) -> NewUser:
    affiliations = (person.affiliation,) if person.affiliation else ()
    return NewUser(person.email, {"name": person.name, "notes": person.notes}, affiliations)


def _check(source: Path, file: BinaryIO) -> int:
    """Check every row. Returns how many there are.

    Raises:
        BadRows: with all that are bad.
    """
    problems: list[str] = []
    seen: dict[bytes, tuple[int, bytes]] = {}  # hash of an email -> its line, hash of its row; small for long files
    count = 0
    for person in _people(source, file, problems):
        count += 1
        try:
            validation.email(person.email)
            validation.single_line(person.name, "name", empty=True)
            validation.single_line(person.affiliation, "affiliation", empty=True)
            validation.multiline(person.notes, "note")
        except Invalid as error:
            problems.append(f"line {person.line}: {error.message}")
            continue
        row = _short_hash(repr((person.name, person.affiliation, person.notes)))
        line, first = seen.setdefault(_short_hash(person.key), (person.line, row))
        if first != row:
            problems.append(f"line {person.line}: {person.email} stands on line {line} too, with other details")
    if problems:
        raise BadRows(source, problems, _MEND)
    return count


def _short_hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


@contextmanager
def _open_source(source: Path) -> Iterator[BinaryIO]:
    """The file, or a copy of what comes through a pipe, which cannot be read twice."""
    with source.open("rb") as file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            yield copy


def _people(source: Path, file: BinaryIO, problems: list[str]) -> Iterator[Person]:
    """The rows of a file, blank lines left out.

    Args:
        problems: is told which rows cannot be read; they are left out.
    """
    rows = records(str(source), file)
    columns = _columns(source, next(rows, Record(1, [])))
    for record in rows:
        if record.problem:
            problems.append(f"line {record.line}: {record.problem}")
            continue
        cells = [cell.strip() for cell in record.cells]
        if not any(cells):
            continue
        if len(cells) != len(columns):
            problems.append(f"line {record.line}: {len(cells)} cells, where the header has {len(columns)}")
            continue
        found = dict(zip(columns, cells, strict=True))
        notes = found.get("notes", "").replace("\r\n", "\n").replace("\r", "\n")
        yield Person(record.line, found["email"], found.get("name", ""), found.get("affiliation", ""), notes)


def _columns(source: Path, header: Record) -> list[str]:
    """The names of the columns, from the first line."""
    if not header.encoded:
        raise Invalid(f"{source} is not UTF-8 text", "save it as CSV in UTF-8")
    if header.problem:
        raise Invalid(f"{source}, line 1: {header.problem}", "save it as CSV in UTF-8, with commas between the cells")
    for separator, called in (";", "semicolons"), ("\t", "tabs"):
        if len(header.cells) == 1 and separator in header.cells[0]:
            raise Invalid(f"{source} has {called} between its cells", "save it as CSV with commas between them")
    columns = [cell.strip().lower() for cell in header.cells]
    strange = [column for column in columns if column not in COLUMNS]
    if strange or "email" not in columns or len(set(columns)) < len(columns):
        what = (
            f"the column {validation.quoted(strange[0])} is unknown"
            if strange
            else "the first line must name the columns"
        )
        raise Invalid(
            f"{source}: {what}",
            f"the columns are {', '.join(COLUMNS)}, each once, with commas between; only email must be there",
        )
    return columns
