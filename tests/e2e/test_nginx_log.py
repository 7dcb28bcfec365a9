"""What nginx writes: the reason of whatever goes wrong, and never a query, which may hold a token or a code."""

import re
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.local import free_port, make_certificate, wait_until
from tests.e2e.proxy import HOST, run_nginx

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")

SECRET = b"dsgtSECRETSECRETSECRET"
SECONDS = 30


class Nginx:
    """nginx before ``upstream``, and how to speak to it in bytes."""

    def __init__(self, place: Path, port: int, certificate: Path) -> None:
        self.place = place
        self.port = port
        self._context = ssl.create_default_context(cafile=str(certificate))

    def connect(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS, source_address=(source, 0))
        return self._context.wrap_socket(plain, server_hostname=HOST)

    def send(self, request: bytes) -> bytes:
        """The beginning of what comes back."""
        with self.connect() as wire:
            with suppress(OSError):
                wire.sendall(request)
            answer = b""
            with suppress(OSError):
                while b"\r\n\r\n" not in answer and (part := wire.recv(65536)):
                    answer += part
            return answer

    def lines(self) -> list[str]:
        return (self.place / "dsg.access.log").read_text().splitlines()

    def read_output(self) -> bytes:
        """All that nginx has written, anywhere."""
        files = [file for file in self.place.rglob("*") if file.is_file() and file.suffix not in (".key", ".pem")]
        return b"".join(file.read_bytes() for file in files)


def request(path: bytes = b"/api/v1/user/cache", method: bytes = b"GET", more: bytes = b"") -> bytes:
    head = method + b" " + path + b"?dsg_token=" + SECRET + b" HTTP/1.1\r\nHost: " + HOST.encode()
    return head + b"\r\nReferer: https://" + HOST.encode() + b"/?dsg_token=" + SECRET + b"\r\n" + more + b"\r\n"


