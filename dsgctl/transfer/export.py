"""All facts as one JSON document, which `dsgctl import export` puts into an empty database, id for id.

One line for what it is, one for the numbers of new rows, then each table with a row a line, and one line for
the end: JSON for any program, readable line by line, and never held in memory. Rows stand in the order of their
keys, so that the same facts give the same lines, but for the moment in the first.

What is in it, and what is not:

- A token's hash is left out unless asked for. Without it a token cannot work elsewhere; what is known of it (whose,
  since when, last used) is told all the same.
- The invitation to terms is left out unless asked for. It opens nothing that its reader may not see anyway
  (dsgserve/terms/terms_pages.py), but it was made not to be guessed and is sent to chosen people. Without it the
  import makes a new one, and links that were sent out lead nowhere.
- Tokens that were revoked or have expired are in it: to leave them out would turn "revoked" into "unknown".
- The audit log goes along with its ids and hashes, so that its chain goes on over there; it may be left behind.
- Settings and keys are no facts: `dsgctl db backup` takes them along.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from dsgctl import __version__
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST
from dsgctl.store.models import utc_text
from dsgctl.transfer import transfer_schema

FORMAT: Final = "dsgctl export"
VERSION: Final = 1  # of the layout; the tables and columns are those of the schema that the first line names

_JSON = json.JSONEncoder(ensure_ascii=False)
_STEP = 1000  # rows from one report of progress to the next


def build_document(
    database: Database,
    at: datetime,
    *,
    token_hashes: bool = False,
    invitations: bool = False,
    audit_log: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[bytes]:
    """The lines of the document, all of one state of the database.

    Args:
        at: the moment that it names.
        token_hashes, invitations, audit_log: what may be left out.
        progress: is told how many of how many rows are done.
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
    # Of the lines between the first and this one: the same facts have the same hash.
    yield (_JSON.encode({"end": {"rows": count, "sha256": digest.hexdigest()}})[1:] + "\n").encode()
