"""Measures where the time of a cached answer goes, layer by layer, with the event loop in this process."""

import logging
import socket
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from dsgctl.config import Config
from dsgserve.gateway import Gateway
from dsgserve.http.routing import make_table
from dsgserve.http.wire import Channel, Parser, ShortCut
from dsgserve.process import event_loop
from dsgserve.process.dispatcher import Dispatcher
from dsgserve.process.event_loop import EventLoop
from dsgserve.server import make_server
from dsgserve.short_cut import make_short_cut
from dsgserve.user_cache import hot_path
from tests.bench import world
from tests.bench.bench import PATH, SMALL, Bench, Row

CONNECTIONS = 8  # each sends a request; then the loop turns until all are answered

_seconds: defaultdict[str, float] = defaultdict(float)


def layers(bench: Bench) -> Iterator[Row]:
    """Shares of the time of the event loop's thread, and the microseconds of each per request."""
    tokens = world.token_file(bench.database(SMALL)).read_text().split()
    rounds = 100 if bench.quick else 2000
    with ExitStack() as stack:
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # as dsgserve sets it
        gateway = Gateway.open(Config(database=bench.database(SMALL), secret_keys=("x" * 32,)))
        stack.callback(gateway.close)
        short_cut = make_short_cut(gateway)
        turn, clients = _serve(stack, gateway, short_cut)
        requests = [f"GET {PATH} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n" for token in tokens]
        _exchange(turn, clients, requests, 20)  # warm
        total = _exchange(turn, clients, requests, rounds)
        for owner, name, layer in (
            (event_loop._Connections, "wait", "the kernel: which connections are ready"),
            (Channel, "recv", "the kernel: receiving"),
            (Channel, "send", "the kernel: sending"),
            (Parser, "received", "parsing the request, by waitress"),
            (type(short_cut), "begin", "whether anybody has committed"),
            (hot_path, "look_up", "token and cache"),
            (type(short_cut), "answer", "the response"),
        ):
            stack.enter_context(patch.object(owner, name, _timed(getattr(owner, name), layer)))
        _seconds.clear()
        timed_total = _exchange(turn, clients, requests, rounds)
    _seconds["the response"] -= _seconds["token and cache"]
    _seconds["the loop, and the rest of waitress"] = timed_total - sum(_seconds.values())
    requests_sent = rounds * CONNECTIONS
    for layer, seconds in sorted(_seconds.items(), key=lambda item: -item[1]):
        remark = f"{seconds / requests_sent * 1e6:.1f} us"
        yield Row(f"share of a request: {layer}", seconds / timed_total, remark=remark)
    yield Row("  time with these measurements, over the time without", timed_total / total)


def _serve(
    stack: ExitStack, gateway: Gateway, short_cut: ShortCut
) -> tuple[Callable[[float], None], list[socket.socket]]:
    """A server that runs when its loop is turned, and clients that are connected to it."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    dispatcher = Dispatcher(1)
    stack.callback(dispatcher.shutdown)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # send_bytes
        server, loop = make_server(gateway, make_table(()), [listener], dispatcher, short_cut)
    stack.callback(server.close)
    stack.callback(_close, loop)
    address = listener.getsockname()
    return loop.turn, [stack.enter_context(socket.create_connection(address)) for _ in range(CONNECTIONS)]


def _close(loop: EventLoop) -> None:
    for channel in [each for each in loop.connections.values() if isinstance(each, Channel)]:
        channel.handle_close()


def _exchange(turn: Callable[[float], None], clients: list[socket.socket], requests: list[str], rounds: int) -> float:
    """The seconds that the loop takes to answer; each client sends one request in each round."""
    seconds = 0.0
    for number in range(rounds):
        for index, client in enumerate(clients):
            client.sendall(requests[(number * CONNECTIONS + index) % len(requests)].encode())
        waiting = list(clients)
        while waiting:
            start = time.perf_counter()
            turn(0.1)
            seconds += time.perf_counter() - start
            waiting = [client for client in waiting if not _receive(client)]
    return seconds


def _receive(client: socket.socket) -> bool:
    """Whether the response has arrived, which is smaller than a buffer."""
    try:
        return bool(client.recv(65536, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


def _timed(function: Callable[..., Any], layer: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            _seconds[layer] += time.perf_counter() - start

    return call
