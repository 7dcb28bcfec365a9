"""Takes over the audit records of that server, beside our own of the import."""

import hashlib
import json
import re
from functools import partial

from dsgctl.core import audit
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun
from dsgctl.importers.engine.row import Row
from dsgctl.json_text import NotJson, parse

_BATCH = 500
_TOKEN = re.compile(r"[0-9A-Za-z_-]{16,}")  # what may be a token in a text


def import_history(taking: DatasetGatewayRun) -> None:
    """Each record is known again by a hash of its row."""
    batch: dict[str, Row] = {}

    def note(row: Row) -> None:
        text = json.dumps(row.values, sort_keys=True, default=str)
        batch["datasetgateway:" + hashlib.sha256(text.encode()).hexdigest()] = row
        if len(batch) == _BATCH:
            _import_batch(taking, batch)

    taking.each("audit_log", note)
    _import_batch(taking, batch)


def _import_batch(taking: DatasetGatewayRun, batch: dict[str, Row]) -> None:
    known = audit.find_imported(taking.change.database, list(batch))
    for origin, row in batch.items():
        if origin not in known:
            taking.attempt(row, partial(_add, taking, origin))
        taking.count("audit records", origin not in known)
    batch.clear()


def _add(taking: DatasetGatewayRun, origin: str, row: Row) -> None:
    record = audit.Record(
        row.moment("timestamp"),
        taking.actor(row.values["actor_id"]) or "unknown",
        f"datasetgateway.{row.text('action')}",
        f"{row.text('target_type')}:{row.text('target_id')}",
        _state(taking, row.text_or_none("before_state")),
        _state(taking, row.text_or_none("after_state")),
        origin,
    )
    taking.change.add_record(record)


def _state(taking: DatasetGatewayRun, text: str | None) -> audit.State:
    """A JSON object; what is none becomes the value in one. A token in it is not kept."""
    if text is None:
        return None
    text = _TOKEN.sub(lambda found: "(a token)" if found[0] in taking.secrets else found[0], text)
    try:
        value = parse(text)
    except NotJson:
        return {"text": text}
    return value if isinstance(value, dict) else {"value": value}
