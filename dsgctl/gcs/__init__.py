"""Google Cloud Storage: with which credential a bucket is asked for."""

import re
from collections.abc import Iterator
from typing import Any, cast

from dsgctl.bounded_http import Deadline, loggable_error_code
from dsgctl.core import validation
from dsgctl.json_text import NotJson, parse

# Letters with digits among them, or without end: tokens, keys, JWTs; also addresses that look like one.
_SECRET = re.compile(r"(?=[\w.~+/=-]*\d)[\w.~+/=-]{20,}|[\w.~+/=-]{64,}")

LOOK_SECONDS = 3.0  # for the machine's own credential: a metadata server answers at once, or there is none
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def error_code(error: Exception) -> str:
    """The code in the answer that made google.auth raise this; empty if there is none.

    ``{"error": "invalid_grant"}`` (RFC 6749, 5.2), or ``{"error": {"status": …, "errors": [{"reason": …}]}}``.
    """
    answer = error.args[1] if len(error.args) > 1 else None
    if isinstance(answer, str):
        try:
            answer = parse(answer)
        except NotJson:
            return ""
    return next(filter(None, map(loggable_error_code, _error_codes(answer))), "")


def _error_codes(answer: object) -> Iterator[object]:
    error = answer.get("error") if isinstance(answer, dict) else None
    yield error
    if isinstance(error, dict):
        yield error.get("status")
        listed = error.get("errors")
        yield from (one.get("reason") for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()


def redact(text: str) -> str:
    """One line of at most 200 characters of what Google says, for an operator's screen, without what may be a secret.

    It may repeat what it was sent, our token included.
    """
    line = _SECRET.sub("…", " ".join(text.split()))
    return line if len(line) <= 200 else line[:199] + "…"


def source_credentials(named: str | None) -> Any:
    """The google.auth credential of ``impersonate:EMAIL``, of a service account's key file, or the machine's own.

    Raises:
        DefaultCredentialsError: there is none.
    """
    import google.auth
    from google.auth import exceptions, impersonated_credentials
    from google.oauth2 import service_account

    from dsgctl.gcs.transport import Failed, Transport

    deadline, not_found = Deadline(LOOK_SECONDS), cast("Any", exceptions.DefaultCredentialsError)
    google_accounts: Any = service_account.Credentials  # without types
    google_impersonated: Any = impersonated_credentials.Credentials
    if named is not None and not named.startswith(validation.IMPERSONATE):
        try:
            return google_accounts.from_service_account_file(named, scopes=[SCOPE])
        except (OSError, ValueError) as error:
            raise not_found(f"{named}: {type(error).__name__}") from error
    transport = Transport(lambda: deadline)
    try:
        own, _ = google.auth.default(scopes=[SCOPE], request=cast("Any", transport))
    except Failed as error:
        raise not_found("the machine has none") from error
    finally:
        transport.close()
    if named is None:
        return own
    return google_impersonated(own, named.removeprefix(validation.IMPERSONATE), [SCOPE])
