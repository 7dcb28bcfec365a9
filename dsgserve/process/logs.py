"""The log: one line of JSON for each event, for journald; never a token, cookie, code or address of a person."""

import json
import logging
import re
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


# What a token or a code looks like, whoever made it. Another server's error may repeat what it was sent, and so may an
# exception of a library: no caller needs to think of it.
_SECRET = re.compile(
    r"(?<![A-Za-z0-9_/])(?:dsg_|ya29\.|1//|4/|eyJ)[A-Za-z0-9_.~+/=-]{8,}"  # ours; three of Google's; JSON web tokens
    r"|(?<=[Bb]earer )[^ \"',;]+"
    r"|(?<![A-Za-z0-9_])(?=[A-Za-z_]*[0-9])(?=[0-9_]*[A-Za-z])[A-Za-z0-9_]{32,}"  # imported ones, codes, signatures
)


def redacted(text: str) -> str:
    """The text with "…" in place of whatever looks like a secret."""
    return _SECRET.sub("…", text)


class JsonLines(logging.Formatter):
    """``{"at": …, "level": …, "logger": …, "message": …}``, then the request, the event's own fields, and a traceback.

    A call gives its fields as ``extra={"fields": {…}}``.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()),
            **(REQUEST.get() or {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = redacted(self.formatException(record.exc_info))
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
