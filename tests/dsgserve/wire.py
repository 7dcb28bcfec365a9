"""A gateway on a real socket in this process, so that a test can see which threads took a request."""

import socket
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from dsgserve.gateway import Gateway
from dsgserve.http.routing import make_table
from dsgserve.http.wire import ShortCut
from dsgserve.process.dispatcher import Dispatcher
from dsgserve.server import make_server
from dsgserve.short_cut import make_short_cut

HEAD = b" HTTP/1.1\r\nHost: auth.example.org\r\nConnection: close\r\n"
SECONDS = 30  # that an answer may take on a busy machine


class CountingDispatcher(Dispatcher):
    """Counts the tasks of all threads, and those of the slow pool."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.took: Counter[str] = Counter()
        self._to_slow = self.slow.add_task
        self.slow.add_task = self._count_slow

    def _count_slow(self, task: Any) -> None:
        self.took["slow"] += 1
        self._to_slow(task)

    def add_task(self, task: Any) -> None:
        self.took["all"] += 1
        super().add_task(task)


@dataclass
class Wire:
    """A listening server.

    Attributes:
        address: of its socket, as ``connect`` has it.
    """

    address: Any
    family: socket.AddressFamily
    dispatcher: CountingDispatcher

    def send(self, request: bytes) -> bytes:
        """All that comes back until the server closes the connection, which the request must ask for."""
        with socket.socket(self.family) as client:
            client.settimeout(SECONDS)
            client.connect(self.address)
            answer = b""
            with suppress(ConnectionError):  # the server may have read enough before all was sent
                client.sendall(request)
            with suppress(ConnectionResetError):
                while part := client.recv(65536):
                    answer += part
            return answer

    def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body of the answer to one request."""
        return parse(self.send(request))


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Take the first answer apart."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split(" ")[1]), {name.lower(): value for name, value in headers.items()}, body


SECURE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def assert_secure(headers: dict[str, str], *, popup: bool, where: object) -> None:
    assert {name: headers.get(name) for name in SECURE} == SECURE, where
    assert "default-src 'none'" in headers["content-security-policy"], where
    assert "frame-ancestors 'none'" in headers["content-security-policy"], where
    assert headers["cross-origin-opener-policy"] == ("unsafe-none" if popup else "same-origin"), where
    assert "server" not in headers and len(headers["x-request-id"]) == 16, where


@contextmanager
def listening(gateway: Gateway, address: str | None = None, *, short_cut: ShortCut | None = None) -> Iterator[Wire]:
    """Serve a gateway on a port of loopback, or on the unix socket ``address``.

    Args:
        short_cut: in place of the gateway's own.
    """
    family = socket.AF_UNIX if address else socket.AF_INET
    bound = socket.socket(family)
    bound.bind(address or ("127.0.0.1", 0))
    dispatcher, table = CountingDispatcher(2), make_table(gateway.config.apis)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # send_bytes, of waitress: server.py says what for
        server, loop = make_server(gateway, table, [bound], dispatcher, short_cut or make_short_cut(gateway))
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            loop.turn(timeout=0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Wire(bound.getsockname(), family, dispatcher)
    finally:
        stop.set()
        thread.join()
        dispatcher.shutdown()
        for connection in list(loop.connections.values()):
            connection.close()
        server.close()
        bound.close()


__all__ = ["HEAD", "Wire", "assert_secure", "listening", "parse"]
