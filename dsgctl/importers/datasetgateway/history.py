"""Reads the audit records of that server, which are stored beside our own record of the import."""

import hashlib
import json
import re
from collections.abc import Iterator

from dsgctl.core import audit
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun
from dsgctl.importers.engine.record_importer import Rows, Step
from dsgctl.importers.engine.records import Record
from dsgctl.importers.engine.row import Row
from dsgctl.json_text import NotJson, parse

_TOKEN = re.compile(r"[0-9A-Za-z_-]{16,}")  # what may be a token in a text


def read_history(run: DatasetGatewayRun) -> Iterator[Step]:
    """The origin of each record is a hash of its row, by which it is recognized again."""

    def read_record(row: Row) -> Iterator[Record]:
        text = json.dumps(row.values, sort_keys=True, default=str)
        yield audit.Record(
            row.moment("timestamp"),
            run.actor(row.values["actor_id"]) or "unknown",
            f"datasetgateway.{row.text('action')}",
            f"{row.text('target_type')}:{row.text('target_id')}",
            _read_state(run, row.text_or_none("before_state")),
            _read_state(run, row.text_or_none("after_state")),
            "datasetgateway:" + hashlib.sha256(text.encode()).hexdigest(),
        )

    yield Rows("audit_log", read_record)


def _read_state(run: DatasetGatewayRun, text: str | None) -> audit.State:
    """A JSON object, in which a token is not kept. Another value becomes the value of one."""
    if text is None:
        return None
    text = _TOKEN.sub(lambda match: "(a token)" if match[0] in run.secrets else match[0], text)
    try:
        value = parse(text)
    except NotJson:
        return {"text": text}
    return value if isinstance(value, dict) else {"value": value}
