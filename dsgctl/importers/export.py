"""A document of `dsgctl export`: all data of another gateway, id for id, into an empty database.

It is read once, a line at a time, so it may have any size and come through a pipe. dsgctl/transfer/export.py describes
its layout. Its rows are those of this program's own tables: dsgctl/transfer/restore.py writes them, not the engine.
"""

import hashlib
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dsgctl.core import audit
from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.core.validation import quote
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.importers.engine.report import Progress, Report
from dsgctl.json_text import NotJson, parse
from dsgctl.store.migrations import LATEST
from dsgctl.transfer import restore, transfer_schema
from dsgctl.transfer.export import FORMAT, VERSION
from dsgctl.transfer.restore import BadRow, Restore
from dsgctl.wording import format_count

_BATCH_ROWS = 500
_LONGEST_LINE = 2**24  # bytes of a line: terms of 100,000 characters, quoted in an audit record, are far below
_LONGEST_HEAD = 4096  # bytes of the first line
_EXPORT_HINT = "make one with 'dsgctl export --with-token-hashes > FILE'"
_COPY_HINT = "nothing was imported; copy it again, or export again"
_CORRECT_HINT = "nothing was imported; correct it where it was exported, then export again"
_TABLE = re.compile(r'"([^"\\]{1,60})": \[')


@dataclass
class Importer(BaseImporter):
    """Restore a document of 'dsgctl export' into an empty database, with all ids."""

    example = "dsgctl import export dsg.json --dry-run"
    can_skip_conflicts = False

    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        path, report = Path(source), Report()
        with path.open("rb") as file:
            document = _Document(path, file, progress)
            head = document.read_head()
            empty = not restore.has_rows(change.database)
            load = Restore(change) if empty else None
            next_ids = document.read_next_ids()
            counts = document.read_tables(
                [table for table in transfer_schema.TABLES if table != transfer_schema.AUDIT or table in next_ids], load
            )
            origin = f"export:{document.check_end(counts)}"
        if load is None:
            if not audit.find_imported(change.database, [origin]):
                restore.require_empty(change.database)
            for table, count in counts.items():
                report.count_many(table.replace("_", " "), new=0, of=count)
            return report
        try:
            load.finish(next_ids, origin, {"exported": head["exported"]})
        except Invalid as error:
            raise Invalid(f"{source}: {error.message}", error.hint) from None
        for table, count in load.counts.items():
            report.count_many(table.replace("_", " "), new=count, of=count)
        if load.left_out:
            report.left_out.append(
                f"{format_count(load.left_out, 'token')}: the document has no hashes (export --with-token-hashes)"
            )
        if load.new_invitations:
            report.noted.append(
                f"invitations to {load.new_invitations} terms: the document has none (export --with-invitations); "
                "'dsgctl terms show' shows the new ones"
            )
        return report


