"""The one place that prints answers: tables for people, JSON, CSV and bare values for programs."""

import csv
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Any

import click

from dsgctl.commands import streams
from dsgctl.core.errors import DsgError
from dsgctl.core.hidden_characters import escape
from dsgctl.store.models import utc_text

FORMATS = ("table", "json", "jsonl", "csv", "value", "wide")
JSON = ("json", "jsonl")
_MEASURED = 500  # rows that decide how wide the columns of a table are; later ones stream past

Row = Mapping[str, Any]


def printable(text: str, *, lines: bool = False) -> str:
    """Text that cannot move the cursor, change colours or look like another, whatever somebody stored."""
    return escape(text, allowed="\n\t" if lines else "")


def echo(text: str, *, err: bool = False, colour: str | None = None, bold: bool = False, styled: int = 0) -> None:
    """Print lines for people. Whatever is in the text, the terminal only shows it.

    Args:
        styled: how many of its first characters get the colour; all of them if nothing is said.
    """
    stream = sys.stderr if err else sys.stdout
    text = printable(text, lines=True)
    if (colour or bold) and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        size = styled or len(text)
        text = click.style(text[:size], fg=colour, bold=bold or None) + text[size:]
    stream.write(text + "\n")
    stream.flush()


def ask(question: str, **settings: Any) -> str:
    """Ask somebody at the terminal; ``settings`` as click.prompt takes them."""
    return str(click.prompt(printable(question), err=True, **settings))


def ask_yes(question: str) -> None:
    """Ask whether to go on.

    Raises:
        click.Abort: the answer was no.
    """
    click.confirm(printable(question), abort=True, err=True)


class Output:
    """Prints the answer of one command on stdout, in the format that was asked for.

    Attributes:
        format: table, json, jsonl, csv or value.
        wide: a table is to have all its columns.
        secret_shown: whether a secret was printed.
    """

    def __init__(self, format: str) -> None:
        self.secret_shown = False
        self.wide = format == "wide"
        self.format = "table" if self.wide else format
        if self.format != "table":  # for programs, which know no locale
            streams.reconfigure(sys.stdout, encoding="utf-8")

    @property
    def is_json(self) -> bool:
        return self.format in JSON

    def rows(self, rows: Iterable[Row], columns: Sequence[str], *, value: str) -> None:
        """A list: as it comes, so that a long one starts at once and is never held in memory.

        Args:
            columns: the keys to print, in this order.
            value: the key that ``-o value`` prints alone.
        """
        every = ({key: row[key] for key in columns} for row in rows)
        first = list(islice(every, 1))  # what the query refuses is refused before anything is printed
        picked = chain(first, every)
        match self.format:
            case "json":
                self._json_list(picked)
            case "jsonl":
                for row in picked:
                    _line(_json(row))
            case "csv":
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(map(_csv_cell, columns))
                writer.writerows([_csv_cell(row[key]) for key in columns] for row in picked)
            case "value":
                for row in picked:
                    _line(printable(_cell(row[value])))
            case _:
                _table(picked, columns, value, wide=self.wide)

    def one(self, record: Row, *, value: str) -> None:
        """One thing, with all that is known of it."""
        match self.format:
            case "json":
                _line(_json(record, indent=2))
            case "jsonl":
                _line(_json(record))
            case "csv":
                self.rows([record], list(record), value=value)
            case "value":
                _line(printable(_cell(record[value]), lines=True))
            case _:
                width = max(map(len, record))
                for key, held in record.items():
                    text = printable(_format_value(held), lines=True).replace("\n", "\n" + " " * (width + 2))
                    _line(printable(f"{key.replace('_', ' '):<{width}}  {text}".rstrip(), lines=True))

    def done(self, sentence: str, *, value: Any = "changed", **answer: Any) -> None:
        """What a command did: a sentence for people, ``answer`` for programs."""
        if self.format == "table":
            _line(printable(sentence))
        else:
            self.one(answer, value=value)

    def secret(self, record: Row, *, value: str, sentence: str) -> None:
        """Something that is shown this one time, with a sentence about it for people.

        To be called before the change that makes it is committed: a secret that nobody saw must not exist.

        Raises:
            DsgError: it could not be written.
        """
        try:
            streams.require_room()
            if self.format == "table":
                echo(sentence, err=True)
                _line(str(record[value]))
            else:
                self.one(record, value=value)
            streams.write_through()
            self.secret_shown = True
        except OSError as error:
            raise DsgError(
                f"the {value} cannot be written to standard output: {error.strerror or error}; nothing was changed",
                "give standard output a place, and do it again",
            ) from error

    @staticmethod
    def _json_list(rows: Iterable[Row]) -> None:
        comma = ""
        sys.stdout.write("[")
        for row in rows:
            sys.stdout.write(f"{comma}\n  {_json(row)}")
            comma = ","
        _line("\n]" if comma else "]")


