"""Prints tables for people: fitted to the terminal, or whole in a pipe and with ``-o wide``."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from dsgctl.commands.formats import Row, format_for_people
from dsgctl.commands.messages import echo, printable, write_line

_MEASURED = 500  # the first rows, which decide how wide the columns are; later rows are not held in memory

# Columns that a narrow terminal shows first and last. The others come between them, in the order of the table.
_FIRST = ("id", "email", "name", "who", "user", "group", "service_account", "dataset", "location", "bucket", "member")
_LAST = ("created", "granted_by", "source", "last_used", "prefix", "kind")
# Free text may be cut. Ids, names and times are copied or compared, and stay whole.
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
_SHORTEST = 12  # characters of a text that is cut
_GAP = 3  # between two columns of a rich table; with less room, rich breaks words


def print_table(rows: Iterator[Row], columns: Sequence[str], value: str, *, wide: bool) -> None:
    """Print rows as a table; of many rows, one at a time.

    Args:
        columns: the keys to print, in this order.
        value: the key of the column that is never left out; neither is the first.
        wide: print every column, whatever the width of the terminal.
    """
    # Not at the top: other formats need not wait for rich.
    from rich.cells import cell_len

    first = list(islice(rows, _MEASURED))
    if not first:
        echo("(none)", err=True)
        return
    texts = {key: [_format_cell(row, key) for row in first] for key in columns}
    widths = {key: max(cell_len(_format_title(key)), *map(cell_len, texts[key])) for key in columns}
    fits = sys.stdout.isatty() and not wide
    room = shutil.get_terminal_size().columns
    if fits:
        # Columns without any value are left out.
        filled = [key for key in columns if key in (columns[0], value) or any(text != "-" for text in texts[key])]
        widths = _fit({key: widths[key] for key in filled}, room, (columns[0], value))
        if left_out := [_format_title(key) for key in filled if key not in widths]:
            echo(f"not shown here: {', '.join(left_out)}; -o wide shows all", err=True)

    def format_cells(row: Row) -> list[str]:
        cells = ((_format_cell(row, key), key) for key in widths)
        return [_cut(text, widths[key]) if fits and key in _CUT else text for text, key in cells]

    if sys.stdout.isatty() and len(first) < _MEASURED and _add_up(widths) <= room:
        _print_rich_table([_format_title(key) for key in widths], [format_cells(row) for row in first], room)
        return

    def align(cells: Iterable[str]) -> str:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(cells, widths.values(), strict=True))
        return "  ".join(padded).rstrip()

    write_line(align(map(_format_title, widths)))
    for row in chain(first, rows):
        write_line(align(format_cells(row)))


def _format_title(key: str) -> str:
    return key.replace("_", " ")


def _format_cell(row: Row, key: str) -> str:
    return printable(format_for_people(row[key]))


def _add_up(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * len(widths)


def _fit(widths: Mapping[str, int], room: int, needed: Sequence[str]) -> dict[str, int]:
    """Choose columns for a terminal, and their widths.

    The needed columns stay. Of the others, as many stay as fit, names first. Free text gets the room that is left.
    """
    if _add_up(widths) <= room:
        return dict(widths)
    least = {
        key: min(width, _SHORTEST) if key in _CUT and key not in needed else width for key, width in widths.items()
    }
    rank = {key: (key not in needed, key in _LAST, key not in _FIRST) for key in widths}
    chosen: set[str] = set()
    for key in sorted(widths, key=lambda key: rank[key]):
        if key in needed or _add_up({column: least[column] for column in (*chosen, key)}) <= room:
            chosen.add(key)
    fitted = {key: least[key] for key in widths if key in chosen}
    for key, width in fitted.items():
        fitted[key] = width + max(0, min(widths[key] - width, room - _add_up(fitted)))
    return fitted


def _cut(text: str, width: int) -> str:
    """Cut a text to a width. An ellipsis stands for the rest."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _print_rich_table(titles: list[str], rows: list[list[str]], room: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True)
    for cells in rows:
        table.add_row(*map(Text, cells))  # Text: a name in [brackets] is not markup
    Console(width=room, height=len(rows) + 2).print(table)  # without both, a dumb terminal has 80 columns