class _Document:
    """A document, read from its first line to its last. Errors name the line."""

    def __init__(self, source: Path, file: BinaryIO, progress: Progress | None) -> None:
        self._source = source
        self._file = file
        self._progress = progress
        state = os.fstat(file.fileno())
        self._size = state.st_size if stat.S_ISREG(state.st_mode) else 0
        self._read = 0
        self._number = 0
        self._whole = True  # whether the last line has an end
        self._digest = hashlib.sha256()

    def read_head(self) -> dict[str, Any]:
        """Read the first line.

        Raises:
            Invalid: the layout or the schema is of another release, or this is no such document.
        """
        line = self._read_line(_LONGEST_HEAD)
        begin = b'{"format": "' + FORMAT.encode() + b'", "version": '
        if not line.startswith(begin):
            if f'"{FORMAT}"'.encode() in line + self._file.read(_LONGEST_HEAD):
                raise Invalid(
                    f"{self._source}: another program has rewritten this document of dsgctl export",
                    "each row must be on one line, as dsgctl export writes it: use the original",
                )
            raise Invalid(f"{self._source} is not a document of dsgctl export", _EXPORT_HINT)
        head = self._parse_object(line.removesuffix(b",") + b"}", "the first line")
        version, schema, program = head.get("version"), head.get("schema"), head.get("program")
        if type(version) is not int or type(schema) is not int:
            raise self._build_error("it must name its version and schema")
        by = f"dsgctl {program}" if isinstance(program, str) else "dsgctl"
        if version != VERSION or schema > LATEST:
            raise Invalid(
                f"{self._source} is of a later release ({quote(by)}: version {version}, schema {schema}) than this "
                f"one, which knows version {VERSION}, schema {LATEST}",
                "import it with that release",
            )
        if schema < LATEST:
            raise Invalid(
                f"{self._source} has schema {schema} of {quote(by)}; this release knows schema {LATEST}",
                "import it with that release, then run 'dsgctl db migrate' with this one",
            )
        try:
            transfer_schema.moment(head.get("exported"))
        except Invalid as error:
            raise self._build_error(f"exported: {error.message}") from None
        return head

    def read_next_ids(self) -> dict[str, int]:
        """Read the id of each table's next row. The audit log is among them exactly if its rows are in the document."""
        line = self._read_line()
        self._add_to_digest(line)
        name, _, value = line.removesuffix(b",").partition(b": ")
        next_ids = self._parse_object(value, "next_ids")
        expected = [
            table
            for table in transfer_schema.list_numbered_tables()
            if table != transfer_schema.AUDIT or table in next_ids
        ]
        good = all(type(number) is int and 1 <= number <= transfer_schema.MAX_ID for number in next_ids.values())
        if name != b'"next_ids"' or list(next_ids) != expected or not good:
            raise self._build_error(
                f"next_ids must give the next id, from 1 on, of {', '.join(transfer_schema.list_numbered_tables())}"
            )
        return next_ids

    def read_tables(self, tables: list[str], load: Restore | None) -> Counter[str]:
        """Read these tables, in this order. Returns the number of rows of each.

        Args:
            load: restores the rows; None only reads them.
        """
        counts: Counter[str] = Counter()
        for table in tables:
            line = self._read_line()
            self._add_to_digest(line)
            self._require_table(line, table)
            batch: list[tuple[int, dict[str, Any]]] = []
            while (line := self._read_line()) != b"],":
                self._add_to_digest(line)
                batch.append((self._number, self._parse_object(line.removesuffix(b","), table)))
                counts[table] += 1
                if len(batch) == _BATCH_ROWS:
                    self._flush(load, table, batch)
            self._add_to_digest(line)
            self._flush(load, table, batch)
        return counts

    def _require_table(self, line: bytes, expected: str) -> None:
        match = _TABLE.fullmatch(line.decode("utf-8", "replace"))
        if match and match[1] == expected:
            return
        if match and match[1] not in transfer_schema.TABLES:
            raise self._build_error(
                f"the table {quote(match[1])} is not known here", "nothing was imported; use its release"
            )
        raise self._build_error(f"here the table {expected} must begin")

    def _flush(self, load: Restore | None, table: str, batch: list[tuple[int, dict[str, Any]]]) -> None:
        if load:
            try:
                load.add(table, [row for _, row in batch])
            except BadRow as error:
                self._number = batch[error.index][0]
                raise self._build_error(error.message, _CORRECT_HINT, cut_off=False) from None
        batch.clear()

    def check_end(self, counts: Counter[str]) -> str:
        """Check the last line. Returns the hash of the lines between it and the first."""
        line, digest = self._read_line(), self._digest.hexdigest()
        name, _, value = line.removesuffix(b"}").partition(b": ")
        if name != b'"end"':
            raise self._build_error("here the document must end")
        end = self._parse_object(value, "the end")
        if self._file.read(_LONGEST_HEAD).strip():
            raise self._build_error("the document goes on after its end")
        if end.get("rows") != counts.total():
            raise self._build_error(f"the document had {quote(str(end.get('rows')))} rows; here are {counts.total()}")
        if end.get("sha256", digest) != digest:
            raise self._build_error(
                "the document was changed after it was written: its SHA-256 differs",
                "nothing was imported; use the original, or, if the change is intended, remove sha256 from this line",
            )
        return digest

    def _read_line(self, longest: int = _LONGEST_LINE) -> bytes:
        """Read the next line, without its end.

        Raises:
            Invalid: the document is cut off, or the line is too long.
        """
        line = self._file.readline(longest)
        if not line:
            problem = f"is cut off after line {self._number}" if self._number else "is empty"
            raise Invalid(f"{self._source} {problem}", _COPY_HINT if self._number else _EXPORT_HINT)
        self._number += 1
        self._whole = line.endswith(b"\n")
        if not self._whole and len(line) == longest and longest == _LONGEST_LINE:
            raise self._build_error(f"it is longer than {_LONGEST_LINE} bytes", cut_off=False)
        self._read += len(line)
        if self._progress and self._size and (self._number % 1000 == 0 or self._read == self._size):
            self._progress(self._read, self._size)
        return line.rstrip(b"\r\n")

    def _add_to_digest(self, line: bytes) -> None:
        self._digest.update(line + b"\n")

    def _parse_object(self, text: bytes, label: str) -> dict[str, Any]:
        try:
            value = parse(text, half_characters=True)  # transfer/transfer_schema.py names the column that has one
        except NotJson as error:
            raise self._build_error(f"{label}: it is not JSON that can be stored: {error}") from None
        if not isinstance(value, dict):
            raise self._build_error(f"{label}: it is not a JSON object")
        return value

    def _build_error(self, problem: str, hint: str = _COPY_HINT, *, cut_off: bool = True) -> Invalid:
        """The error of the line that was read last; a line without an end is cut off."""
        if cut_off and not self._whole and not self._file.read(1):
            return Invalid(f"{self._source} is cut off in line {self._number}", _COPY_HINT)
        return Invalid(f"{self._source}, line {self._number}: {problem}", hint)
