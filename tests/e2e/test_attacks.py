"""What a stranger may try on the wire, through nginx and past it, and what a curious one on the host may read."""

import os
import re
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import KEY, Server
from tests.e2e.local import make_certificate
from tests.e2e.proxy import HOST, Loopback, run_nginx
from tests.e2e.visitor import Visitor
from tests.patience import PATIENCE

Serve = Callable[..., Server]
needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")


@pytest.fixture
def token(database: Database) -> str:
    """Of ada."""
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        users.add(change, "mallory@example.org")
        return tokens.mint(change, ada)[1]


# Smuggling and header injection


@dataclass
class Front:
    """nginx before a server, and how to speak to it in bytes."""

    port: int
    certificate: Path
    server: Server

    def say(self, request: bytes) -> bytes:
        """All that comes back before the connection is closed or falls silent."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(("127.0.0.1", self.port))
        with context.wrap_socket(plain, server_hostname=HOST) as wire:
            return _exchange(wire, request)

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.certificate)
        session.mount(f"https://{HOST}", Loopback(self.port))
        return session


def _exchange(wire: socket.socket, request: bytes) -> bytes:
    wire.settimeout(1)  # a request that is not at its end is answered by nothing; less time would only hear less
    wire.sendall(request)
    answers = b""
    with suppress(TimeoutError, ConnectionError):
        while got := wire.recv(65536):
            answers += got
    return answers


@pytest.fixture
def front(serve: Serve, tmp_path: Path) -> Iterator[Front]:
    certificate = make_certificate(tmp_path, HOST)
    server = serve(DSG_ORIGIN=f"https://{HOST}")
    with run_nginx(tmp_path, certificate, server.origin.removeprefix("http://")) as port:
        yield Front(port, certificate, server)


# What would be a second request, if one of the two programs found another end of the first than the other did.
SECOND = "GET /api/v1/user/cache?dsg_token={token} HTTP/1.1\r\nHost: auth.example.org\r\n\r\n"
FIRST = "POST /token HTTP/1.1\r\nHost: auth.example.org\r\n"
SMUGGLED = {
    "both lengths": "Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, oddly": "Content-Length: {length}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked after a tab": "Content-Length: {length}\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
    "chunked before a space": "Content-Length: {length}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked and more": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: {length}\r\n\r\n",
    "a list of lengths": "Content-Length: 0, {length}\r\n\r\n",
    "a length with a sign": "Content-Length: +0\r\n\r\n",
    "a negative length": "Content-Length: -1\r\n\r\n",
    "a length in hexadecimal": "Content-Length: 0x0\r\n\r\n",
    "a chunk with a sign": "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "a chunk of nonsense": "Transfer-Encoding: chunked\r\n\r\n0x\r\n\r\n",
    "a folded header": "Content-Length: 0\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n",
    "bare line feeds": "Content-Length: 0\nTransfer-Encoding: chunked\n\n0\n\n",
    "a null": "Content-Length: 0\r\nX: a\0b\r\n\r\n",
    "no name": "Content-Length: 0\r\n: chunked\r\n\r\n",
}


@needs_nginx
@pytest.mark.parametrize("way", SMUGGLED)
def test_no_request_is_smuggled_past_nginx(way: str, front: Front, token: str) -> None:
    second = SECOND.format(token=token)
    head = FIRST + SMUGGLED[way].format(length=len(second) + 5)
    # One that is rightly answered, as the next on the same connection, is no smuggling: nginx sees two too.
    answers = front.say(head.encode() + second.encode())
    logged = (front.certificate.parent / "dsg.access.log").read_text().splitlines()
    seen_by_nginx = sum('"GET /api/v1/user/cache"' in line for line in logged)
    assert answers.count(b'"email":"ada@example.org"') <= seen_by_nginx
    # And nothing is left over for whoever comes next on the connections that nginx keeps.
    with front.session() as session:
        for _ in range(6):
            assert session.get(f"https://{HOST}/health", timeout=PATIENCE).json()["status"] == "ok"
            assert session.get(f"https://{HOST}/api/v1/user/cache", timeout=PATIENCE).status_code == 401


def test_the_server_itself_answers_a_smuggling_attempt_without_a_fault(serve: Serve, token: str) -> None:
    server, second = serve(), SECOND.format(token=token)
    for way, headers in SMUGGLED.items():
        head = FIRST + headers.format(length=len(second) + 5)
        with socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2]))) as wire:
            answers = _exchange(wire, head.encode() + second.encode())
        assert answers.count(b"HTTP/1.") <= 2, way
        assert b"500 " not in answers and b"Traceback" not in answers, way
        assert server.ask(token).status_code == 200, way


@needs_nginx
def test_headers_and_addresses_inject_no_header(front: Front, token: str) -> None:
    with front.session() as session:
        for path in (
            "/auth/login?next=/%0d%0aSet-Cookie:x=y",
            "/api/v1/authorize?redirect=/%0d%0aX:%20y",
            "/login?origin=https://a%0d%0aX:y",
            "/%0d%0aX:y",
            "/activate?next=/%E5%98%8A%E5%98%8DX:y",
        ):
            reply = session.get(f"https://{HOST}{path}", allow_redirects=False, timeout=PATIENCE)
            assert "X" not in reply.headers
            assert reply.headers.get("Set-Cookie", "").partition("=")[0] in ("", "__Host-dsg_login")
            assert "\n" not in reply.headers.get("Location", "")


NOT_UNDERSTOOD = [
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nCookie: a=\x00\r\n\r\n",
    b"\x16\x03\x01\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
]


def test_malformed_requests_are_answered(serve: Serve) -> None:
    server = serve()
    for request in NOT_UNDERSTOOD:
        with socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2]))) as wire:
            assert _exchange(wire, request).startswith(b"HTTP/1."), request
    assert "uncaptured" not in server.log.read_text()


# Who one says to be


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "1",
    "X-Forwarded-By": "evil",
    "Forwarded": "for=203.0.113.9;host=evil.example;proto=http",
    "X-Real-IP": "203.0.113.9",
    "X_Forwarded_For": "203.0.113.9",
    "X-Original-URL": "/health",
    "X-Rewrite-URL": "/health",
    "X-HTTP-Method-Override": "DELETE",
    "Remote-User": "ada@example.org",
    "Proxy": "http://evil.example",
}


@needs_nginx
def test_forged_headers_do_not_change_the_user_or_the_client_address(front: Front, token: str) -> None:
    with front.session() as session:
        plain = session.get(f"https://{HOST}/api/v1/user/cache", timeout=PATIENCE)
        spoofed = session.get(f"https://{HOST}/api/v1/user/cache", headers=FORWARDED, timeout=PATIENCE)
        assert (plain.status_code, plain.content) == (spoofed.status_code, spoofed.content)
        for headers in ({}, FORWARDED, {"Host": "evil.example"}):
            reply = session.get(
                f"https://{HOST}/api/v1/user/cache",
                headers={**headers, "Authorization": f"Bearer {token}"},
                timeout=PATIENCE,
            )
            assert reply.json()["email"] == "ada@example.org"
            reply = session.get(
                f"https://{HOST}/activate?next=/success", headers=headers, allow_redirects=False, timeout=PATIENCE
            )
            assert "evil" not in reply.headers["Location"] + reply.text


# Logins


def test_a_login_replaces_a_planted_cookie(serve: Serve, token: str) -> None:
    """Session fixation: who plants a cookie before a sign-in knows nothing of the login after it."""
    server = serve(DSG_DEV_LOGIN="1")
    mallory = Visitor(server.origin)
    planted = mallory.sign_in("mallory@example.org")
    victim = Visitor(server.origin)
    victim.session.cookies.set("dsg_token", planted, domain="localhost.local", path="/")
    state = victim.begin()
    assert victim.finish(state, "ada@example.org").status_code == 303
    cookies = [cookie.value for cookie in victim.session.cookies if cookie.name == "dsg_token"]
    fresh = next(value for value in cookies if value and value != planted)
    assert server.ask(fresh).json()["email"] == "ada@example.org"
    assert server.ask(planted).json()["email"] == "mallory@example.org"


def test_a_login_that_an_attacker_began_cannot_be_finished_by_the_victim(serve: Serve, token: str) -> None:
    server = serve(DSG_DEV_LOGIN="1")
    mallory, victim = Visitor(server.origin), Visitor(server.origin)
    state = mallory.begin()
    assert victim.finish(state, "mallory@example.org").status_code == 403
    assert victim.token == ""
    # Nor a second time by the one who began it.
    assert mallory.finish(state, "mallory@example.org").status_code == 303
    assert mallory.finish(state, "ada@example.org").status_code == 403


# On the host


def test_secrets_are_in_no_process_list_core_dump_or_log(serve: Serve, token: str, path: Path) -> None:
    server = serve(DSG_DEV_LOGIN="1", LOG_LEVEL="DEBUG")
    visitor = Visitor(server.origin)
    login = visitor.sign_in("ada@example.org")
    server.ask(token)
    server.ask(login, service="x")
    requests.get(f"{server.origin}/api/v1/user/cache", params={"dsg_token": token}, timeout=PATIENCE)
    requests.get(f"{server.origin}/nothing/{token}", timeout=PATIENCE)
    user_token = requests.post(
        f"{server.origin}/token", headers={"Cookie": f"dsg_token={login}"}, timeout=PATIENCE
    ).text
    requests.post(f"{server.origin}/gcs_token", json={"token": user_token, "bucket": "x"}, timeout=PATIENCE)
    secrets = (token, login, user_token, KEY)
    process = Path(f"/proc/{server.process.pid}")
    assert not any(secret.encode() in (process / "cmdline").read_bytes() for secret in secrets)
    assert re.search(r"Max core file size +0 +0 ", (process / "limits").read_text())
    assert not (process / "task" / str(server.process.pid) / "children").read_text().split()  # it starts no program
    log = server.log.read_text()
    status_text = "".join(file.read_text() for file in path.parent.glob("dsg.sqlite3.server-*.json"))
    assert not [secret for secret in secrets if secret in log + status_text]
    database_bytes = b"".join(file.read_bytes() for file in path.parent.glob("dsg.sqlite3*"))
    assert not [secret for secret in secrets if secret.encode() in database_bytes]


def test_an_error_page_shows_no_internal_details(serve: Serve, path: Path, token: str) -> None:
    server = serve()
    path.rename(path.with_name("gone.sqlite3"))
    reply = requests.get(server.origin + "/", headers={"Accept": "text/html"}, timeout=PATIENCE)
    assert reply.status_code == 503
    for inside in (str(path), "sqlite", "Traceback", "peewee", os.uname().nodename):
        assert inside not in reply.text
