"""One run of the import of middle_auth: what later rows need of earlier ones."""

from collections import Counter
from dataclasses import dataclass, field

from dsgctl.importers.engine.import_run import ImportRun
from dsgctl.importers.engine.row import Row
from dsgctl.importers.middle_auth.tables import Tables
from dsgctl.store.models import Principal


@dataclass(slots=True)
class MiddleAuthRun(ImportRun[Tables]):
    """What was imported, by the ids there."""

    users: dict[int, Principal] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    datasets: dict[int, str] = field(default_factory=dict)
    permissions: dict[int, str] = field(default_factory=dict)
    terms: dict[int, int] = field(default_factory=dict)  # id there -> id here, which is the same
    tables: dict[str, list[str]] = field(default_factory=dict)  # name of a table -> its services

    def user(self, row: Row) -> Principal:
        """The user of a row's ``user_id``."""
        return self.resolve(row, "user_id", "user", self.users)

    def group(self, row: Row) -> str:
        """The name of the group of a row's ``group_id``."""
        return self.resolve(row, "group_id", "group", self.groups)

    def dataset(self, row: Row) -> str:
        """The name of the dataset of a row's ``dataset_id``."""
        return self.resolve(row, "dataset_id", "dataset", self.datasets)

    def note_ignored(self, counts: Counter[str]) -> None:
        """Report details that have no place here: table and column -> the number of rows."""
        for detail, count in counts.items():
            rows = "row" if count == 1 else "rows"
            self.note(f"{detail} of {count} {rows}: there is no place for it here")
