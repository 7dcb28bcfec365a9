"""The audit log: a record of every change, chained to the record before it by a hash."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from json.encoder import encode_basestring
from typing import Any, NamedTuple, TypedDict

from dsgctl.core import validation
from dsgctl.core.errors import DsgError, NotFound
from dsgctl.json_text import NotJson, parse_object
from dsgctl.store import Database
from dsgctl.store.models import AuditRecord
from dsgctl.store.times import utc_datetime, utc_text

GENESIS = bytes(32)  # takes the place of the hash before the first record
HASHED = ("at", "actor", "action", "target", "before", "after", "imported_from")  # the columns that the hash covers

_COLUMNS = (*HASHED, "hash")

# The values that a change concerns, before or after it: a JSON object with keys of the entity; None if there are none.
State = Mapping[str, Any] | None


class AuditRow(TypedDict):
    """A row of `list_records`; the values are those of `Record`."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str


class AuditDetails(AuditRow):
    """A whole record; ``hash`` is in hexadecimal."""

    before: State
    after: State
    imported_from: str | None
    hash: str


class Record(NamedTuple):  # not a dataclass: there are millions, and each takes a third of the time to make
    """One change.

    Attributes:
        at: the time of the change; for an imported record, as the other system recorded it.
        actor: ``os:NAME``, ``user:EMAIL`` or ``import:FILE``.
        action: noun and verb, as on the command line: ``grant.add``.
        target: the entity that was changed, as ``kind:name``; several are separated by a space.
        before, after: the values that changed.
        imported_from: identifies a record of another system; None for our own.
    """

    at: datetime
    actor: str
    action: str
    target: str
    before: State = None
    after: State = None
    imported_from: str | None = None


def encode_state(state: State) -> str | None:
    """The state as canonical JSON: equal states give equal text, so that the hash is stable."""
    if state is None:
        return None
    return _CANONICAL.encode(state)


def _format_value(value: Any) -> str:
    if isinstance(value, datetime):
        return utc_text(value)
    raise TypeError(f"an audit record cannot hold {type(value).__name__}")


# json.dumps with options would make an encoder for every record.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_format_value)


def chain_hash(previous: bytes, fields: Sequence[str | None]) -> bytes:
    """The SHA-256 of the previous record's hash and of this record's fields, which are the columns `HASHED`."""
    # json.dumps, which would write the same text, takes three times as long.
    text = ",".join(["null" if field is None else encode_basestring(field) for field in fields])
    return hash_text(previous, f"[{text}]".encode("utf-8", "surrogatepass"))


def hash_text(previous: bytes, text: bytes) -> bytes:
    """The same, of the fields as a JSON array without spaces and without escapes that JSON does not require."""
    return hashlib.sha256(previous + text).digest()


def append(database: Database, records: list[Record]) -> None:
    """Write records at the end of the chain. Call it in the transaction of the change itself."""
    previous = last_hash(database)
    texts: dict[int, str | None] = {}  # by `id`: many records of one change share one state

    def text(state: State) -> str | None:
        key = id(state)
        if key not in texts:
            texts[key] = encode_state(state)
        return texts[key]

    moments = {at: utc_text(at) for at in {record.at for record in records}}  # mostly one
    rows = []
    for at, actor, action, target, before, after, imported_from in records:
        fields = (moments[at], actor, action, target, text(before), text(after), imported_from)
        previous = chain_hash(previous, fields)
        rows.append(dict(zip(_COLUMNS, (*fields, previous), strict=True)))
    database.insert_many(AuditRecord, rows)


def find_imported(database: Database, origins: list[str]) -> set[str]:
    """Those of these values of `Record.imported_from` that a record has: records that were imported before."""
    imported: set[str] = set()
    for start in range(0, len(origins), 500):  # SQLite binds a limited number of values in one query
        part = AuditRecord.imported_from.in_(origins[start : start + 500])
        imported |= {origin for (origin,) in database.tuples(AuditRecord.select(AuditRecord.imported_from).where(part))}
    return imported


def last_hash(database: Database) -> bytes:
    """The hash of the newest record."""
    last = database.first(AuditRecord.select(AuditRecord.hash).order_by(AuditRecord.id.desc()))
    return bytes(last.hash) if last else GENESIS


ACCEPT_CLOCK = "clock.accept"

# The largest time, not that of the last record: a change made while the clock was set back must not hide the others.
# INDEXED BY, because SQLite would rather sort all records than read the index of times.
_LATEST = f"""SELECT at FROM audit INDEXED BY audit_moments WHERE imported_from IS NULL
  AND id >= (SELECT coalesce(max(id), 0) FROM audit WHERE action = '{ACCEPT_CLOCK}' AND imported_from IS NULL)
  ORDER BY at DESC LIMIT 1"""  # noqa: S608


def find_latest_change(database: Database) -> datetime | None:
    """The time of the latest change here, since an operator last accepted the clock (`transaction.accept_clock`).

    If it is later than now, this host's clock was set back.

    Raises:
        DsgError: the record was written by hand, and has no valid time.
    """
    text = database.scalar(_LATEST)
    try:
        return utc_datetime(text) if text else None
    except ValueError:
        raise DsgError(f"an audit record has {validation.quote(text)} as its time", "dsgctl audit verify") from None


_DETAILS = AuditRecord.select(AuditRecord.id, *(getattr(AuditRecord, name) for name in HASHED), AuditRecord.hash)


def export_records(database: Database, after: int = 0) -> Iterator[AuditDetails]:
    """Whole records, the oldest first, beginning after this id."""
    query = _DETAILS.where(AuditRecord.id > after).order_by(AuditRecord.id)
    return map(_build_details, database.tuples(query))


def _build_details(row: tuple[Any, ...]) -> AuditDetails:
    record_id, at, actor, action, target, before, after, imported_from, digest = row
    return {
        "id": record_id,
        "at": at,
        "actor": actor,
        "action": action,
        "target": target,
        "before": _parse_state(before),
        "after": _parse_state(after),
        "imported_from": imported_from,
        "hash": bytes(digest).hex(),
    }


def _parse_state(text: str | None) -> State:
    """The state in a record. Text that is not JSON, which only the sqlite3 shell can write, stays text."""
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
) -> Iterator[AuditRow]:
    """Records, the newest first.

    Args:
        actor, target: only records with this text in the field; case is ignored.
        since: only records of this time or later.
        limit: the most rows; None for all.
    """
    query = AuditRecord.select(
        AuditRecord.id, AuditRecord.at, AuditRecord.actor, AuditRecord.action, AuditRecord.target
    ).order_by(AuditRecord.id.desc())
    if actor:
        query = query.where(AuditRecord.actor.contains(actor))
    if target:
        query = query.where(AuditRecord.target.contains(target))
    if since:
        query = query.where(AuditRecord.at >= since)
    return database.rows(query.limit(limit), AuditRow)


def show(database: Database, record_id: int) -> AuditDetails:
    """One whole record.

    Raises:
        NotFound: there is no record with this id.
    """
    for row in database.tuples(_DETAILS.where(AuditRecord.id == record_id)):
        return _build_details(row)
    raise NotFound(f"there is no audit record {record_id}", "dsgctl audit list")
