"""A row of a source: its values, checked as they are asked for, and where it stands."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dsgctl.core import validation
from dsgctl.core.errors import Invalid
from dsgctl.core.validation import Foreign

MOST = 2**53  # ids are numbers in JSON
MEND = "mend it there first"


class Damaged(Invalid):
    """A row is not what that system would write, or names what is not there: the source is not sound.

    Never left out: what else is missing, nobody can say. A value that is sound there and only cannot be kept here is
    a plain `Invalid`.
    """

    def __init__(self, message: str, hint: str = MEND) -> None:
        super().__init__(message, hint)


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
            raise Damaged(f"{found} cannot be an id here")
        return found

    @property
    def where(self) -> str:
        return self.place or f"{self.table} row {show(self.values['id'])}"

    def text(self, column: str) -> str:
        found = self.values[column]
        if not isinstance(found, str):
            raise Damaged(f"{column} is not text")
        return found

    def text_or_none(self, column: str) -> str | None:
        return None if self.values[column] is None else self.text(column)

    def name(self, column: str, what: str) -> Foreign:
        """A name that clients compare exactly, as it is there."""
        return validation.foreign(self.text(column), what)

    def line(self, column: str) -> Foreign:
        """Text that people read, without the space around it, which some forms let pass; empty for none.

        A control character in it, which no form should have let pass, is a space here.
        """
        text = (self.text_or_none(column) or "").strip()
        if not validation.is_storable(text):
            text = self.words(column)
        return validation.foreign(text, column, empty=True)

    def title(self, column: str, what: str) -> Foreign:
        """A `line` that is not empty."""
        return validation.foreign(self.line(column), what)

    def words(self, column: str) -> Foreign:
        """Text that people read and that may be of several lines there, in one; empty for none."""
        return words(self.text_or_none(column) or "", column)

    def paragraph(self, column: str) -> Foreign:
        """Text of several lines, empty for none; a browser ends them with CR LF."""
        return paragraph(self.text_or_none(column) or "", column)

    def flag(self, column: str) -> bool:
        found = self.values[column]
        if not isinstance(found, int) or found not in (0, 1):
            raise Damaged(f"{column} is neither true nor false")
        return bool(found)

    def number(self, column: str) -> int:
        found = self.values[column]
        if not isinstance(found, int) or isinstance(found, bool):
            raise Damaged(f"{column} is not a number")
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
            raise Damaged(f"{column} is not a time") from None

    def moment_or_none(self, column: str) -> datetime | None:
        return None if self.values[column] is None else self.moment(column)


def words(text: str, what: str) -> Foreign:
    """Text of whatever lines, in one, with a space for each control character."""
    if not validation.is_storable(text):
        text = "".join(char if validation.is_storable(char) else " " for char in text)
    return validation.foreign(" ".join(text.split()), what, empty=True)


def paragraph(text: str, what: str) -> Foreign:
    """Text of several lines, whatever they end with."""
    return validation.foreign_paragraph(text.replace("\r\n", "\n").replace("\r", "\n"), what)


def show(value: object) -> str:
    """A value of whatever type, in a message."""
    return validation.quoted(value) if isinstance(value, str) else validation.quoted(repr(value)).strip("'")
