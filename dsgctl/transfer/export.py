"""Writes the whole database as one JSON document, which `dsgctl import export` restores with all its ids.

The first line describes the document, the second has the ids of new rows; then each table has a line for each row,
and the last line has the hash. Any JSON reader can read it, and this program line by line, without holding it in
memory. Rows are in the order of their keys, so that equal databases give equal lines after the first.

Included, and left out:

- The hash of a token only on request. Without it the token does not work elsewhere; its other columns are included.
- The invitation to terms only on request. It shows nothing that its reader may not see anyway
  (dsgserve/terms/terms_pages.py), but it is random and sent to chosen people. Without it the import creates a new
  one, and links that were sent out stop working.
- Revoked and expired tokens: without them "revoked" would become "unknown".
- The audit log with its ids and hashes, so that its chain continues; it can be left out.
- No settings and no keys: `dsgctl db backup` has them.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from dsgctl import __version__
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST
from dsgctl.store.times import utc_text
from dsgctl.transfer import transfer_schema

FORMAT: Final = "dsgctl export"
VERSION: Final = 1  # of the layout; the first line names the schema of the tables and columns

_JSON = json.JSONEncoder(ensure_ascii=False)
_STEP = 1000  # rows between two reports of progress


def build_document(
    database: Database,
    at: datetime,
    *,
    token_hashes: bool = False,
    invitations: bool = False,
    audit_log: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[bytes]:
    """The lines of the document, from one snapshot of the database.

    Args:
        at: the time in its first line.
        token_hashes, invitations, audit_log: whether to include them.
        progress: called with the number of rows written, and of all rows.
    """
    secret = {"tokens": None if token_hashes else "hash", "terms": None if invitations else "invite_token"}
    tables = [table for table in transfer_schema.TABLES if audit_log or table != transfer_schema.AUDIT]
    digest = hashlib.sha256()
    count = 0

    def line(text: str) -> bytes:
        encoded = text.encode() + b"\n"
        digest.update(encoded)
        return encoded

    with database.snapshot():
        sizes = database.table_sizes() if progress else {}
        total = sum(sizes.get(table, 0) for table in tables)
        head = {
            "format": FORMAT,
            "version": VERSION,
            "schema": LATEST,
            "program": __version__,
            "exported": utc_text(at),
        }
        yield _JSON.encode(head).removesuffix("}").encode() + b",\n"
        numbers = {table: number for table, number in transfer_schema.next_ids(database).items() if table in tables}
        yield line(f'"next_ids": {_JSON.encode(numbers)},')
        for table in tables:
            yield line(f'"{table}": [')
            former = ""
            for row in transfer_schema.export_rows(database, table, without=secret.get(table)):
                if former:
                    yield line(former + ",")
                former = _JSON.encode(row)
                count += 1
                if progress and (count % _STEP == 0 or count == total):
                    progress(count, total)
            if former:
                yield line(former)
            yield line("],")
    # Of the lines between the first and this one, so that equal databases have equal hashes.
    yield (_JSON.encode({"end": {"rows": count, "sha256": digest.hexdigest()}})[1:] + "\n").encode()
