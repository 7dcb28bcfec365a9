"""The sockets that the server listens on: HOST:PORT or unix:PATH."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from dsgctl.core.errors import DsgError, Invalid
from dsgserve.http.ascii_text import number

ANSWER_SECONDS = 5.0
MODE = 0o660  # of a unix socket: for its owner and group, which nginx is put into


@contextmanager
def bind(address: str) -> Iterator[socket.socket]:
    """A socket bound to ``HOST:PORT``, ``[IPv6]:PORT``, ``*:PORT`` or ``unix:PATH``; closed at the end.

    Raises:
        Invalid: it is none of these.
        DsgError: it cannot be listened on.
    """
    path = address.removeprefix("unix:") if address.startswith("unix:") else None
    host, port = ("", 0) if path is not None else _host_and_port(address)
    if path == "":
        raise Invalid("unix: names no file", "write unix:/run/dsg/dsgserve.sock")
    try:
        opened = _unix(Path(path)) if path else _tcp(host, port)
    except OSError as error:
        raise DsgError(f"cannot listen on {address}: {error.strerror or error}", "is another server there?") from error
    try:
        yield opened
    finally:
        opened.close()
        if path:
            Path(path).unlink(missing_ok=True)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, written = address.rpartition(":")
    port = number(written, most=65535)
    if not host or not port or " " in host:
        raise Invalid(
            f"{address!r} is not an address to listen on", "write HOST:PORT, such as 127.0.0.1:8200, or unix:PATH"
        )
    return host, port


def _tcp(host: str, port: int) -> socket.socket:
    if host == "*":
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, where = found[0]
    return socket.create_server(where[:2], family=family)


def _unix(path: Path) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_way(path)
        before = os.umask(0o777 & ~MODE)
        try:
            opened.bind(str(path))
        finally:
            os.umask(before)
        return opened
    except OSError:
        opened.close()
        raise


def _make_way(path: Path) -> None:
    """Remove the socket of a server that was killed; one that answers, or another file, stays."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise FileExistsError(None, "there is another file")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink()
        return
    raise OSError(None, "a server listens there")


def name(opened: socket.socket) -> str:
    """As it is written to listen on it."""
    where = opened.getsockname()
    if opened.family == socket.AF_UNIX:
        return f"unix:{where}"
    host, port = where[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(opened: socket.socket) -> bool:
    """Whether only this machine reaches it, and over TCP: who may open a unix socket is another's affair."""
    return opened.family != socket.AF_UNIX and ip_address(opened.getsockname()[0]).is_loopback


def is_answering(opened: socket.socket) -> bool:
    """Whether whoever listens there answers a request, whatever it says."""
    with socket.socket(opened.family, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        try:
            client.connect(opened.getsockname())
            client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return bool(client.recv(1))
        except OSError:
            return False
