"""Who changed what, when: the record of every change, each chained to the one before by a hash."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dsgctl.core import validation
from dsgctl.core.errors import DsgError, Invalid, NotFound
from dsgctl.json_text import NotJson, parse_object
from dsgctl.store import Database
from dsgctl.store.models import AuditRecord, utc_datetime, utc_text

GENESIS = bytes(32)  # what the first record is chained to

State = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Record:
    """One change.

    Attributes:
        at: when; for an imported record, when the other system says.
        actor: ``os:NAME``, ``user:EMAIL`` or ``import:FILE``.
        action: noun and verb, as on the command line: ``grant.add``.
        target: what it was done to, ``kind:name``, several separated by a space.
        before, after: the facts that changed, JSON objects; None where there was or is nothing.
        imported_from: identifies a record of another system, None for our own.
    """

    at: datetime
    actor: str
    action: str
    target: str
    before: State = None
    after: State = None
    imported_from: str | None = None


def canonical(state: State) -> str | None:
    """JSON text with one spelling for one value, so that its hash is stable."""
    if state is None:
        return None
    return _CANONICAL.encode(state)


def _format_value(value: Any) -> str:
    if isinstance(value, datetime):
        return utc_text(value)
    raise TypeError(f"an audit record cannot hold {type(value).__name__}")


# Made once: json.dumps with options would make one for every record.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_format_value)
_FIELDS = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def chain_hash(previous: bytes, fields: list[str | None]) -> bytes:
    """The SHA-256 of the previous record's hash and of this record's fields."""
    text = _FIELDS.encode(fields)
    return hashlib.sha256(previous + text.encode("utf-8", "surrogatepass")).digest()


def append(database: Database, records: list[Record]) -> None:
    """Write records at the end of the chain; call it inside the transaction of the change itself."""
    previous = last_hash(database)
    texts: dict[int, str | None] = {}  # many records of one change share one state

    def text(state: State) -> str | None:
        key = id(state)
        if key not in texts:
            texts[key] = canonical(state)
        return texts[key]

    rows = []
    for record in records:
        fields = [
            utc_text(record.at),
            record.actor,
            record.action,
            record.target,
            text(record.before),
            text(record.after),
            record.imported_from,
        ]
        previous = chain_hash(previous, fields)
        names = ("at", "actor", "action", "target", "before", "after", "imported_from")
        rows.append({**dict(zip(names, fields, strict=True)), "hash": previous})
    database.insert_many(AuditRecord, rows)


def find_imported(database: Database, origins: list[str]) -> set[str]:
    """Which of these records of another system (`Record.imported_from`) are here already."""
    found: set[str] = set()
    for start in range(0, len(origins), 500):  # SQLite binds a limited number of values in one query
        part = AuditRecord.imported_from.in_(origins[start : start + 500])
        found |= {origin for (origin,) in database.tuples(AuditRecord.select(AuditRecord.imported_from).where(part))}
    return found


def last_hash(database: Database) -> bytes:
    last = database.first(AuditRecord.select(AuditRecord.hash).order_by(AuditRecord.id.desc()))
    return bytes(last.hash) if last else GENESIS


ACCEPT_CLOCK = "clock.accept"

# The largest, and not that of the last record: one change by a clock that was set back must not hide the others.
# SQLite would rather sort all records than go through the index of moments.
_LATEST = f"""SELECT at FROM audit INDEXED BY audit_moments WHERE imported_from IS NULL
  AND id >= (SELECT coalesce(max(id), 0) FROM audit WHERE action = '{ACCEPT_CLOCK}' AND imported_from IS NULL)
  ORDER BY at DESC LIMIT 1"""  # noqa: S608


def latest(database: Database) -> datetime | None:
    """The latest moment at which anything was changed here, or since an operator said that the clock is right
    (`transaction.accept_clock`). If it is later than now, somebody has set this host's clock back.

    Raises:
        DsgError: the record was written by hand, with a moment that is none.
    """
    text = database.scalar(_LATEST)
    try:
        return utc_datetime(text) if text else None
    except ValueError:
        raise DsgError(f"an audit record has {validation.quoted(text)} as its moment", "dsgctl audit verify") from None


def verify(database: Database) -> int | None:
    """Recompute the chain.

    Returns:
        The id of the first record that does not follow from the one before, or that is missing at the end; or None.
    """
    previous, last = GENESIS, 0
    # The moment as the text that was hashed: whoever changed it may have made it no moment at all.
    query = AuditRecord.select(
        AuditRecord.id,
        AuditRecord.at.cast("TEXT").alias("at"),
        AuditRecord.actor,
        AuditRecord.action,
        AuditRecord.target,
        AuditRecord.before,
        AuditRecord.after,
        AuditRecord.imported_from,
        AuditRecord.hash,
    ).order_by(AuditRecord.id)
    for row in database.rows(query):
        fields = [
            row["at"],
            row["actor"],
            row["action"],
            row["target"],
            row["before"],
            row["after"],
            row["imported_from"],
        ]
        previous = chain_hash(previous, fields)
        last = int(row["id"])
        if previous != bytes(row["hash"]):
            return last
    # Ids are never used twice, so the next one tells whether records at the end were taken away.
    return None if database.next_id(AuditRecord) == last + 1 else last + 1


def read_head(database: Database) -> str:
    """``ID:HASH`` of the newest record, which stands for all before it: to be kept where nobody here can change it."""
    last = database.first(AuditRecord.select(AuditRecord.id, AuditRecord.hash).order_by(AuditRecord.id.desc()))
    return _format_head(last.id, last.hash) if last else _format_head(0, GENESIS)


def _format_head(record_id: int, digest: bytes) -> str:
    return f"{record_id}:{bytes(digest).hex()}"


def contains(database: Database, seen: str) -> bool:
    """Whether the log still has the record that was once its head: `verify` alone cannot tell a log that was
    written anew from its beginning.

    Raises:
        Invalid: ``seen`` is not of the form that `head` returns.
    """
    if not re.fullmatch("[0-9]{1,18}:[0-9a-f]{64}", seen):
        raise Invalid(
            f"{validation.quoted(seen)} is not ID:HASH", "give what 'dsgctl audit verify -o value' printed then"
        )
    record_id = int(seen.partition(":")[0])
    if record_id == 0:
        return seen == _format_head(0, GENESIS)
    record = database.first(AuditRecord.select(AuditRecord.hash).where(AuditRecord.id == record_id))
    return record is not None and _format_head(record_id, record.hash) == seen


def export_records(database: Database, after: int = 0) -> Iterator[dict[str, Any]]:
    """Whole records, the oldest first, from the one after this id."""
    query = AuditRecord.select().where(AuditRecord.id > after).order_by(AuditRecord.id)
    return map(_build_record, database.rows(query))


def _build_record(row: dict[str, Any]) -> dict[str, Any]:
    for side in ("before", "after"):
        row[side] = _state(row[side])
    row["hash"] = bytes(row["hash"]).hex()
    return row


def _state(text: str | None) -> State:
    """What a record holds. Text that cannot be read, which only the sqlite3 shell can have put there, stays text."""
    try:
        return parse_object(text) if text else None
    except NotJson:
        return {"text": text}


def list_records(
    database: Database,
    *,
    actor: str | None = None,
    target: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """The newest records first; ``actor`` and ``target`` match any part of the field, case aside."""
    query = AuditRecord.select(
        AuditRecord.id, AuditRecord.at, AuditRecord.actor, AuditRecord.action, AuditRecord.target
    ).order_by(AuditRecord.id.desc())
    if actor:
        query = query.where(AuditRecord.actor.contains(actor))
    if target:
        query = query.where(AuditRecord.target.contains(target))
    if since:
        query = query.where(AuditRecord.at >= since)
    return database.rows(query.limit(limit))


def show(database: Database, record_id: int) -> dict[str, Any]:
    """One record, whole.

    Raises:
        NotFound: there is no record of this id.
    """
    for row in database.rows(AuditRecord.select().where(AuditRecord.id == record_id)):
        return _build_record(row)
    raise NotFound(f"there is no audit record {record_id}", "dsgctl audit list")