@contextmanager
def upstream(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does this with each connection."""

    def run() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=run, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def make_replacement(texts: dict[str, str]) -> Callable[[str], str]:
    def alter(site: str) -> str:
        for old, new in texts.items():
            assert old in site
            site = site.replace(old, new)
        return site

    return alter


def make_response(answer: bytes) -> Callable[[socket.socket], None]:
    def to(client: socket.socket) -> None:
        with client:
            client.recv(65536)
            client.sendall(answer)

    return to


def keep_silent(client: socket.socket) -> None:
    with client:
        while client.recv(65536):
            pass


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Nginx]]:
    certificate = make_certificate(tmp_path, HOST)
    with ExitStack() as stack:

        def start(server: str, **options: object) -> Nginx:
            port = stack.enter_context(run_nginx(tmp_path, certificate, server, **options))  # type: ignore[arg-type]
            return Nginx(tmp_path, port, certificate)

        yield start


WENT_WRONG: dict[str, tuple[Callable[[socket.socket], None] | str, bytes, int, str]] = {
    "the socket is missing": ("unix:/nowhere/dsgserve.sock", request(), 502, "cannot connect to the server"),
    "nobody listens": ("127.0.0.1:9", request(), 502, "cannot connect to the server"),
    "it hangs up": (make_response(b""), request(), 502, "closed the connection early"),
    "it answers nonsense": (
        make_response(b"HTTP/1.1 200 OK\r\nX\0: y\r\n\r\n"),
        request(),
        502,
        "closed the connection early",
    ),
    "its headers are too long": (
        make_response(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 99_000 + b"\r\n\r\n"),
        request(),
        502,
        "closed the connection early",
    ),
    "it does not answer": (keep_silent, request(), 504, "did not answer in time"),
    "it says 503": (make_response(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), request(), 503, ""),
    "the body is too large": (
        keep_silent,
        request(method=b"POST", more=b"Content-Length: 300000\r\n"),
        413,
        "body is too large",
    ),
    "a header with a null": (keep_silent, request(more=b"X\0: y\r\n"), 400, "not a valid request"),
    "headers that are too long": (keep_silent, request(more=b"X: " + b"y" * 40_000 + b"\r\n"), 400, "too long"),
    "an address that is too long": (keep_silent, request(b"/" + b"y" * 40_000), 414, "too long"),
    "no version": (keep_silent, b"GET /x?" + SECRET + b" HTTP/x\r\n\r\n", 400, "not a valid request"),
    "a space in the query": (keep_silent, b"GET /x?" + SECRET + b" y HTTP/1.1\r\n\r\n", 400, "not a valid request"),
    "an encoded question mark": (keep_silent, request(b"/x%3Fdsg_token=" + SECRET), 504, "did not answer in time"),
    "no host": (keep_silent, b"GET /x?" + SECRET + b" HTTP/1.1\r\n\r\n", 400, "not a valid request"),
    "smuggled": (
        keep_silent,
        request(method=b"POST", more=b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        400,
        "",
    ),
    "a body that does not come": (
        keep_silent,
        request(method=b"POST", more=b"Content-Length: 9\r\n"),
        408,
        "too slowly",
    ),
    "headers that do not come": (keep_silent, request()[:-2], 408, "too slowly"),
}


@pytest.mark.parametrize("name", WENT_WRONG)
def test_the_log_has_the_reason_and_no_query_at_any_level(
    name: str, start: Callable[..., Nginx], tmp_path: Path
) -> None:
    server, sent, status, reason = WENT_WRONG[name]
    soon = {
        "proxy_read_timeout 30s": "proxy_read_timeout 1s",
        "header_timeout 10s": "header_timeout 1s",
        "body_timeout 10s": "body_timeout 1s",
    }
    with ExitStack() as stack:
        address = server if isinstance(server, str) else stack.enter_context(upstream(server))
        site = start(address, debug=True, alter=make_replacement(soon))
        answer = site.send(sent)
        wait_until(lambda: len(site.lines()) > 0, event="the line")
    if status != 408:  # who is too slow is hung up on
        assert answer.startswith(b"HTTP/1.1 %d " % status)
    (line,) = site.lines()
    assert f'" {status} ' in line
    assert reason in line.rpartition(' "')[2]
    if status not in (503, 408):
        for header in (b"nosniff", b"X-Frame-Options: DENY", b"default-src 'none'", b"no-referrer"):
            assert header in answer
    assert SECRET not in site.read_output()


def test_limited_requests_and_closed_connections_are_logged_without_a_query(start: Callable[..., Nginx]) -> None:
    with upstream(keep_silent) as server:
        few = {"limit_conn dsg_address 200": "limit_conn dsg_address 2", "burst=100 delay=50": "burst=1 nodelay"}
        site = start(server, debug=True, alter=make_replacement(few))
        with site.connect() as first, site.connect() as second:
            first.sendall(request())
            second.sendall(request())
            wait_until(lambda: b" 429 " in site.send(request()), event="a refusal")  # each takes a moment to arrive
        wait_until(lambda: sum('" 499 ' in line for line in site.lines()) >= 2, event="both lines")
        for _ in range(4):
            with site.connect() as logging_in:
                logging_in.sendall(request(b"/auth/login"))
        wait_until(lambda: any("REJECTED,-" in line for line in site.lines()), event="a refusal of a login")
    lines = site.lines()
    assert any("REJECTED" in line and "too many requests from this address" in line for line in lines)
    assert all("the client closed the connection" in line for line in lines if '" 499 ' in line)
    assert SECRET not in site.read_output()


def test_the_site_without_tls_logs_no_query(start: Callable[..., Nginx], tmp_path: Path) -> None:
    port = free_port()
    site = start("unix:/nowhere/dsgserve.sock", plain=port, debug=True)
    for sent in (request(), request(b"/.well-known/acme-challenge/x"), request(more=b"X\0: y\r\n"), b"GET /?" + SECRET):
        with socket.create_connection(("127.0.0.1", port)) as wire:
            wire.settimeout(SECONDS)
            wire.sendall(sent)
            if sent.endswith(b"\r\n\r\n"):
                answer = wire.recv(65536)
                assert re.match(rb"HTTP/1.1 (301|404|400) ", answer)
                assert b"X-Frame-Options: DENY" in answer
    wait_until(lambda: len(site.lines()) == 4, event="the lines")
    assert SECRET not in site.read_output()


def test_unfinished_requests_of_one_client_do_not_block_others(start: Callable[..., Nginx]) -> None:
    """`limit_conn` counts those whose headers have come; the others are hung up on, on both ports."""
    with (
        upstream(make_response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")) as server,
        ExitStack() as stack,
    ):
        site = start(server, alter=make_replacement({"limit_conn dsg_address 200": "limit_conn dsg_address 20"}))
        begun = [stack.enter_context(site.connect()) for _ in range(20)]
        for wire in begun:
            wire.sendall(request(b"/token", b"POST", b"Content-Length: 9\r\n"))
        wait_until(lambda: b" 429 " in site.send(request()), event="a refusal")
        with site.connect("127.0.0.2") as other:
            other.sendall(request())
            assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
        # They are hung up on after their time, and the address may come again.
        assert all(not _rest(wire) for wire in begun)
        wait_until(lambda: b" 200 " in site.send(request()), event="an answer")


def _rest(wire: ssl.SSLSocket) -> bytes:
    with suppress(ConnectionError):
        return wire.recv(65536)
    return b""


def test_both_sites_have_timeouts_and_a_connection_limit(start: Callable[..., Nginx]) -> None:
    text = (Path(__file__).parents[2] / "nginx" / "dsg.conf").read_text()
    sites = text.split("\nserver {")[1:]
    assert len(sites) == 2
    for site in sites:
        for setting in ("client_header_timeout", "client_body_timeout", "send_timeout", "keepalive_timeout"):
            seconds = re.search(rf"\n    {setting} ([0-9]+)s;", site)
            assert seconds and int(seconds[1]) <= 30, setting
        assert "limit_conn dsg_address 200;" in site
