"""What the log says of a request, and what it never says."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dsgserve.gateway import Gateway
from dsgserve.process import logs
from tests.dsgserve.conftest import PAGE, Client, Lab


@pytest.fixture
def log_stream() -> Iterator[io.StringIO]:
    """What is logged, as it would stand in the journal."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def lines(log_stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log_stream.getvalue().splitlines()]


def test_libraries_log_only_warnings_at_every_level() -> None:
    """requests_oauthlib tells the code, the client's secret and the tokens at DEBUG."""
    script = (
        "import logging; from dsgserve.process import logs; logs.configure('DEBUG')\n"
        "for name in ('requests_oauthlib.oauth2_session', 'urllib3', 'google.auth', 'oauthlib'):\n"
        "    logging.getLogger(name).info('a secret')\n"
        "logging.getLogger('dsgserve.login').debug('ours')"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [json.loads(line)["message"] for line in process.stderr.splitlines()] == ["ours"]


def test_a_request_is_a_line_with_its_number_which_the_answer_has_too(
    client: Client, lab: Lab, log_stream: io.StringIO
) -> None:
    reply = client.get("/", cookie=lab.ada)
    (line,) = lines(log_stream)
    assert reply.headers["x-request-id"] == line["request_id"]
    assert (line["route"], line["method"], line["status"]) == ("/", "GET", 200)
    assert isinstance(line["principal"], int) and line["ms"] >= 0 and line["level"] == "INFO"
    assert logs.REQUEST.get() is None


def test_user_cache_and_health_are_not_logged(client: Client, lab: Lab, log_stream: io.StringIO) -> None:
    client.get("/api/v1/user/cache", authorization=f"Bearer {lab.ada}")
    client.get("/api/v1/user/cache")
    client.get("/health")
    assert lines(log_stream) == []


def test_an_error_page_shows_the_number(client: Client, log_stream: io.StringIO) -> None:
    reply = client.get("/login?origin=nonsense", accept=PAGE)
    assert reply.status == 400
    assert lines(log_stream)[-1]["request_id"] in reply.text


def test_a_fault_is_one_line_with_its_traceback(
    client: Client, gateway: Gateway, log_stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsgserve.terms.terms_pages.pending_terms.list_pending", lambda *_, **__: 1 / 0)
    monkeypatch.setattr("dsgserve.login.sign_in.authentication.authenticate_cookie", lambda *_: 1 / 0)
    reply = client.get("/activate")
    assert reply.status == 500
    fault, answered = lines(log_stream)
    assert fault["request_id"] == answered["request_id"] == reply.headers["x-request-id"]
    assert "ZeroDivisionError" in fault["traceback"] and fault["level"] == "ERROR"


SECRETS = [
    "dsg_" + "a" * 38,
    "dsgt" + "a" * 39,
    "ya29.a0AfB_byC-x.y_z1234567890",
    "ya29.c.b0Aaekm1K",
    "4/0AX4XfWh-abcdef_ghijklmnop",
    "1//0gabcdefghijkl",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "0123456789abcdef0123456789abcdef",
    "A1" * 20,
]
REPEATED = [
    "{}",
    "invalid_grant: {}",
    '{{"subject_token": "{}"}}',
    "token={}&x=y",
    "Bearer {}",
    "('x: y', '{}')",
    "<{}>",
    "a\n{}\nb",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_repeated_by_another_server_is_not_logged(secret: str, log_stream: io.StringIO) -> None:
    for message in REPEATED:
        text = message.format(secret)
        logging.getLogger("dsgserve.x").warning("Google says %s", text)
        try:
            raise RuntimeError(text)
        except RuntimeError:
            logging.getLogger("dsgserve.x").exception("it failed: %s", text)
    assert len(lines(log_stream)) == 2 * len(REPEATED)
    assert secret not in log_stream.getvalue() and secret[10:] not in log_stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "no token for bucket janelia-flyem-2024-public-datasets: Google answers 403: invalid_scope",
        "/var/lib/dsg/dsg.sqlite3",
        "listening on unix:/run/dsg/dsgserve.sock for https://auth.example.org",
        "login failed: stale (state)",
        "impersonate:gateway@project-123456.iam.gserviceaccount.com",
        "the_database_of_another_release_was_found",
        "File dsgserve/app.py, line 120, in _answer",
        "1234567890123456789012345678901234567890",
    ],
)
def test_a_message_without_a_secret_is_logged_unchanged(text: str) -> None:
    assert logs.redact(text) == text


def test_no_token_and_no_client_address_is_logged(client: Client, lab: Lab, log_stream: io.StringIO) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    for path in ("/", "/login", "/activate", "/token", "/nowhere", "/api/v1/user/cache"):
        client.get(f"{path}?dsg_token={lab.ada}&code=the-code&state=the-state", cookie=lab.ada)
    client.post("/token", cookie=lab.ada)
    text = log_stream.getvalue()
    assert '"route": "/token"' in text
    assert not any(secret in text for secret in (lab.ada, "the-code", "the-state", "ada@example.org"))
