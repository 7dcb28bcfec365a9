"""People from a CSV file: columns email, name, affiliation, notes, in any order, their names in any case.

Everybody joins the group ``user`` and gets ``view`` on one dataset. What is known of people is only
added to. The file is read twice, first to check all of it, so that memory holds a batch at most and
every bad row is named before anything is written. A dataset that is not there is an error, and not
made: it is more likely a typing mistake.
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dsgctl.core import datasets, grants, groups, names, users
from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.core.grants import Subject, Target
from dsgctl.core.users import NewUser
from dsgctl.importers import Progress, Report
from dsgctl.store.models import Group

COLUMNS = ("email", "name", "affiliation", "notes")
_GROUP = "user"
_BATCH = 1000
_NAMED = 20  # problems named in the error itself; all are in its `problems`


class BadRows(Invalid):
    """Rows that cannot be imported.

    Attributes:
        problems: each bad row in a line, with the number of its line in the file.
    """

    def __init__(self, source: Path, problems: list[str]) -> None:
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        rows = "row" if len(problems) == 1 else "rows"
        super().__init__(
            f"{source}: {len(problems)} bad {rows}: {'; '.join(problems[:_NAMED])}{more}",
            "nothing was imported; mend the file and run it again",
        )
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Person:
    """A row. ``line``: the last line of the file that it stands on."""

    line: int
    email: str
    name: str
    affiliation: str
    notes: str


def run(change: Change, source: Path, dataset: str, *, progress: Progress | None = None) -> Report:
    """Import the people of a file, in the caller's transaction.

    Raises:
        BadRows: some rows are not of their form.
        Invalid: the file cannot be read as CSV with these columns.
        NotFound: there is no such dataset.
    """
    datasets.find(change.database, dataset)
    total = _checked(source)
    group, new_group = groups.add(change, _GROUP)
    report = Report()
    report.count("groups", new=new_group)
    people = _people(source)
    done = 0
    while batch := _merged(islice(people, _BATCH)):
        _import(change, group, Target(dataset, "view"), batch, report)
        done += len(batch)
        if progress:
            progress(done, total)
    return report


def _import(change: Change, group: Group, target: Target, batch: list[Person], report: Report) -> None:
    database = change.database
    known = users.known_among(database, [person.email for person in batch])
    new = [person for person in batch if person.email.lower() not in known]
    users.add_all(change, [_new_user(person) for person in new])
    for person in batch:
        if person.email.lower() in known:
            user, have = known[person.email.lower()]
            extended = users.extend(
                change, user, name=person.name, affiliation=person.affiliation, note=person.notes, have=have
            )
            report.count("people added to", new=extended)
    report.added["users"] += len(new)
    report.unchanged["users"] += len(batch) - len(new)

    emails = {person.email.lower(): person.email for person in batch}
    ids = {key: principal_id for key, principal_id in users.ids_by_email(database, emails).items() if key in emails}
    members = groups.members_among(database, group, ids.values())
    joining = [key for key, principal_id in ids.items() if principal_id not in members]
    groups.add_members(change, group, [ids[key] for key in joining], [emails[key] for key in joining])
    report.added["memberships"] += len(joining)
    report.unchanged["memberships"] += len(ids) - len(joining)

    holders = grants.holders_among(database, target, ids.values())
    given = [key for key, principal_id in ids.items() if principal_id not in holders]
    subjects = [Subject(f"user:{emails[key]}", principal_id=ids[key]) for key in given]
    grants.add_all(change, subjects, target, source="import")
    report.added["grants"] += len(given)
    report.unchanged["grants"] += len(ids) - len(given)


def _new_user(person: Person) -> NewUser:
    affiliations = (person.affiliation,) if person.affiliation else ()
    return NewUser(person.email, {"name": person.name, "notes": person.notes}, affiliations)


def _merged(people: Iterator[Person]) -> list[Person]:
    """A batch with each person once; rows that stand twice are the same (`_checked`)."""
    return list({person.email.lower(): person for person in people}.values())


def _checked(source: Path) -> int:
    """Check every row. Returns how many there are.

    Raises:
        BadRows: with all that are bad.
    """
    problems: list[str] = []
    seen: dict[bytes, tuple[int, bytes]] = {}  # hash of an email -> its line, hash of its row; small for long files
    count = 0
    for person in _people(source, problems):
        count += 1
        try:
            names.email(person.email)
            names.line(person.name, "name", empty=True)
            names.line(person.affiliation, "affiliation", empty=True)
            names.paragraph(person.notes, "note")
        except Invalid as error:
            problems.append(f"line {person.line}: {error.message}")
            continue
        key = _short_hash(person.email.lower())
        row = _short_hash(repr((person.name, person.affiliation, person.notes)))
        line, first = seen.setdefault(key, (person.line, row))
        if first != row:
            problems.append(f"line {person.line}: {person.email} stands on line {line} too, with other details")
    if problems:
        raise BadRows(source, problems)
    return count


def _short_hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _people(source: Path, problems: list[str] | None = None) -> Iterator[Person]:
    """The rows of a file, blank lines left out.

    Args:
        problems: where rows with too few or too many cells are told, which are left out then.
    """
    try:
        with source.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            columns = _columns(source, next(reader, None))
            for cells in reader:
                if not cells or not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(columns):
                    if problems is not None:
                        problems.append(
                            f"line {reader.line_num}: {len(cells)} cells, where the header has {len(columns)}"
                        )
                    continue
                found = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
                yield Person(reader.line_num, *(found.get(name, "") for name in COLUMNS))
    except csv.Error as error:
        raise Invalid(f"{source}, line {reader.line_num}: not CSV ({error})", "check its quotes") from None
    except UnicodeDecodeError:
        raise Invalid(f"{source} is not UTF-8 text", "save it as CSV in UTF-8") from None


def _columns(source: Path, header: list[str] | None) -> list[str]:
    columns = [cell.strip().lower() for cell in header or []]
    strange = [column for column in columns if column not in COLUMNS]
    if strange or "email" not in columns or len(set(columns)) < len(columns):
        what = f"the column {names.shown(strange[0])} is unknown" if strange else "the first line must name the columns"
        raise Invalid(f"{source}: {what}", f"the columns are {', '.join(COLUMNS)}, each once; only email must be there")
    return columns
