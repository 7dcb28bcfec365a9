"""One run of the import of middle_auth: what later rows need of earlier ones."""

from collections import Counter
from dataclasses import dataclass, field

from dsgctl.importers.engine.database_run import DatabaseRun
from dsgctl.importers.middle_auth.tables import Tables


@dataclass(slots=True)
class MiddleAuthRun(DatabaseRun[Tables]):
    """What was imported, by the ids there."""

    USER_TABLE = "user"
    GROUP_TABLE = "group"
    LEADS_COLUMN = "admin"

    tables: dict[str, list[str]] = field(default_factory=dict)  # name of a table -> its services

    def note_ignored(self, counts: Counter[str]) -> None:
        """Report details that have no place here: table and column -> the number of rows."""
        for detail, count in counts.items():
            rows = "row" if count == 1 else "rows"
            self.note(f"{detail} of {count} {rows}: there is no place for it here")
