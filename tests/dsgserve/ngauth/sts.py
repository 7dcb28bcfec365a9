"""Stands in for Google's token exchange, on a loopback socket, and for the gateway's own credential."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)


class Exchange(ThreadingHTTPServer):
    """An HTTP server that answers each exchange with a new token.

    Attributes:
        requests: the fields of each request.
        response: status and body to send instead of a token.
        hold: while it is cleared, responses wait.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, str]] = []
        self.response: tuple[int, bytes] | None = None
        self.expires_in: int | None = 3600
        self.hold = threading.Event()
        self.hold.set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/token"


class _Handler(BaseHTTPRequestHandler):
    server: Exchange

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.server.lock:
            self.server.requests.append({name: values[0] for name, values in parse_qs(body).items()})
            number = len(self.server.requests)
        self.server.hold.wait(10)
        fields = {"access_token": f"downscoped-{number}", "token_type": "Bearer"}
        if self.server.expires_in is not None:
            fields["expires_in"] = self.server.expires_in  # type: ignore[assignment]
        status, response = self.server.response or (200, json.dumps(fields).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Source:
    """The gateway's own credential, in the form of google.auth: ``expiry`` is naive UTC."""

    def __init__(self, clock: "Clock") -> None:
        self.clock = clock
        self.token: str | None = None
        self.expiry: datetime | None = None
        self.refreshed = 0
        self.raises: Exception | None = None

    def refresh(self, request: Any) -> None:
        if self.raises:
            raise self.raises
        self.refreshed += 1
        self.token = f"source-{self.refreshed}"
        self.expiry = (self.clock.now + 60 * MINUTE).replace(tzinfo=None)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Ticks:
    """A clock of seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def read_rules(request: dict[str, str]) -> list[dict[str, Any]]:
    """The access boundary rules of a request."""
    rules: list[dict[str, Any]] = json.loads(unquote(request["options"]))["accessBoundary"]["accessBoundaryRules"]
    return rules


def wait_for(ready: Any) -> None:
    end = threading.Event()
    for _ in range(1000):
        if ready():
            return
        end.wait(0.005)
    raise AssertionError("it did not come about")
