"""neuPrint's authorized.json: an object of email -> level. A level counts for the datasets that are named."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsgctl.core import datasets
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target
from dsgctl.core.validation import quoted
from dsgctl.importers.engine import people
from dsgctl.importers.engine.import_run import ImportRun
from dsgctl.importers.engine.importer import BaseImporter, option
from dsgctl.importers.engine.json_file import JsonFile
from dsgctl.importers.engine.people import Emails, RoleHolder
from dsgctl.importers.engine.report import Progress, Report
from dsgctl.importers.engine.row import Row

_PERMISSIONS = {"readonly": "view", "readwrite": "edit"}
_ADMIN = "admin"  # of the whole server, there as here


class _Levels(JsonFile):
    """The rows of the document: ``email`` and ``level``."""

    def rows(self, table: str) -> Iterator[Row]:
        for (email, level), line in zip(self.content.items(), self.lines(), strict=True):
            yield Row(table, {"email": email, "level": level}, f"line {line}")

    def total(self) -> int:
        return len(self.content)


@dataclass
class Importer(BaseImporter):
    """Import neuPrint's authorized.json: who may read or write there.

    'readonly' gives 'view' on the datasets, 'readwrite' 'edit', and 'admin' makes an admin of the gateway. Any other
    level is left out and named.
    """

    example = "dsgctl import neuprint authorized.json --dataset fish2 --dry-run"

    datasets: tuple[str, ...] = option(
        "A dataset that the levels apply to; may be given several times.", completes="dataset", multiple=True
    )

    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        names = [datasets.find(change.database, name).name for name in dict.fromkeys(self.datasets)]
        taking = ImportRun(change, _Levels(Path(source)), progress, skip_conflicts)
        emails = Emails()

        def read(row: Row) -> RoleHolder | None:
            email, level = emails.once(row.text("email"), row.where), row.values["level"]
            if level == _ADMIN:
                return RoleHolder(email, admin=True)
            if not isinstance(level, str) or level not in _PERMISSIONS:
                what = quoted(level) if isinstance(level, str) else quoted(json.dumps(level)).strip("'")
                taking.leave_out(f"{row.where}: {email} has {what} there, which is no level that is known here")
                return None
            return RoleHolder(email, grants=tuple(Target(name, _PERMISSIONS[level]) for name in names))

        def write(batch: list[RoleHolder | None]) -> None:
            people.import_role_holders(taking, [one for one in batch if one])

        taking.batches("authorized.json", read, write)
        taking.finish()
        return taking.report