def report_failure(message: str, hint: str, code: int, *, as_json: bool) -> None:
    """Print an error on stderr: a line for people, an object for those who asked for JSON."""
    if as_json:
        streams.reconfigure(sys.stderr, encoding="utf-8")
        sys.stderr.write(_json({"error": message, "hint": hint, "exit_code": code}) + "\n")
    else:
        sys.stderr.write("dsgctl: " + printable(f"{message}; {hint}" if hint else message) + "\n")
    sys.stderr.flush()


def _line(text: str) -> None:
    """A line of many: unlike click.echo, without a system call for each."""
    sys.stdout.write(text + "\n")


def _json(row: Row, indent: int | None = None) -> str:
    """JSON that a terminal can show too: what it would act on, or hide, is escaped as JSON has it."""
    text = json.dumps(row, indent=indent, ensure_ascii=False, default=_json_value)
    return escape(text, allowed="\n", spelling=_json_escape)  # the line ends are ours: JSON escapes those of values


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _json_value(held: Any) -> Any:
    return utc_text(held) if isinstance(held, datetime) else sorted(held) if isinstance(held, frozenset) else str(held)


# What a spreadsheet runs: at the start of a cell, also of one that begins where another locale's separator or a
# line's end stands in ours; blanks and quotes before it are dropped. The last four are the wide = + - @.
_FORMULA = re.compile(r"""(^|[;\t\n\r])(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])""")


