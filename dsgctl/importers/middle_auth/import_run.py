"""One run of the import of middle_auth: what it has found so far."""

from collections import Counter
from dataclasses import dataclass, field

from dsgctl.importers.engine import import_run
from dsgctl.importers.engine.row import Row
from dsgctl.importers.middle_auth.tables import Tables
from dsgctl.store.models import Principal


@dataclass(slots=True)
class MiddleAuthRun(import_run.ImportRun[Tables]):
    """What later steps need of the rows of earlier ones, by the ids that they have there."""

    users: dict[int, Principal] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    datasets: dict[int, str] = field(default_factory=dict)
    permissions: dict[int, str] = field(default_factory=dict)
    terms: dict[int, int] = field(default_factory=dict)  # id there -> id here, which is the same
    tables: dict[str, list[str]] = field(default_factory=dict)  # name of a table -> its services

    def user(self, row: Row) -> Principal:
        """The user whom ``user_id`` names."""
        return self.named(row, "user_id", "user", self.users)

    def dataset(self, row: Row) -> str:
        """The name of the dataset that ``dataset_id`` names."""
        return self.named(row, "dataset_id", "dataset", self.datasets)

    def note_counted(self, counted: Counter[str]) -> None:
        """Tell of details of many rows that have no place here: table and column -> rows."""
        for what, count in counted.items():
            rows = "row" if count == 1 else "rows"
            self.note(f"{what} of {count} {rows}: there is no place for it here")
