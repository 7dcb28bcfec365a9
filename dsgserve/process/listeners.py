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
MODE = 0o660  # of a unix socket: access for its owner and its group, which nginx belongs to


@contextmanager
def bind(address: str) -> Iterator[socket.socket]:
    """A socket bound to ``HOST:PORT``, ``[IPv6]:PORT``, ``*:PORT`` or ``unix:PATH``; closed at the end.

    Raises:
        Invalid: the address has another form.
        DsgError: the operating system refuses to listen there.
    """
    path = address.removeprefix("unix:") if address.startswith("unix:") else None
    host, port = ("", 0) if path is not None else _parse_host_and_port(address)
    if path == "":
        raise Invalid("unix: names no file", "write unix:/run/dsg/dsgserve.sock")
    try:
        bound = _bind_unix(Path(path)) if path else _bind_tcp(host, port)
    except OSError as error:
        raise DsgError(f"cannot listen on {address}: {error.strerror or error}", "is another server there?") from error
    try:
        yield bound
    finally:
        bound.close()
        if path:
            Path(path).unlink(missing_ok=True)


def _parse_host_and_port(address: str) -> tuple[str, int]:
    host, _, port_text = address.rpartition(":")
    port = number(port_text, most=65535)
    if not host or not port or " " in host:
        raise Invalid(
            f"{address!r} is not an address to listen on", "write HOST:PORT, such as 127.0.0.1:8200, or unix:PATH"
        )
    return host, port


def _bind_tcp(host: str, port: int) -> socket.socket:
    if host == "*":
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    addresses = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = addresses[0]
    return socket.create_server(address[:2], family=family)


def _bind_unix(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale_socket(path)
        previous_mask = os.umask(0o777 & ~MODE)
        try:
            bound.bind(str(path))
        finally:
            os.umask(previous_mask)
        return bound
    except OSError:
        bound.close()
        raise


def _remove_stale_socket(path: Path) -> None:
    """Remove the socket that a killed server left behind.

    Raises:
        OSError: a server listens there, or the path is not a socket.
    """
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


def format_address(bound: socket.socket) -> str:
    """The address of a socket, as `bind` takes it."""
    address = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        return f"unix:{address}"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(bound: socket.socket) -> bool:
    """Whether a socket is a TCP socket that only this machine can reach. A unix socket is not: nginx may pass it on."""
    return bound.family != socket.AF_UNIX and ip_address(bound.getsockname()[0]).is_loopback


def is_answering(bound: socket.socket) -> bool:
    """Whether the server on a socket answers a request within `ANSWER_SECONDS`, with any status."""
    with socket.socket(bound.family, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        try:
            client.connect(bound.getsockname())
            client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return bool(client.recv(1))
        except OSError:
            return False
