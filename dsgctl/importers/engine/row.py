"""A row of a source: its place, and its values, which are checked when they are read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dsgctl.core import validation
from dsgctl.core.errors import Invalid
from dsgctl.core.validation import Foreign

MAX_ID = 2**53  # ids are numbers in JSON
CORRECT = "correct it in the source"


class Damaged(Invalid):
    """A row is not what that system would write, or refers to a row that does not exist.

    Such a row is never left out, since more may be missing from the source. A value that is sound there and only cannot
    be stored here is a plain `Invalid`.
    """

    def __init__(self, message: str, hint: str = CORRECT) -> None:
        super().__init__(message, hint)


@dataclass(frozen=True, slots=True)
class Row:
    """One row, with its place for messages. The methods that read a column raise `Damaged` for a value of another type,
    and `Invalid` for a text that cannot be stored here.

    Attributes:
        place: such as ``user.csv line 12``; by default the table and the id.
        problem: why the row cannot be read; it has no values then.
    """

    table: str
    values: dict[str, Any]
    place: str = ""
    problem: str = ""

    @property
    def id(self) -> int:
        number = self.number("id")
        if not 0 < number < MAX_ID:
            raise Damaged(f"{number} cannot be an id here")
        return number

    @property
    def where(self) -> str:
        return self.place or f"{self.table} row {quote_value(self.values['id'])}"

    def text(self, column: str) -> str:
        text = self.values[column]
        if not isinstance(text, str):
            raise Damaged(f"{column} is not text")
        return text

    def text_or_none(self, column: str) -> str | None:
        return None if self.values[column] is None else self.text(column)

    def name(self, column: str, label: str) -> Foreign:
        """A name that clients compare exactly, unchanged."""
        return validation.foreign(self.text(column), label)

    def line(self, column: str) -> Foreign:
        """Text for people, without surrounding space; empty for none. A control character becomes a space."""
        text = (self.text_or_none(column) or "").strip()
        if not validation.is_storable(text):
            text = self.words(column)
        return validation.foreign(text, column, empty=True)

    def title(self, column: str, label: str) -> Foreign:
        """A `line` that must not be empty."""
        return validation.foreign(self.line(column), label)

    def words(self, column: str) -> Foreign:
        """Text for people, which may have several lines there, as one line; empty for none."""
        return words(self.text_or_none(column) or "", column)

    def paragraph(self, column: str) -> Foreign:
        """Text of several lines; empty for none. Browsers end lines with CR LF."""
        return paragraph(self.text_or_none(column) or "", column)

    def flag(self, column: str) -> bool:
        flag = self.values[column]
        if not isinstance(flag, int) or flag not in (0, 1):
            raise Damaged(f"{column} is neither true nor false")
        return bool(flag)

    def number(self, column: str) -> int:
        number = self.values[column]
        if not isinstance(number, int) or isinstance(number, bool):
            raise Damaged(f"{column} is not a number")
        return number

    def number_or_none(self, column: str) -> int | None:
        return None if self.values[column] is None else self.number(column)

    def moment(self, column: str) -> datetime:
        """A time. Text without a zone is UTC."""
        value = self.values[column]
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(self.text(column))
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Damaged(f"{column} is not a time") from None

    def moment_or_none(self, column: str) -> datetime | None:
        return None if self.values[column] is None else self.moment(column)


def words(text: str, label: str) -> Foreign:
    """Text of any number of lines as one line, with a space for each control character."""
    if not validation.is_storable(text):
        text = "".join(char if validation.is_storable(char) else " " for char in text)
    return validation.foreign(" ".join(text.split()), label, empty=True)


def paragraph(text: str, label: str) -> Foreign:
    """Text of several lines, which may end with CR LF, CR or LF."""
    return validation.foreign_paragraph(text.replace("\r\n", "\n").replace("\r", "\n"), label)


def quote_value(value: object) -> str:
    """A value of any type, for a message."""
    return validation.quote(value) if isinstance(value, str) else validation.quote(repr(value)).strip("'")
