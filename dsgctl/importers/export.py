"""A document of `dsgctl export`: all facts of another gateway of this kind, id for id, into an empty database.

It is read once, a line at a time, so that it may be of any size and come through a pipe.
dsgctl/transfer/export.py describes its layout.
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
from dsgctl.core.validation import quoted
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.importers.engine.report import Progress, Report
from dsgctl.json_text import NotJson, parse
from dsgctl.store.migrations import LATEST
from dsgctl.transfer import restore, transfer_schema
from dsgctl.transfer.export import FORMAT, VERSION
from dsgctl.transfer.restore import BadRow, Restore
from dsgctl.wording import format_count

_BATCH = 500
_LONGEST = 2**24  # bytes of a line: terms of 100,000 characters, quoted in an audit record, are far below
_HEAD = 4096  # bytes of the first line
_MAKE = "make one with 'dsgctl export --with-token-hashes > FILE'"
_AGAIN = "nothing was imported; copy it again, or export again"
_MEND = "nothing was imported; mend it where it was exported, then export again"
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
            head = document.head()
            empty = not restore.has_rows(change.database)
            load = Restore(change) if empty else None
            next_ids = document.next_ids()
            counts = document.tables(
                [table for table in transfer_schema.TABLES if table != transfer_schema.AUDIT or table in next_ids], load
            )
            origin = f"export:{document.end(counts)}"
        if load is None:
            if not audit.find_imported(change.database, [origin]):
                restore.require_empty(change.database)
            for table, count in counts.items():
                report.counts(table.replace("_", " "), new=0, of=count)
            return report
        try:
            load.finish(next_ids, origin, {"exported": head["exported"]})
        except Invalid as error:
            raise Invalid(f"{source}: {error.message}", error.hint) from None
        for table, count in load.counts.items():
            report.counts(table.replace("_", " "), new=count, of=count)
        if load.left_out:
            report.left_out.append(
                f"{format_count(load.left_out, 'token')}: the document has no hashes (export --with-token-hashes)"
            )
        if load.invited_anew:
            report.noted.append(
                f"invitations to {load.invited_anew} terms: the document has none (export --with-invitations); "
                "'dsgctl terms show' shows the new ones"
            )
        return report


class _Document:
    """A document from its first line to its last; what is wrong is told with its line."""

    def __init__(self, source: Path, file: BinaryIO, progress: Progress | None) -> None:
        self._source = source
        self._file = file
        self._progress = progress
        state = os.fstat(file.fileno())
        self._size = state.st_size if stat.S_ISREG(state.st_mode) else 0
        self._read = 0
        self._number = 0
        self._whole = True  # whether the last line was ended
        self._digest = hashlib.sha256()

    def head(self) -> dict[str, Any]:
        """The first line, of a layout and a schema that are known here."""
        line = self._line(_HEAD)
        begin = b'{"format": "' + FORMAT.encode() + b'", "version": '
        if not line.startswith(begin):
            if f'"{FORMAT}"'.encode() in line + self._file.read(_HEAD):
                raise Invalid(
                    f"{self._source}: another program has written this document of dsgctl export anew",
                    "its rows must stand one a line, as dsgctl export writes them: use the original",
                )
            raise Invalid(f"{self._source} is not a document of dsgctl export", _MAKE)
        found = self._object(line.removesuffix(b",") + b"}", "the first line")
        version, schema, program = found.get("version"), found.get("schema"), found.get("program")
        if type(version) is not int or type(schema) is not int:
            raise self._bad("it must name its version and schema")
        by = f"dsgctl {program}" if isinstance(program, str) else "dsgctl"
        if version != VERSION or schema > LATEST:
            raise Invalid(
                f"{self._source} is of a later release ({quoted(by)}: version {version}, schema {schema}) than this "
                f"one, which knows version {VERSION}, schema {LATEST}",
                "import it with that release",
            )
        if schema < LATEST:
            raise Invalid(
                f"{self._source} has schema {schema} of {quoted(by)}; this release knows schema {LATEST}",
                "import it with that release, then run 'dsgctl db migrate' with this one",
            )
        try:
            transfer_schema.moment(found.get("exported"))
        except Invalid as error:
            raise self._bad(f"exported: {error.message}") from None
        return found

    def next_ids(self) -> dict[str, int]:
        """Table -> the id that its next row gets; the audit log is in it exactly if its rows are in the document."""
        line = self._line()
        self._count(line)
        name, _, value = line.removesuffix(b",").partition(b": ")
        found = self._object(value, "next_ids")
        wanted = [
            table
            for table in transfer_schema.list_numbered_tables()
            if table != transfer_schema.AUDIT or table in found
        ]
        good = all(type(number) is int and 1 <= number <= transfer_schema.MOST for number in found.values())
        if name != b'"next_ids"' or list(found) != wanted or not good:
            raise self._bad(
                f"next_ids must give the next id, from 1 on, of {', '.join(transfer_schema.list_numbered_tables())}"
            )
        return found

    def tables(self, tables: list[str], load: Restore | None) -> Counter[str]:
        """Read these tables, in this order. Returns how many rows each has.

        Args:
            load: takes the rows; None only reads them.
        """
        counts: Counter[str] = Counter()
        for table in tables:
            line = self._line()
            self._count(line)
            self._begins(line, table)
            batch: list[tuple[int, dict[str, Any]]] = []
            while (line := self._line()) != b"],":
                self._count(line)
                batch.append((self._number, self._object(line.removesuffix(b","), table)))
                counts[table] += 1
                if len(batch) == _BATCH:
                    self._hand_over(load, table, batch)
            self._count(line)
            self._hand_over(load, table, batch)
        return counts

    def _begins(self, line: bytes, expected: str) -> None:
        begun = _TABLE.fullmatch(line.decode("utf-8", "replace"))
        if begun and begun[1] == expected:
            return
        if begun and begun[1] not in transfer_schema.TABLES:
            raise self._bad(f"the table {quoted(begun[1])} is not known here", "nothing was imported; use its release")
        raise self._bad(f"here the table {expected} must begin")

    def _hand_over(self, load: Restore | None, table: str, batch: list[tuple[int, dict[str, Any]]]) -> None:
        if load:
            try:
                load.add(table, [row for _, row in batch])
            except BadRow as error:
                self._number = batch[error.index][0]
                raise self._bad(error.message, _MEND, cut_off=False) from None
        batch.clear()

    def end(self, counts: Counter[str]) -> str:
        """Check the last line. Returns the hash of what stands between it and the first."""
        line, digest = self._line(), self._digest.hexdigest()
        name, _, value = line.removesuffix(b"}").partition(b": ")
        if name != b'"end"':
            raise self._bad("here the document must end")
        found = self._object(value, "the end")
        if self._file.read(_HEAD).strip():
            raise self._bad("the document goes on after its end")
        if found.get("rows") != counts.total():
            raise self._bad(f"the document had {quoted(str(found.get('rows')))} rows; here are {counts.total()}")
        if found.get("sha256", digest) != digest:
            raise self._bad(
                "the document was changed since it was made: its SHA-256 is another",
                "nothing was imported; use the original, or, if the change was wanted, take sha256 out of this line",
            )
        return digest

    def _line(self, longest: int = _LONGEST) -> bytes:
        """The next line without its end.

        Raises:
            Invalid: there is none, although the document has not ended, or it is too long.
        """
        line = self._file.readline(longest)
        if not line:
            what = f"is cut off after line {self._number}" if self._number else "is empty"
            raise Invalid(f"{self._source} {what}", _AGAIN if self._number else _MAKE)
        self._number += 1
        self._whole = line.endswith(b"\n")
        if not self._whole and len(line) == longest and longest == _LONGEST:
            raise self._bad(f"it is longer than {_LONGEST} bytes", cut_off=False)
        self._read += len(line)
        if self._progress and self._size and (self._number % 1000 == 0 or self._read == self._size):
            self._progress(self._read, self._size)
        return line.rstrip(b"\r\n")

    def _count(self, line: bytes) -> None:
        self._digest.update(line + b"\n")

    def _object(self, text: bytes, what: str) -> dict[str, Any]:
        try:
            value = parse(text, half_characters=True)  # transfer/transfer_schema.py names the column that has one
        except NotJson as error:
            raise self._bad(f"{what}: it is not JSON that can be kept: {error}") from None
        if not isinstance(value, dict):
            raise self._bad(f"{what}: it is not a JSON object")
        return value

    def _bad(self, problem: str, hint: str = _AGAIN, *, cut_off: bool = True) -> Invalid:
        """What is wrong with the line that was read last; of one that has no end, that it is cut off."""
        if cut_off and not self._whole and not self._file.read(1):
            return Invalid(f"{self._source} is cut off in line {self._number}", _AGAIN)
        return Invalid(f"{self._source}, line {self._number}: {problem}", hint)
