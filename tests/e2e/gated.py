"""Runs the shipped sites of nginx and of Caddy that guard data, before files and a server of the test."""

import base64
import hashlib
import http.client
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e.local import free_port, wait_until
from tests.e2e.proxy import ROOT, run_nginx
from tests.patience import PATIENCE

DATA = "data.example.org"
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
Alter = Callable[[str], str]


@dataclass
class Upstream:
    """A server behind a gate: it records each request, and returns what it receives on a WebSocket."""

    port: int
    requests: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)


@contextmanager
def run_upstream() -> Iterator[Upstream]:
    """Start the server; stop it at the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream.requests.append((self.command, self.path, self.headers.items(), body))
            if self.headers.get("Upgrade") == "websocket":
                self.echo()
                return
            self.send_response(200)
            for name, value in (("Access-Control-Allow-Origin", "https://x"), ("Cache-Control", "public")):
                self.send_header(name, value)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello" if self.command != "HEAD" else b"")

        def echo(self) -> None:
            digest = hashlib.sha1(
                self.headers["Sec-WebSocket-Key"].encode() + WEBSOCKET.encode(), usedforsecurity=False
            ).digest()
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
            self.end_headers()
            while (head := self.rfile.read(2)) and head[0] == 0x81:  # one short, masked text each
                mask, masked = self.rfile.read(4), self.rfile.read(head[1] & 0x7F)
                text = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
                self.wfile.write(bytes((0x81, len(text))) + text)
            self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.answer)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        upstream = Upstream(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield upstream
        server.shutdown()


@dataclass
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass
class Gated:
    """A running site.

    Attributes:
        files: what it serves: ``fish2/`` and, with nginx, ``fly-v1/``.
        log: of the proxy.
    """

    port: int
    certificate: Path
    files: Path
    upstream: Upstream
    log: Path

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return context.wrap_socket(plain, server_hostname=DATA)

    def open(self) -> http.client.HTTPConnection:
        """A connection, for several requests."""
        connection = http.client.HTTPConnection(DATA, self.port, timeout=PATIENCE)
        connection.sock = self.connect()
        return connection

    def ask(
        self,
        path: str,
        token: str | None = None,
        method: str = "GET",
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Reply:
        """Send a request; the path goes out as it is."""
        bearer = {"Authorization": f"Bearer {token}"} if token is not None else {}
        used = connection or self.open()
        try:
            used.request(method, path, body, {"Host": DATA, **bearer, **(headers or {})})
            response = used.getresponse()
            return Reply(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            if connection is None:
                used.close()

    def wait_for_log(self, text: str) -> None:
        """Wait for a text in the proxy's log, which it writes after its answer."""
        wait_until(lambda: text in self.log.read_text(), event=text)

    def open_websocket(self, path: str, **headers: str) -> tuple[int, ssl.SSLSocket]:
        """Ask for a WebSocket. Returns the status and the connection."""
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {DATA}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        wire = self.connect()
        wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = wire.recv(1)
            assert part, head
            head += part
        return int(head.split()[1]), wire


def talk(wire: ssl.SSLSocket, text: bytes) -> bytes:
    """Send a short text on a WebSocket, and return the answer."""
    mask = b"mask"
    wire.sendall(
        bytes((0x81, 0x80 | len(text))) + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
    )
    answer = b""
    while len(answer) < 2 + len(text):
        part = wire.recv(1024)
        assert part, "it was closed"
        answer += part
    return answer[2:]


def _replace(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def run_gated_nginx(
    directory: Path, certificate: Path, gateway: str, upstream: Upstream, alter: Alter = str, more: str = ""
) -> Iterator[Gated]:
    """nginx/gate.conf beside nginx/dsg.conf, in which only addresses and paths are replaced.

    Args:
        gateway: the address of dsgserve.
        alter: changes gate.conf, as an operator might.
        more: as of `run_nginx`.
    """
    files = directory / "data"
    site = _replace(
        (ROOT / "nginx" / "gate.conf").read_text(),
        ("listen 443", "listen 127.0.0.1:PORT"),
        ("listen 80", f"listen 127.0.0.1:{free_port()}"),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("    listen [::]:80;\n", ""),
        ("/etc/ssl/certs/data", "CERTIFICATES/dsg"),
        ("/etc/ssl/private/data", "CERTIFICATES/dsg"),
        ("/var/log/nginx", str(directory)),
        ("/srv/data", str(files)),
        ("127.0.0.1:9090", f"127.0.0.1:{upstream.port}"),
        ("127.0.0.1:8080", f"127.0.0.1:{upstream.port}"),
    )
    with run_nginx(directory, certificate, gateway, alter(site) + more) as port:
        yield Gated(port, certificate, files, upstream, directory / "gate.access.log")


@contextmanager
def run_gated_caddy(
    directory: Path, certificate: Path, gateway: str, upstream: Upstream, alter: Alter = str
) -> Iterator[Gated]:
    """nginx/gate.Caddyfile, in which only addresses and paths are replaced."""
    port, files, log = free_port(), directory / "data", directory / "caddy.log"
    site = _replace(
        (ROOT / "nginx" / "gate.Caddyfile").read_text(),
        (
            f"\n{DATA} {{\n",
            f"\nhttps://{DATA}:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {certificate.with_suffix('.key')}\n",
        ),
        ("unix//run/dsg/dsgserve.sock", gateway),
        ("/srv/data", str(files)),
        ("127.0.0.1:8080", f"127.0.0.1:{upstream.port}"),
    )
    config = directory / "Caddyfile"
    config.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + alter(site))
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        wait_until(
            lambda: process.poll() is not None or "serving initial configuration" in log.read_text(), event="Caddy"
        )
        assert process.poll() is None, log.read_text()
        yield Gated(port, certificate, files, upstream, log)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


PROXIES = {"nginx": run_gated_nginx, "caddy": run_gated_caddy}
