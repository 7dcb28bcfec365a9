"""Reads CSV in UTF-8 a row at a time, from any file: each row has its line number, or what is wrong with it."""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from dsgctl.core.errors import Invalid

_LONGEST = 2**20  # bytes of a line: far more than a note may have
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Record:
    """A row of cells, or a line that cannot be read.

    Attributes:
        line: the line on which it begins; a quoted cell may have several.
        problem: what is wrong with it; empty for a good row.
        encoded: whether it is UTF-8.
    """

    line: int
    cells: list[str]
    problem: str = ""
    encoded: bool = True


def read_records(name: str, file: BinaryIO) -> Iterator[Record]:
    """The rows of a file from its beginning, with the header; blank lines have no cells.

    Lines end with LF or CR LF, or with CR alone if the first one does, as older Macintosh programs write them.

    Args:
        name: of the file, for messages.

    Raises:
        Invalid: a line is too long, or the file is text of another encoding.
    """
    file.seek(0)
    lines = _Lines(name, file)
    reader = csv.reader(lines, strict=True)
    while True:
        number = lines.next_line
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(number, [], f"not CSV: {_explain(error)}", not lines.unreadable)
            continue
        if lines.unreadable:
            yield from (Record(bad, [], problem, encoded=False) for bad, problem in lines.unreadable)
            lines.unreadable.clear()
            continue
        yield Record(number, cells)


def count_lines(file: BinaryIO) -> int:
    """About how many lines a file has: quoted cells may hold more of them."""
    file.seek(0)
    count, last = 0, b"\n"
    while part := file.read(2**20):
        count += part.count(b"\n") or part.count(b"\r")
        last = part[-1:]
    return count + (last not in (b"\n", b"\r"))


def read_state(file: BinaryIO) -> tuple[int, ...]:
    """What changes when somebody writes to a file: size, time, and the file itself."""
    state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns, state.st_ino


_EXPLANATIONS = {
    "unexpected end of data": "a quoted cell has no end",
    "',' expected after '\"'": "a quoted cell goes on after its closing quote",
    "new-line character seen": "a carriage return is in a cell without quotes",
    "field larger than": f"a cell is longer than {csv.field_size_limit()} characters",
}


def _explain(error: csv.Error) -> str:
    message = str(error)
    return next((text for begin, text in _EXPLANATIONS.items() if message.startswith(begin)), "check its quotes")


class _Lines:
    """The lines of a file, for `csv.reader`.

    Each is decoded by itself, not by the stream, so that an error can name the line.

    Attributes:
        next_line: the number of the next line.
        unreadable: the numbers of lines that are not text, with what is wrong.
    """

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name = name
        beginning = file.read(_LONGEST)
        file.seek(0)
        if beginning.startswith(_UTF_16):
            raise Invalid(f"{name} is not UTF-8 text, but UTF-16", "save it as CSV in UTF-8")
        first = re.search(rb"\r?\n|\r", beginning)
        self._lines = (
            _split_at_cr(file) if first and first[0] == b"\r" else iter(partial(file.readline, _LONGEST + 1), b"")
        )
        self.next_line = 1
        self.unreadable: list[tuple[int, str]] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, number = next(self._lines), self.next_line
        if len(line) > _LONGEST:
            raise Invalid(f"{self._name}, line {number}: longer than {_LONGEST} bytes", "save it as CSV, a line a row")
        self.next_line += 1
        if b"\0" in line:
            self.unreadable.append((number, "it is not UTF-8 text: it holds a NUL"))
        try:
            return line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            self.unreadable.append((number, "it is not UTF-8 text"))
            return line.decode("utf-8", "replace")


def _split_at_cr(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, with their ends: CR, or any other."""
    rest = b""
    while part := file.read(2**16):
        # The next part may continue the last line, or its CR LF.
        *lines, rest = (rest + part).splitlines(keepends=True)
        yield from lines
        if len(rest) > _LONGEST:
            break
    if rest:
        yield rest
