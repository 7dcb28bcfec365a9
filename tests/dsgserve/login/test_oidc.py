"""A provider that lies: whatever it answers, nobody is signed in, and neither time nor memory grow."""

import base64
import gzip
import json
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dsgctl import bounded_http
from dsgctl.bounded_http import Deadline
from dsgctl.oauth_client import OAuthClient
from dsgserve.login.oidc import LoginFailed, Provider, _picture_claim
from dsgserve.process.outbound import UpstreamUnavailable
from tests.e2e.local import make_certificate
from tests.patience import PATIENCE

Say = Callable[[BaseHTTPRequestHandler], None]


def _reply_with(body: bytes, status: int = 200, **headers: str) -> Say:
    def say(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return say


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.05)


def _drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.05)


def _silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def _no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


BOMB = gzip.compress(b" " * 200_000_000)
LIES: dict[str, Say] = {
    "no JSON": _reply_with(b"<html>Sign in to the hotel's network</html>", Content_Type="text/html"),
    "nothing": _reply_with(b""),
    "a list": _reply_with(b"[]"),
    "a text": _reply_with(b'"https://id.example"'),
    "nested without end": _reply_with(b"[" * 400_000),
    "not UTF-8": _reply_with(b'{"issuer": "\xff\xfe"}'),
    "another issuer": _reply_with(json.dumps({"issuer": "https://evil.example"}).encode()),
    "a number for its issuer": _reply_with(b'{"issuer": 1e400}'),
    "moved": _reply_with(b"", 302, Location="/.well-known/moved"),
    "moved to a file": _reply_with(b"", 302, Location="file:///etc/passwd"),
    "no": _reply_with(b"{}", 403),
    "broken": _reply_with(b"{}", 500),
    "cut off": _reply_with(b'{"issuer"', Content_Length="1000"),
    "a bomb": _reply_with(BOMB, Content_Encoding="gzip"),
    "said to be zipped": _reply_with(b"{}", Content_Encoding="gzip"),
    "without end": _endless,
    "a drop at a time": _drip,
    "a drop of a header at a time": _drip_headers,
    "silence": _silent,
    "another protocol": _no_http,
}


