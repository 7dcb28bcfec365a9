"""middle_auth's tables as CSV dumps: a directory with a TABLE.csv for each, as PostgreSQL's COPY writes them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsgctl.core.errors import Invalid
from dsgctl.core.validation import quote
from dsgctl.importers.engine.csv_lines import Record, count_lines, read_records, read_state
from dsgctl.importers.engine.row import Row
from dsgctl.importers.middle_auth.tables import APP, IGNORED, NEEDED, map_columns

_FLAGS = {"t": True, "f": False, "true": True, "false": False, "1": True, "0": False}
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_LARGEST = 2**63 - 1
_AGAIN = "dump it again, with its header: \\copy (select * from ...) to ... csv header"


class CsvDumps:
    """The rows of the dumps, which are checked to be complete."""

    def __init__(self, directory: Path) -> None:
        """Raises:
        Invalid: a dump is missing, is cut off, or has other columns.
        """
        self._directory = directory
        self._states = {table: self._read_state(table) for table in NEEDED}
        for table in NEEDED:
            self._columns(table, self._header(table))

    @property
    def name(self) -> str:
        return str(self._directory)

    def rows(self, table: str) -> Iterator[Row]:
        name, width = f"{table}.csv", 0
        columns: dict[str, int] = {}
        with self._path(table).open("rb") as file:
            for number, record in enumerate(read_records(str(self._path(table)), file)):
                if number == 0:
                    columns, width = self._columns(table, record), len(record.cells)
                    continue
                if not record.cells and not record.problem:
                    continue  # a blank line
                place = f"{name} line {record.line}"
                if record.problem or len(record.cells) != width:
                    problem = record.problem or f"{len(record.cells)} cells, where the header has {width}"
                    yield Row(table, {}, place, problem)
                    continue
                kinds = NEEDED[table]
                yield Row(table, {key: _parse_cell(kinds[key], record.cells[at]) for key, at in columns.items()}, place)

    def total(self) -> int:
        count = 0
        for table in NEEDED:
            with self._path(table).open("rb") as file:
                count += count_lines(file) - 1
        return count

    def unknown(self) -> list[str]:
        tables = {path.stem for path in self._directory.glob("*.csv")}
        return sorted(tables - NEEDED.keys() - (IGNORED - {APP}))

    def last_user_id(self) -> int:
        return 0

    def check_unchanged(self) -> None:
        for table, state in self._states.items():
            if self._read_state(table) != state:
                raise Invalid(f"{self._path(table)} was written to while it was read", "run it again when it is done")

    def _path(self, table: str) -> Path:
        return self._directory / f"{table}.csv"

    def _read_state(self, table: str) -> tuple[int, ...]:
        """What changes when somebody writes to a dump.

        Raises:
            Invalid: it is missing or cut off.
        """
        path = self._path(table)
        if not path.is_file():
            raise Invalid(f"{self._directory} has no {table}.csv", "dump all tables of middle_auth, each into a file")
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 1))
            if file.read(1) not in (b"\n", b"\r"):  # COPY ends every row with LF, some spreadsheets with CR
                problem = "is cut off: its last line has no end" if size else "is empty"
                raise Invalid(f"{path} {problem}", _AGAIN)
            return read_state(file)

    def _header(self, table: str) -> Record:
        with self._path(table).open("rb") as file:
            return next(read_records(str(self._path(table)), file))

    def _columns(self, table: str, header: Record) -> dict[str, int]:
        """Column of `NEEDED` -> its index in a row."""
        path = self._path(table)
        if header.problem:
            raise Invalid(f"{path}, line 1: {header.problem}", _AGAIN)
        repeated = [name for name in header.cells if header.cells.count(name) > 1]
        if repeated:
            raise Invalid(f"{path} has the column {quote(repeated[0])} twice", _AGAIN)
        names = map_columns(str(path), table, header.cells)
        return {column: header.cells.index(name) for column, name in names.items()}


def _parse_cell(kind: str, cell: str) -> Any:
    """The value of a cell. A cell of another kind stays text, which `Row` refuses."""
    if kind == "text":
        return cell
    if not cell and kind.endswith("?"):
        return None
    if kind.startswith("int") and _NUMBER.fullmatch(cell) and abs(int(cell)) <= _LARGEST:
        return int(cell)
    return _FLAGS.get(cell, cell) if kind == "bool" else cell
