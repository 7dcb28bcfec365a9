"""Checks the chain of the audit log: that no record was changed, deleted or moved, and the log was not rewritten."""

import re

from dsgctl.core import validation
from dsgctl.core.audit import GENESIS, HASHED, chain_hash
from dsgctl.core.errors import DsgError, Invalid
from dsgctl.store import Database
from dsgctl.store.models import AuditRecord


def verify(database: Database) -> int | None:
    """Recompute the chain.

    Returns:
        The id of the first record that does not follow from the one before, or that is missing at the end; or None.
    """
    previous, last = GENESIS, 0
    # The time as text, as it was hashed: somebody may have changed it to something that is not a time.
    columns = (AuditRecord.at.cast("TEXT") if name == "at" else getattr(AuditRecord, name) for name in HASHED)
    query = AuditRecord.select(AuditRecord.id, *columns, AuditRecord.hash).order_by(AuditRecord.id)
    for record_id, *fields, digest in database.tuples(query):
        previous = chain_hash(previous, fields)
        last = int(record_id)
        if previous != bytes(digest):
            return last
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