class Liar(BaseHTTPRequestHandler):
    """Says what the test wants it to."""

    say: Say
    requests: int
    arrived: threading.Event

    def do_GET(self) -> None:
        type(self).requests += 1
        self.arrived.set()
        self.close_connection = True
        with suppress(OSError):  # nobody listens any more, as should be
            type(self).say(self)

    do_POST = do_GET  # noqa: N815  the library's name

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def liar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Liar], Provider]]:
    certificate = make_certificate(tmp_path, "localhost")
    handler: type[Liar] = type("OneLiar", (Liar,), {"requests": 0, "arrived": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    for limit in ("CONNECT_SECONDS", "READ_SECONDS", "TOTAL_SECONDS"):
        monkeypatch.setattr(bounded_http, limit, PATIENCE)
    yield handler, Provider(f"https://localhost:{server.server_address[1]}", OAuthClient("id", "secret"))
    server.shutdown()
    server.server_close()


def tell(lie: str, handler: type[Liar], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the provider tell a lie. A limit in time ends one without an end, once the request has arrived."""
    handler.say = staticmethod(LIES[lie])  # type: ignore[assignment]
    if LIES[lie] is _silent:
        monkeypatch.setattr(bounded_http, "READ_SECONDS", 0.5)
    elif LIES[lie] in (_drip, _drip_headers):

        class EndOfTime(threading.Timer):
            def run(self) -> None:
                handler.arrived.wait(PATIENCE)
                self.function()

        monkeypatch.setattr(threading, "Timer", EndOfTime)


@pytest.mark.parametrize("lie", LIES)
def test_an_invalid_discovery_document_starts_no_login_and_is_cheap(
    lie: str, liar: tuple[type[Liar], Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, provider = liar
    tell(lie, handler, monkeypatch)
    tracemalloc.start()
    with pytest.raises(UpstreamUnavailable):
        provider.authorization_url("https://auth.example.org/cb", state="s", nonce="n", challenge="c")
    assert tracemalloc.get_traced_memory()[1] < 40_000_000
    tracemalloc.stop()
    assert handler.arrived.wait(PATIENCE)
    assert handler.requests == 1, "it went where it was sent"


@pytest.mark.parametrize("lie", LIES)
def test_an_invalid_answer_of_the_token_endpoint_signs_nobody_in(
    lie: str, liar: tuple[type[Liar], Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, provider = liar
    address = provider.issuer
    provider._endpoints = {"token_endpoint": f"{address}/token", "jwks_uri": f"{address}/keys", "issuer": address}
    provider._endpoints_until = float("inf")
    tell(lie, handler, monkeypatch)
    with pytest.raises((UpstreamUnavailable, LoginFailed)):
        provider.identify("code", "https://auth.example.org/cb", verifier="v", nonce="n")
    assert handler.arrived.wait(PATIENCE)
    assert handler.requests == 1


@pytest.mark.parametrize(
    "keys", ["[]", '{"keys": 1}', '{"keys": [1, null, {}]}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}']
)
@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "RS256", "kid": "a"}, {}])
def test_invalid_keys_verify_no_token(keys: str, header: dict[str, str], liar: tuple[type[Liar], Provider]) -> None:
    handler, provider = liar
    address = provider.issuer
    provider._endpoints = {"jwks_uri": f"{address}/keys", "issuer": address}
    provider._endpoints_until = float("inf")
    handler.say = staticmethod(_reply_with(keys.encode()))  # type: ignore[assignment]
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()  # noqa: E731
    token = f"{part(header)}.{part({'iss': address, 'aud': 'id', 'sub': 's', 'exp': 9e9, 'iat': 1, 'nonce': 'n'})}."
    with pytest.raises((UpstreamUnavailable, LoginFailed)):
        provider._verify(token, "n", Deadline())
    with pytest.raises((UpstreamUnavailable, LoginFailed)):
        provider._verify("[" * 100 + "." + part("[" * 5), "n", Deadline())


@pytest.mark.parametrize("endpoint", ["http://id.example/auth", "javascript:alert(1)", "", None, 7, ["https://a"]])
def test_an_endpoint_that_is_not_https_is_not_called(endpoint: object, liar: tuple[type[Liar], Provider]) -> None:
    handler, provider = liar
    discovery = {"issuer": provider.issuer, "authorization_endpoint": endpoint}
    handler.say = staticmethod(_reply_with(json.dumps(discovery).encode()))  # type: ignore[assignment]
    with pytest.raises(UpstreamUnavailable):
        provider.authorization_url("https://auth.example.org/cb", state="s", nonce="n", challenge="c")


@pytest.mark.parametrize(
    ("claim", "picture"),
    [
        ("https://a.example/me.png", "https://a.example/me.png"),
        ("data:image/png;base64,AA", ""),
        ("/avatar.png", ""),
        ("https://a.example/\u00e9.png", ""),
        (7, ""),
        (None, ""),
        ("javascript:alert(1)", ""),
    ],
)
def test_an_invalid_picture_is_left_out_and_does_not_stop_a_login(claim: object, picture: str) -> None:
    assert _picture_claim(claim) == picture


def start_login(provider: Provider, deadline: Deadline | None = None) -> str:
    return provider.authorization_url(
        "https://auth.example.org/cb", state="s", nonce="n", challenge="c", deadline=deadline
    )


def test_a_login_that_has_waited_too_long_does_not_call_the_provider(liar: tuple[type[Liar], Provider]) -> None:
    handler, provider = liar
    handler.say = staticmethod(_reply_with(b"{}"))  # type: ignore[assignment]
    with pytest.raises(UpstreamUnavailable):
        start_login(provider, Deadline(0))
    with pytest.raises(UpstreamUnavailable):
        provider.identify("code", "https://auth.example.org/cb", verifier="v", nonce="n", deadline=Deadline(0))
    assert handler.requests == 0


def test_a_call_whose_time_ended_while_the_name_was_looked_up_sends_nothing(
    liar: tuple[type[Liar], Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, provider = liar
    handler.say = staticmethod(_drip)  # type: ignore[assignment]
    elapsed = 0.0
    look_up = socket.getaddrinfo

    def look_up_slowly(*arguments: Any, **options: Any) -> Any:
        nonlocal elapsed
        elapsed = 2 * PATIENCE
        return look_up(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
    with pytest.raises(UpstreamUnavailable):
        start_login(provider, Deadline(clock=lambda: elapsed))
    assert (elapsed, handler.requests) == (2 * PATIENCE, 0)


def test_concurrent_logins_ask_the_provider_once_and_share_its_failure(
    liar: tuple[type[Liar], Provider],
) -> None:
    handler, provider = liar
    answer = threading.Event()

    def say(request: BaseHTTPRequestHandler) -> None:
        answer.wait(PATIENCE)
        _reply_with(b"{}", 503)(request)

    handler.say = staticmethod(say)  # type: ignore[assignment]
    failures: list[Exception] = []

    def log_in() -> None:
        try:
            start_login(provider)
        except UpstreamUnavailable as error:
            failures.append(error)

    leader = threading.Thread(target=log_in)
    leader.start()
    while not handler.requests:
        time.sleep(0.001)
    assert list(provider._fetches._under_way) == ["discovery"]
    waiting = [threading.Thread(target=log_in) for _ in range(9)]
    for thread in waiting:
        thread.start()
    future = provider._fetches._under_way["discovery"]
    while len(future._condition._waiters) < 9:  # type: ignore[attr-defined]
        time.sleep(0.001)
    answer.set()
    for thread in (leader, *waiting):
        thread.join()
    assert len(failures) == 10
    assert handler.requests == 1
    assert not provider._fetches._under_way


@pytest.mark.parametrize("error", ["invalid_grant", "a secret 0123", "x" * 500, "\x1b[2J"])
def test_a_refusal_of_the_provider_is_logged_as_its_code_alone(liar: tuple[type[Liar], Provider], error: str) -> None:
    handler, provider = liar
    provider._endpoints = {"token_endpoint": f"{provider.issuer}/token", "issuer": provider.issuer}
    provider._endpoints_until = float("inf")
    body = json.dumps({"error": error, "error_description": "code=secret"}).encode()
    handler.say = staticmethod(_reply_with(body, 400))  # type: ignore[assignment]
    with pytest.raises(LoginFailed) as failed:
        provider.identify("code", "https://auth.example.org/cb", verifier="v", nonce="n")
    assert failed.value.detail == f"token endpoint: {error if error == 'invalid_grant' else ''}"
