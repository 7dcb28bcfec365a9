"""A row of a source: its values, checked as they are asked for, and where it stands."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dsgctl.core import names
from dsgctl.core.errors import Invalid

MOST = 2**53  # ids are numbers in JSON
MEND = "mend it there first"


@dataclass(frozen=True, slots=True)
class Row:
    """One row, which knows where it stands, so that what is wrong with it can be named.

    Attributes:
        place: where in the source, such as ``user.csv line 12``; by default the table and the id.
        problem: why it cannot be read at all; then it has no values.
    """

    table: str
    values: dict[str, Any]
    place: str = ""
    problem: str = ""

    @property
    def id(self) -> int:
        found = self.number("id")
        if not 0 < found < MOST:
            raise Invalid(f"{found} cannot be an id here", MEND)
        return found

    @property
    def where(self) -> str:
        return self.place or f"{self.table} row {self.values['id']}"

    def text(self, column: str) -> str:
        found = self.values[column]
        if not isinstance(found, str):
            raise Invalid(f"{column} is not text", MEND)
        return found

    def text_or_none(self, column: str) -> str | None:
        return None if self.values[column] is None else self.text(column)

    def line(self, column: str) -> str:
        """Text that people read, without the space around it, which some forms let pass."""
        return self.text(column).strip()

    def words(self, column: str) -> str:
        """Text that people read and that may be of several lines there, in one; empty for none."""
        text = self.text_or_none(column) or ""
        if names.has_control(text):
            text = "".join(" " if names.has_control(char) else char for char in text)
        return " ".join(text.split())

    def paragraph(self, column: str) -> str:
        """Text of several lines; a browser ends them with CR LF."""
        return self.text(column).replace("\r\n", "\n").replace("\r", "\n")

    def flag(self, column: str) -> bool:
        found = self.values[column]
        if found not in (0, 1):
            raise Invalid(f"{column} is neither true nor false", MEND)
        return bool(found)

    def number(self, column: str) -> int:
        found = self.values[column]
        if not isinstance(found, int):
            raise Invalid(f"{column} is not a number", MEND)
        return found

    def number_or_none(self, column: str) -> int | None:
        return None if self.values[column] is None else self.number(column)

    def moment(self, column: str) -> datetime:
        """A time; text without a zone is UTC, as those write it who keep it as text."""
        value = self.values[column]
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(self.text(column))
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Invalid(f"{column} is not a time", MEND) from None

    def moment_or_none(self, column: str) -> datetime | None:
        return None if self.values[column] is None else self.moment(column)
