"""The one place that prints answers: tables for people, JSON, CSV and bare values for programs."""

import csv
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import click

from dsgctl.core.names import has_control
from dsgctl.store.models import utc_text

FORMATS = ("table", "json", "jsonl", "csv", "value")
_MEASURED = 500  # rows that decide how wide the columns of a table are; later ones stream past

_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four are the wide = + - @

Row = Mapping[str, Any]


def wants_json() -> bool:
    """Whether errors are to be JSON, as the answer would have been; read from the command line as it was typed."""
    chosen = [
        argument for before, argument in zip(sys.argv, sys.argv[1:], strict=False) if before in ("-o", "--output")
    ]
    chosen += [argument.removeprefix("--output=").removeprefix("-o") for argument in sys.argv]
    return any(argument in ("json", "jsonl") for argument in chosen)


def printable(text: str, *, lines: bool = False) -> str:
    """Text that cannot move the cursor or change colours, whatever somebody stored."""
    allowed = "\n\t" if lines else ""
    if not has_control(text, allowed=allowed):
        return text
    return "".join(ascii(char)[1:-1] if has_control(char, allowed=allowed) else char for char in text)


class Output:
    """Prints the answer of one command on stdout, in the format that was asked for."""

    def __init__(self, format: str) -> None:
        self.format = format

    def rows(self, rows: Iterable[Row], columns: Sequence[str], *, value: str) -> None:
        """A list: as it comes, so that a long one starts at once and is never held in memory.

        Args:
            columns: the keys to print, in this order.
            value: the key that ``-o value`` prints alone.
        """
        picked = ({key: row[key] for key in columns} for row in rows)
        match self.format:
            case "json":
                self._json_list(picked)
            case "jsonl":
                for row in picked:
                    _line(_json(row))
            case "csv":
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows([_csv_cell(row[key]) for key in columns] for row in picked)
            case "value":
                for row in picked:
                    _line(_cell(row[value]))
            case _:
                _table(picked, columns)

    def one(self, record: Row, *, value: str) -> None:
        """One thing, with all that is known of it."""
        match self.format:
            case "json":
                click.echo(json.dumps(record, indent=2, ensure_ascii=False, default=_json_value))
            case "jsonl":
                click.echo(_json(record))
            case "csv":
                self.rows([record], list(record), value=value)
            case "value":
                click.echo(_cell(record[value]))
            case _:
                width = max(map(len, record))
                for key, held in record.items():
                    text = printable(_shown(held), lines=True).replace("\n", "\n" + " " * (width + 2))
                    click.echo(f"{key.replace('_', ' '):<{width}}  {text}".rstrip())

    def done(self, sentence: str, *, value: Any = "changed", **answer: Any) -> None:
        """What a command did: a sentence for people, ``answer`` for programs."""
        if self.format == "table":
            click.echo(printable(sentence))
        else:
            self.one(answer, value=value)

    @staticmethod
    def _json_list(rows: Iterable[Row]) -> None:
        comma = ""
        sys.stdout.write("[")
        for row in rows:
            sys.stdout.write(f"{comma}\n  {_json(row)}")
            comma = ","
        _line("\n]" if comma else "]")


def _line(text: str) -> None:
    """A line of many: unlike click.echo, without a system call for each."""
    sys.stdout.write(text + "\n")


def _json(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, default=_json_value)


def _json_value(held: Any) -> Any:
    return utc_text(held) if isinstance(held, datetime) else sorted(held) if isinstance(held, frozenset) else str(held)


def _csv_cell(held: Any) -> str:
    """A value as CSV has it; what a spreadsheet would run as a formula gets an apostrophe, and is text there.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    text = _cell(held)
    return f"'{text}" if text[:1] in _FORMULA else text


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


def _shown(held: Any) -> str:
    """A value as people read it."""
    if isinstance(held, bool):
        return "yes" if held else "-"
    if isinstance(held, datetime):
        return held.strftime("%Y-%m-%d %H:%M UTC")
    if isinstance(held, (list, tuple, frozenset)):
        return ", ".join(map(_shown, held)) or "-"
    if isinstance(held, dict):
        return ", ".join(f"{key}: {_shown(part)}" for key, part in held.items()) or "-"
    return "-" if held is None or held == "" else str(held)


def _table(rows: Iterator[Row], columns: Sequence[str]) -> None:
    # Not at the top: programs, which choose another format, need not wait for rich.
    from rich.cells import cell_len

    def cells(row: Row) -> list[str]:
        return [printable(_shown(row[key])) for key in columns]

    first = [cells(row) for row in islice(rows, _MEASURED)]
    head = [key.replace("_", " ") for key in columns]
    if not first:
        click.echo("(none)", err=True)
        return
    whole_on_terminal = sys.stdout.isatty() and len(first) < _MEASURED
    if whole_on_terminal:  # room is short there: what nothing has is left out
        kept = [n for n in range(len(head)) if n == 0 or any(texts[n] != "-" for texts in first)]
        head, *first = ([texts[n] for n in kept] for texts in (head, *first))
    widths = [max(map(cell_len, column)) for column in zip(head, *first, strict=True)]
    if whole_on_terminal and sum(widths) + 2 * len(widths) <= shutil.get_terminal_size().columns:
        _rich_table(head, first)
        return

    def line(texts: list[str]) -> str:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(texts, widths, strict=True))
        return "  ".join(padded).rstrip()

    # Also on a terminal that is too narrow: a long line can be copied, a word cut in two cannot.
    for texts in (head, *first):
        _line(line(texts))
    for row in rows:
        _line(line(cells(row)))


def _rich_table(head: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in head:
        table.add_column(title, no_wrap=True)
    for texts in rows:
        table.add_row(*map(Text, texts))  # Text: a name in [brackets] is not markup
    Console().print(table)


def counted(count: int, noun: str) -> str:
    """``1 change``, ``2 changes``: a number with its noun, of which the plural ends with s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def told(gone: Mapping[str, Any]) -> str:
    """``3 grants and 1 token``: what goes with something, in the words of ``holdings`` in core."""
    counts = {key: len(held) if isinstance(held, list) else held for key, held in gone.items()}
    words = [
        f"{count} {key.replace('_', ' ').removesuffix('s') if count == 1 else key.replace('_', ' ')}"
        for key, count in counts.items()
        if count
    ]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing else"
