"""The log: one line of JSON for each event, for journald; never a token, cookie, code or address of a person."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

# What is known of the request that this thread answers: its id, then whose it is. Part of every line about it.
REQUEST: ContextVar[dict[str, Any] | None] = ContextVar("request", default=None)


def about(**known: Any) -> None:
    """Note something of the request under way, for its lines."""
    request = REQUEST.get()
    if request is not None:
        request.update(known)


def request_id() -> str | None:
    request = REQUEST.get()
    return str(request["request_id"]) if request else None


class JsonLines(logging.Formatter):
    """``{"at": …, "level": …, "logger": …, "message": …}``, then the request, the event's own fields, and a traceback.

    A call gives its fields as ``extra={"fields": {…}}``.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(REQUEST.get() or {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def start(level: str) -> None:
    """Send the events of this process to standard error, from this level on.

    Of libraries only what is wrong, whatever the level: some tell codes and tokens at DEBUG.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("dsgserve").setLevel(level)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is no news, and it is said per request