def _csv_cell(held: Any) -> str:
    """A value as CSV has it; what a spreadsheet would run as a formula gets an apostrophe, and is text there.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    text = printable(_cell(held), lines=True)
    return _FORMULA.sub(r"\1'", text)


def _cell(held: Any) -> str:
    """A value as CSV and ``-o value`` have it."""
    if isinstance(held, str):  # as nearly all are
        return held
    if held is None:
        return ""
    if isinstance(held, bool):
        return "true" if held else "false"
    if isinstance(held, datetime):
        return utc_text(held)
    if isinstance(held, (list, tuple, frozenset)):
        return "; ".join(map(_cell, held))
    if isinstance(held, dict):
        return _json(held)
    return str(held)


def _format_value(held: Any) -> str:
    """A value as people read it."""
    if isinstance(held, bool):
        return "yes" if held else "-"
    if isinstance(held, datetime):
        return held.strftime("%Y-%m-%d %H:%M UTC")
    if isinstance(held, (list, tuple, frozenset)):
        return ", ".join(map(_format_value, held)) or "-"
    if isinstance(held, dict):
        return ", ".join(f"{key}: {_format_value(part)}" for key, part in held.items()) or "-"
    if isinstance(held, str) and held != held.strip(" "):
        return f"'{held}'"  # two names may differ in a space at an end alone
    return "-" if held is None or held == "" else str(held)


# Which columns a narrow terminal keeps, in this order; those of neither list in the order in which they stand.
_NAMES = ("id", "email", "name", "who", "user", "group", "service_account", "dataset", "location", "bucket", "member")
_LAST = ("created", "granted_by", "source", "last_used", "prefix", "kind")
# Free text may be cut; ids, names and moments are copied or compared, and stay whole.
_CUT = frozenset(
    (
        "description",
        "name",
        "display_name",
        "accept_url",
        "url",
        "before",
        "after",
        "holds",
        "through",
        "credential",
        "found",
        "do",
        "trouble",
        "leads",
        "datasets",
        "actor",
        "target",
    )
)
_SHORTEST = 12  # of a text that is cut
_GAP = 3  # between two columns of a rich table; with less room than that it breaks words


def _table(rows: Iterator[Row], columns: Sequence[str], value: str, *, wide: bool) -> None:
    # Not at the top: programs, which choose another format, need not wait for rich.
    from rich.cells import cell_len

    first = list(islice(rows, _MEASURED))
    if not first:
        echo("(none)", err=True)
        return
    texts = {key: [_cell_text(row, key) for row in first] for key in columns}
    widths = {key: max(cell_len(_title(key)), *map(cell_len, texts[key])) for key in columns}
    on_terminal = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns
    if on_terminal and not wide:
        # what nothing has is left out
        some = [key for key in columns if key in (columns[0], value) or any(text != "-" for text in texts[key])]
        widths = _fit({key: widths[key] for key in some}, room, (columns[0], value))
        if left_out := [_title(key) for key in some if key not in widths]:
            echo(f"not shown here: {', '.join(left_out)}; -o wide shows all", err=True)

    def cells(row: Row) -> list[str]:
        whole = ((_cell_text(row, key), key) for key in widths)
        return [_cut(text, widths[key]) if on_terminal and not wide and key in _CUT else text for text, key in whole]

    if on_terminal and len(first) < _MEASURED and _total(widths) <= room:
        _rich_table([_title(key) for key in widths], [cells(row) for row in first], room)
        return

    def line(texts: Iterable[str]) -> str:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(texts, widths.values(), strict=True))
        return "  ".join(padded).rstrip()

    _line(line(map(_title, widths)))
    for row in chain(first, rows):
        _line(line(cells(row)))


def _title(key: str) -> str:
    return key.replace("_", " ")


def _cell_text(row: Row, key: str) -> str:
    return printable(_format_value(row[key]))


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * len(widths)


def _fit(widths: Mapping[str, int], room: int, needed: Sequence[str]) -> dict[str, int]:
    """The columns for a terminal of a width, each with its own: those that are needed, and of the others as many
    as fit, names first; free text gets what is left."""
    if _total(widths) <= room:
        return dict(widths)
    least = {
        key: min(width, _SHORTEST) if key in _CUT and key not in needed else width for key, width in widths.items()
    }
    rank = {key: (key not in needed, key in _LAST, key not in _NAMES) for key in widths}
    chosen: set[str] = set()
    for key in sorted(widths, key=lambda key: rank[key]):
        if key in needed or _total({one: least[one] for one in (*chosen, key)}) <= room:
            chosen.add(key)
    fitted = {key: least[key] for key in widths if key in chosen}
    for key, width in fitted.items():
        fitted[key] = width + max(0, min(widths[key] - width, room - _total(fitted)))
    return fitted


def _cut(text: str, width: int) -> str:
    """A text in a width, with an ellipsis where the rest of it would be."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _rich_table(head: list[str], rows: list[list[str]], room: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in head:
        table.add_column(title, no_wrap=True)
    for texts in rows:
        table.add_row(*map(Text, texts))  # Text: a name in [brackets] is not markup
    Console(width=room, height=len(rows) + 2).print(table)  # without both, a dumb terminal has 80 columns


def warn(text: str) -> None:
    """Something that an operator should know of a command that succeeded, in one line, beside the answer."""
    echo(f"warning: {text}", err=True)


def format_holdings(gone: Mapping[str, Any]) -> str:
    """``3 grants and 1 token``: what goes with something, in the words of ``holdings`` in core."""
    counts = {key: len(held) if isinstance(held, list) else held for key, held in gone.items()}
    words = [
        f"{count} {key.replace('_', ' ').removesuffix('s') if count == 1 else key.replace('_', ' ')}"
        for key, count in counts.items()
        if count
    ]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing else"
