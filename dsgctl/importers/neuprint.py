"""neuPrint's authorized.json: an object of email -> level. The levels apply to the datasets that are named."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from dsgctl.core import datasets
from dsgctl.core.grant_targets import Target
from dsgctl.core.validation import quote
from dsgctl.importers.engine.import_run import ImportRun
from dsgctl.importers.engine.importer import option
from dsgctl.importers.engine.json_file import JsonFile
from dsgctl.importers.engine.people import Emails
from dsgctl.importers.engine.record_importer import RecordImporter, Rows, Step
from dsgctl.importers.engine.records import Person, PersonGrant, Record
from dsgctl.importers.engine.row import Row

_PERMISSIONS = {"readonly": "view", "readwrite": "edit"}
_ADMIN = "admin"  # of the whole server, as here


class _Levels(JsonFile):
    """The rows of the document: ``email`` and ``level``."""

    def rows(self, table: str) -> Iterator[Row]:
        for (email, level), line in zip(self.content.items(), self.lines(), strict=True):
            yield Row(table, {"email": email, "level": level}, f"line {line}")

    def total(self) -> int:
        return len(self.content)


@dataclass
class Importer(RecordImporter[ImportRun[_Levels]]):
    """Import neuPrint's authorized.json: who may read or write there.

    'readonly' gives 'view' on the datasets, 'readwrite' 'edit', and 'admin' makes an admin of the gateway. Any other
    level is left out and named.
    """

    example = "dsgctl import neuprint authorized.json --dataset fish2 --dry-run"

    datasets: tuple[str, ...] = option(
        "A dataset that the levels apply to; can be repeated.", completes="dataset", multiple=True
    )

    def open(self, source: str) -> AbstractContextManager[_Levels]:
        return nullcontext(_Levels(Path(source)))

    def read(self, run: ImportRun[_Levels]) -> Iterator[Step]:
        # A dataset that does not exist is more likely misspelled than new.
        names = [datasets.find(run.change.database, name).name for name in dict.fromkeys(self.datasets)]
        emails = Emails()

        def read_level(row: Row) -> Iterator[Record]:
            email, level = emails.require_unique(row.text("email"), row.where), row.values["level"]
            if level != _ADMIN and (not isinstance(level, str) or level not in _PERMISSIONS):
                text = quote(level) if isinstance(level, str) else quote(json.dumps(level)).strip("'")
                run.leave_out(f"{row.where}: {email} has {text} there, which is not a known level")
                return
            person = Person(email, admin=level == _ADMIN, active=True)
            yield person
            if level != _ADMIN:
                yield from (PersonGrant(person, Target(name, _PERMISSIONS[level])) for name in names)

        yield Rows("authorized.json", read_level, counts="users")
