"""Checks the chain of the audit log: that no record was changed, deleted or moved, and the log was not rewritten."""

import re

from dsgctl.core import validation
from dsgctl.core.audit import GENESIS, HASHED, hash_text
from dsgctl.core.errors import DsgError, Invalid
from dsgctl.store import Database
from dsgctl.store.models import AuditRecord

# The fields of each record as the text that `chain_hash` hashes, which SQLite writes faster than Python: json_array
# quotes text as Python's json does without ensure_ascii.
_RECORDS = f"SELECT id, CAST(json_array({', '.join(HASHED)}) AS BLOB), hash FROM audit ORDER BY id"  # noqa: S608


def verify(database: Database) -> int | None:
    """Recompute the chain, in one pass over the records.

    No stored value is parsed, so none can pass for another: the text of a record contains every byte of every hashed
    column. Escapes keep what separates the columns apart from their content, and a missing value is not quoted. So an
    edit of any column, even one that leaves JSON or a time equal, changes the text, and with it this hash and all
    later ones.

    Returns:
        The id of the first record that does not follow from the one before, or that is missing at the end; or None.
    """
    previous, last = GENESIS, 0
    with database.snapshot():
        for last, fields, digest in database.execute(_RECORDS, []):
            previous = hash_text(previous, fields)
            if previous != digest:
                return int(last)
        # An id is never used twice, so the next one shows whether records at the end were deleted.
        return None if database.next_id(AuditRecord) == last + 1 else last + 1


def read_head(database: Database) -> str:
    """``ID:HASH`` of the newest record.

    The hash depends on all records: keep it where nobody on this host can change it.
    """
    last = database.first(AuditRecord.select(AuditRecord.id, AuditRecord.hash).order_by(AuditRecord.id.desc()))
    return _format_head(last.id, last.hash) if last else _format_head(0, GENESIS)


def _format_head(record_id: int, digest: bytes) -> str:
    return f"{record_id}:{bytes(digest).hex()}"


def contains(database: Database, head: str) -> bool:
    """Whether the log still has a record that was once its head.

    `verify` alone does not notice that the whole log was rewritten.

    Raises:
        Invalid: ``head`` does not have the form that `read_head` returns.
    """
    if not re.fullmatch("[0-9]{1,18}:[0-9a-f]{64}", head):
        raise Invalid(
            f"{validation.quote(head)} is not ID:HASH", "give what 'dsgctl audit verify -o value' printed then"
        )
    record_id = int(head.partition(":")[0])
    if record_id == 0:
        return head == _format_head(0, GENESIS)
    record = database.first(AuditRecord.select(AuditRecord.hash).where(AuditRecord.id == record_id))
    return record is not None and _format_head(record_id, record.hash) == head


def require_intact(database: Database, head: str | None = None) -> str:
    """Check the whole log, in one state of the database.

    Args:
        head: an earlier result of this function, which the log must still have.

    Returns:
        The head of the log, as `read_head` has it.

    Raises:
        DsgError: a record was changed, deleted or moved, or the log was rewritten.
        Invalid: ``head`` is malformed.
    """
    with database.snapshot():
        broken = verify(database)
        newest = read_head(database)
        has_head = head is None or contains(database, head)
    hint = "compare with a backup: dsgctl db restore BUNDLE"
    if broken is not None:
        raise DsgError(f"audit record {broken} does not follow from the one before it: somebody changed the log", hint)
    if not has_head:
        raise DsgError(f"the log has no record {head}: somebody rewrote it", hint)
    return newest
