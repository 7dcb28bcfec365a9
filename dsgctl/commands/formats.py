"""Formats one value: as JSON, as CSV, as plain text for programs, and for people."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dsgctl.commands.messages import printable
from dsgctl.core.hidden_characters import escape
from dsgctl.store.times import utc_text

Row = Mapping[str, Any]


def format_json(row: Row, indent: int | None = None) -> str:
    """JSON in which whatever a terminal acts on or hides is escaped."""
    encoder = _ENCODER if indent is None else json.JSONEncoder(indent=indent, **_JSON_SETTINGS)
    text = encoder.encode(row)
    return escape(text, allowed="\n", spelling=_escape_character)  # JSON has escaped the line ends within values


def _escape_character(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _encode_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return utc_text(value)
    return sorted(value) if isinstance(value, frozenset) else str(value)


_JSON_SETTINGS: Any = {"ensure_ascii": False, "default": _encode_value}
_ENCODER = json.JSONEncoder(**_JSON_SETTINGS)  # made once: json.dumps with settings makes one for each row


# The beginning of what a spreadsheet runs: at the start of a cell, or after a character that separates cells or rows
# in another locale. Spreadsheets skip blanks and quotes before it. The last four characters are the wide = + - @.
_FORMULA = r"""(^|[;\t\n\r])(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])"""  # compiled at the first use
# The same in a row of one line whose cells are joined by semicolons. It finds too much, as it may span empty cells, but
# never too little; and what begins with one character is found fast.
_FORMULA_IN_ROW = r""";[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20]"""


def format_csv_row(values: Iterable[Any]) -> list[str]:
    """The cells of a row, each as of `format_csv_cell`. Most rows have nothing to escape: they are searched once."""
    cells = [value if type(value) is str else format_cell(value) for value in values]
    row = ";" + ";".join(cells)
    needs_escapes = printable(row) != row or re.search(_FORMULA_IN_ROW, row)
    return [format_csv_cell(cell) for cell in cells] if needs_escapes else cells


def format_csv_cell(value: Any) -> str:
    """A value in CSV. An apostrophe keeps a spreadsheet from running it as a formula.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    text = printable(format_cell(value), lines=True)
    return re.sub(_FORMULA, r"\1'", text)


def format_cell(value: Any) -> str:
    """A value for programs, as ``-o csv`` and ``-o value`` print it."""
    if isinstance(value, str):  # as nearly all are
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, (list, tuple, frozenset)):
        return "; ".join(map(format_cell, value))
    if isinstance(value, dict):
        return format_json(value)
    return str(value)


def format_for_people(value: Any) -> str:
    """A value for people, as ``-o table`` prints it."""
    if isinstance(value, bool):
        return "yes" if value else "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    if isinstance(value, (list, tuple, frozenset)):
        return ", ".join(map(format_for_people, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {format_for_people(part)}" for key, part in value.items()) or "-"
    if isinstance(value, str) and value != value.strip(" "):
        return f"'{value}'"  # two names can differ only in a space at the end
    return "-" if value is None or value == "" else str(value)
