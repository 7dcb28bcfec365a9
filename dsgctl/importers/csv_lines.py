"""Reads CSV in UTF-8 a row at a time, whatever the file holds: each row knows its line, or what is wrong with it."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dsgctl.core.errors import Invalid

_LONGEST = 2**20  # bytes of a line: far more than a note may have


@dataclass(frozen=True, slots=True)
class Record:
    """A row of cells, or a line that cannot be read.

    Attributes:
        line: on which it begins: a quoted cell may have several.
        problem: what is wrong with it; empty if nothing is.
        encoded: whether it is UTF-8.
    """

    line: int
    cells: list[str]
    problem: str = ""
    encoded: bool = True


def records(name: str, file: BinaryIO) -> Iterator[Record]:
    """The rows of a file from its beginning, the header first; blank lines have no cells.

    Args:
        name: of the file, for messages.

    Raises:
        Invalid: a line is too long to be one.
    """
    file.seek(0)
    unreadable: list[int] = []  # lines
    reader = csv.reader(_lines(name, file, unreadable), strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(begin, [], f"not CSV ({error}); check its quotes", not unreadable)
            continue
        if unreadable:
            yield from (Record(number, [], "it is not UTF-8 text", encoded=False) for number in unreadable)
            unreadable.clear()
            continue
        yield Record(begin, cells)


def _lines(name: str, file: BinaryIO, unreadable: list[int]) -> Iterator[str]:
    """The lines of a file; those that are not UTF-8 are noted.

    Lines are decoded one by one, and not by the stream, so that a bad one can be named.
    """
    number = 0
    while line := file.readline(_LONGEST + 1):
        number += 1
        if len(line) > _LONGEST:
            raise Invalid(f"{name}, line {number}: longer than {_LONGEST} bytes", "save it as CSV, a line a row")
        if number == 1 and b"\0" in line:
            unreadable.append(number)  # a file of another kind, though its first bytes may pass for text
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            unreadable.append(number)
            yield line.decode("utf-8", "replace")
