"""The log: one line of JSON per event, for journald. It never contains a token, cookie, code or email address."""

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

Field = str | int | float | None

# The fields of the request that this thread answers: its id, and later its principal. Every line about it has them.
REQUEST: ContextVar[dict[str, Field] | None] = ContextVar("request", default=None)


def annotate(**fields: Field) -> None:
    """Add fields to all further lines about the current request."""
    request = REQUEST.get()
    if request is not None:
        request.update(fields)


def request_id() -> str | None:
    """The id of the current request; None outside of one."""
    request = REQUEST.get()
    return str(request["request_id"]) if request else None


# The forms of tokens and codes, ours and those of others. The error of another server or of a library may repeat what
# it was sent. It is redacted here, so callers need not think of it.
_SECRET = re.compile(
    r"(?<![A-Za-z0-9_/])(?:dsg_|dsgt|ya29\.|1//|4/|eyJ)[A-Za-z0-9_.~+/=-]{8,}"  # ours; Google's; JSON web tokens
    r"|(?<=[Bb]earer )[^ \"',;]+"
    r"|(?<![A-Za-z0-9_])(?=[A-Za-z_]*[0-9])(?=[0-9_]*[A-Za-z])[A-Za-z0-9_]{32,}"  # imported ones, codes, signatures
)


def redact(text: str) -> str:
    """Replace everything that looks like a secret with "…"."""
    return _SECRET.sub("…", text)


class JsonLines(logging.Formatter):
    """``{"at": …, "level": …, "logger": …, "message": …}``, then the fields of request and event, and a traceback.

    The fields of an event are passed to the logger as ``extra={"fields": {…}}``.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **(REQUEST.get() or {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str) -> None:
    """Log the events of this process to standard error, from this level on.

    Libraries log warnings and errors only, whatever the level: some log codes and tokens at DEBUG.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("dsgserve").setLevel(level)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it logs a full queue at every request
