"""The event loop, one turn after the other, on real sockets."""

import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from dsgserve import server
from dsgserve.gateway import Gateway
from dsgserve.http.routing import make_table
from dsgserve.http.wire import Channel, Parser, ShortCut
from dsgserve.process.dispatcher import Dispatcher
from dsgserve.process.event_loop import BATCH, EventLoop
from dsgserve.short_cut import make_short_cut
from tests.dsgserve.conftest import Lab
from tests.patience import PATIENCE

LARGE = 8 * 1024**2  # bytes; more than the buffers of both sockets


@dataclass
class Answers:
    """A short cut that answers every request with its path, filled up to a size.

    Attributes:
        in_loop: whether the event loop answers, and not a worker.
        log: "begin" for each batch, and the path of each request.
    """

    in_loop: bool = True
    size: int = 0
    fails: bool = False
    log: list[str] = field(default_factory=list)

    def begin(self) -> None:
        self.log.append("begin")

    def answer(self, request: Parser, *, build: bool) -> bytes | None:
        if not (self.in_loop or build):
            return None
        self.log.append(request.path)
        body = request.path.encode().ljust(self.size, b".")
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Site:
    """A server whose loop the test turns."""

    def __init__(self, gateway: Gateway, answers: ShortCut, stack: ExitStack) -> None:
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.dispatcher = Dispatcher(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made, loop = server.make_server(gateway, make_table(()), [self.listener], self.dispatcher, answers)
        self.loop: EventLoop = loop
        self._stack = stack
        stack.callback(made.close)
        stack.callback(lambda: [channel.handle_close() for channel in self.channels()])
        stack.callback(self.dispatcher.shutdown)

    def connect(self, *, buffer: int | None = None) -> socket.socket:
        """A client whose connection is accepted."""
        client = self._stack.enter_context(socket.socket())
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(PATIENCE)
        before = len(self.channels())
        client.connect(self.listener.getsockname())
        self.turn_until(lambda: len(self.channels()) > before)
        return client

    def channels(self) -> list[Channel]:
        return [channel for channel in self.loop.connections.values() if isinstance(channel, Channel)]

    def turn_until(self, is_reached: Any) -> None:
        """Turn the loop until something is true."""
        deadline = threading.Event()
        timer = threading.Timer(PATIENCE, deadline.set)
        timer.start()
        while not is_reached():
            assert not deadline.is_set()
            self.loop.turn(timeout=0.05)
        timer.cancel()

    def read_all(self, client: socket.socket, length: int) -> bytes:
        """At least that many bytes, while the loop turns."""
        received = bytearray()

        def read() -> None:
            while len(received) < length:
                received.extend(client.recv(1 << 20))

        reader = threading.Thread(target=read)
        reader.start()
        self.turn_until(lambda: not reader.is_alive())
        return bytes(received)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def site(gateway: Gateway, answers: Answers) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(gateway, answers, stack)


def ask(*paths: str) -> bytes:
    return "".join(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n" for path in paths).encode()


def test_one_check_counts_for_all_requests_that_arrived_before_it(site: Site, answers: Answers) -> None:
    clients = [site.connect() for _ in range(10)]
    for number, client in enumerate(clients):
        client.sendall(ask(f"/{number}"))
    site.loop.turn(timeout=PATIENCE)
    assert answers.log == ["begin", *(f"/{number}" for number in range(10))], "the oldest first"


def test_a_large_crowd_is_answered_in_batches(site: Site, answers: Answers) -> None:
    clients = [site.connect() for _ in range(BATCH + 5)]
    for client in clients:
        client.sendall(ask("/"))
    site.loop.turn(timeout=PATIENCE)
    assert answers.log == ["begin", *["/"] * BATCH, "begin", *["/"] * 5]


def test_who_sends_many_requests_at_once_gets_one_answer_a_turn(site: Site, answers: Answers) -> None:
    greedy, modest = site.connect(), site.connect()
    greedy.sendall(ask(*["/greedy"] * 100))
    modest.sendall(ask("/modest"))
    site.loop.turn(timeout=PATIENCE)
    assert answers.log == ["begin", "/greedy", "/modest"]
    modest.sendall(ask("/modest"))
    site.loop.turn(timeout=PATIENCE)
    assert sorted(answers.log[3:]) == ["/greedy", "/modest", "begin"]
    site.turn_until(lambda: answers.log.count("/greedy") == 100)
    length = len(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n/greedy")
    assert site.read_all(greedy, 100 * length).count(b"/greedy") == 100


@pytest.mark.parametrize("in_loop", [True, False], ids=["by the loop", "by a worker"])
def test_requests_on_one_connection_are_answered_in_their_order(in_loop: bool, site: Site, answers: Answers) -> None:
    answers.in_loop = in_loop
    paths = [f"/{number}" for number in range(300)]
    client = site.connect()
    client.sendall(ask(*paths))
    site.turn_until(lambda: len([each for each in answers.log if each != "begin"]) == 300)
    assert [each for each in answers.log if each != "begin"] == paths


@pytest.mark.parametrize("in_loop", [True, False], ids=["by the loop", "by a worker"])
def test_a_client_that_reads_slowly_gets_everything(in_loop: bool, site: Site, answers: Answers) -> None:
    answers.in_loop, answers.size = in_loop, LARGE
    client = site.connect(buffer=65536)
    client.sendall(ask("/first", "/second"))
    site.turn_until(lambda: any(channel.total_outbufs_len for channel in site.channels()))
    (channel,) = site.channels()
    assert not channel.readable(), "no further request is read before the answer is sent"
    received = site.read_all(client, 2 * (LARGE + len(b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n")))
    assert received.count(b"HTTP/1.1 200 OK") == 2 and b"/second." in received
    assert not site.loop.is_busy()


def test_a_silent_connection_costs_nothing(site: Site, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = [site.connect() for _ in range(200)]
    client = site.connect()
    looked_at: list[Channel] = []
    for name in ("readable", "writable"):
        original = getattr(Channel, name)
        monkeypatch.setattr(Channel, name, lambda channel, ask=original: looked_at.append(channel) or ask(channel))
    client.sendall(ask("/"))
    site.turn_until(lambda: "/" in answers.log)
    assert len(set(looked_at)) == 1
    assert len(silent) == 200


def test_a_connection_that_was_silent_for_too_long_is_closed(site: Site) -> None:
    client = site.connect()
    (channel,) = site.channels()
    channel.last_activity = 0
    channel.server.next_channel_cleanup = 0
    site.turn_until(lambda: not site.channels())
    assert client.recv(10) == b""


def test_the_last_answer_of_a_server_that_stops_says_so(gateway: Gateway, lab: Lab) -> None:
    """By the event loop and by a worker."""
    with ExitStack() as stack:
        site = Site(gateway, make_short_cut(gateway), stack)
        request = f"GET /api/v1/user/cache HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {lab.ada}\r\n\r\n".encode()
        clients = [site.connect(), site.connect()]
        for client in clients:
            client.sendall(request)
            assert b"Connection:" not in site.read_all(client, 500)
        site.loop.stop_accepting()
        for client, last in zip(clients, (request, ask("/nothing")), strict=True):
            client.sendall(last)
            assert b"Connection: close" in site.read_all(client, 300)
        site.turn_until(lambda: not site.channels())
        assert not site.loop.is_busy()


def test_the_limit_of_connections_leaves_the_others_waiting(
    gateway: Gateway, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 5)
    with ExitStack() as stack:
        site = Site(gateway, answers, stack)
        first = [site.connect() for _ in range(3)]  # beside the listening socket and the trigger
        late = stack.enter_context(socket.create_connection(site.listener.getsockname(), PATIENCE))
        late.sendall(ask("/late"))
        for _ in range(5):
            site.loop.turn(timeout=0)
        assert answers.log == []
        first[0].close()
        site.turn_until(lambda: "/late" in answers.log)


@pytest.mark.parametrize("in_loop", [True, False], ids=["by the loop", "by a worker"])
def test_clients_that_leave_take_nothing_along(in_loop: bool, site: Site, answers: Answers) -> None:
    """They leave before they ask, after half a request, before the answer, and in the middle of it."""
    answers.in_loop, answers.size = in_loop, LARGE
    for sent in (b"", b"GET / HT", ask("/"), ask("/", "/", "/")):
        client = site.connect(buffer=65536)
        client.sendall(sent)
        client.close()
        site.turn_until(lambda: not site.channels())
    client = site.connect()
    client.sendall(ask("/after"))
    assert b"/after" in site.read_all(client, LARGE)


def test_a_client_that_resets_while_a_worker_is_at_work_is_forgotten(site: Site, answers: Answers) -> None:
    answers.in_loop = False
    client = site.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.sendall(ask("/"))
    client.close()
    site.turn_until(lambda: not site.channels())


def test_what_is_sent_while_a_worker_is_at_work_does_not_turn_the_loop(site: Site, answers: Answers) -> None:
    """The kernel is told once that nobody reads it now, and not asked again and again."""
    answers.in_loop = False
    with site.dispatcher.lock:  # no worker takes the request
        client = site.connect()
        channel = site.channels()[0]
        site.dispatcher.pass_on = lambda task: None  # type: ignore[method-assign]
        client.sendall(ask("/"))
        site.turn_until(lambda: bool(channel.requests))
        client.sendall(ask("/more"))
        site.loop.turn(timeout=PATIENCE)
        assert site.loop.connections.wait(0) == []
    del site.dispatcher.pass_on
    site.dispatcher.pass_on(channel)
    site.turn_until(lambda: "/more" in answers.log)
