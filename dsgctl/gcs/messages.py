"""Google's error messages and codes, made fit for logs and for an operator's screen."""

import re
from collections.abc import Iterator

from dsgctl.bounded_http import loggable_error_code
from dsgctl.json_text import NotJson, parse

# Long words with a digit, or of 64 characters: tokens, keys, JWTs; also addresses that look like one.
_SECRET = re.compile(r"(?=[\w.~+/=-]*\d)[\w.~+/=-]{20,}|[\w.~+/=-]{64,}")
_LONGEST = 200  # characters of a message


def error_code(error: Exception) -> str:
    """The code in the response for which google.auth raised this error; empty if there is none.

    ``{"error": "invalid_grant"}`` (RFC 6749, 5.2), or ``{"error": {"status": …, "errors": [{"reason": …}]}}``.
    """
    body = error.args[1] if len(error.args) > 1 else None
    if isinstance(body, str):
        try:
            body = parse(body)
        except NotJson:
            return ""
    return next(filter(None, map(loggable_error_code, _list_codes(body))), "")


def _list_codes(body: object) -> Iterator[object]:
    error = body.get("error") if isinstance(body, dict) else None
    yield error
    if isinstance(error, dict):
        yield error.get("status")
        details = error.get("errors")
        if isinstance(details, list):
            yield from (detail.get("reason") for detail in details if isinstance(detail, dict))


def redact(text: str) -> str:
    """One line of at most 200 characters, without any word that may be a secret.

    Google's messages can repeat the request, with the token in it.
    """
    line = _SECRET.sub("…", " ".join(text.split()))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
