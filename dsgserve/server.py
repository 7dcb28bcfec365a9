"""Runs the application on waitress: sockets, threads, signals, and an orderly shutdown."""

import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Any

from waitress import trigger
from waitress.server import create_server

from dsgctl import __version__
from dsgctl.config import Config
from dsgctl.core.errors import Invalid
from dsgctl.store import StoreError
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.http.routing import RoutingTable, make_table
from dsgserve.http.wire import ShortCut, make_channel_class
from dsgserve.process import listeners, logs, systemd
from dsgserve.process.dispatcher import Dispatcher
from dsgserve.process.event_loop import EventLoop
from dsgserve.short_cut import make_short_cut

GRACE_SECONDS = 0.3  # at shutdown, for requests on connections that were accepted a moment ago
LAST_SECONDS = 15.0  # at shutdown, for requests under way; a call to another server takes 10 (dsgctl/bounded_http.py)
CONNECTIONS = 1000  # at the same time; more wait to be accepted
MAX_HEADER = 32 * 1024  # bytes of request headers; an OAuth callback needs several
MAX_BODY = 256 * 1024  # bytes that are received at all; what routes read of them is less (http/requests.py)
# Bytes of a response that are collected before they are sent. By default waitress sends headers and body in two system
# calls, and after each of them the threads compete for the interpreter.
SEND_BYTES = 64 * 1024

log = logging.getLogger("dsgserve")


def run(config: Config, addresses: Sequence[str] = (), *, threads: int = 4) -> None:
    """Serve until SIGTERM or SIGINT, and answer the requests under way before the end.

    Args:
        addresses: ``HOST:PORT`` or ``unix:PATH``, in addition to the sockets that systemd passes. If there are neither,
            127.0.0.1 and the configured port.
        threads: of each of the two pools (process/dispatcher.py).

    Raises:
        Invalid: an address is malformed, or a secret is missing.
        DsgError: the operating system refuses to listen on an address.
        StoreError: the database is missing or of another release, or its file was replaced.
    """
    logs.configure(config.log_level)
    require_secret(config)
    sockets = systemd.passed_sockets(os.environ)
    if not addresses and not sockets:
        addresses = [f"127.0.0.1:{config.port}"]
    with ExitStack() as stack:
        sockets = [stack.enter_context(passed) for passed in sockets]
        sockets += [stack.enter_context(listeners.bind(address)) for address in addresses]
        require_one_kind(sockets)
        require_own_machine(config, sockets)
        names = [listeners.format_address(bound) for bound in sockets]
        gateway = Gateway.open(config, threads=threads, listening=tuple(names))
        stack.callback(gateway.close)
        gateway.response_cache.warm_up()
        table = make_table(config.apis)
        server, loop = make_server(gateway, table, sockets, Dispatcher(threads), make_short_cut(gateway))
        stop = _StopSignal(loop.connections)
        log.info("release %s listening on %s for %s", __version__, ", ".join(names), config.origin)
        watchdog = systemd.Watchdog(os.environ, lambda: listeners.is_answering(sockets[0]))
        watchdog.start()
        gateway.reader.never_wait()  # in this thread, which reads and writes all sockets
        systemd.notify(os.environ, "READY=1")
        while not (stop.received or gateway.reader.is_replaced):
            loop.turn(timeout=30)
        watchdog.stop()
        systemd.notify(os.environ, "STOPPING=1")
        _drain(loop)
        server.task_dispatcher.shutdown(timeout=1)  # requests that still wait for another server get no more time
        stop.close()
        server.close()
    if gateway.reader.is_replaced:
        raise StoreError(f"{config.database} was replaced while it was served", "start dsgserve again, on the new file")
    log.info("stopped")


def make_server(
    gateway: Gateway,
    table: RoutingTable,
    sockets: Sequence[socket.socket],
    dispatcher: Dispatcher,
    short_cut: ShortCut,
) -> tuple[Any, EventLoop]:
    """waitress's server for these sockets, which has no type, and the loop that runs it."""
    loop = EventLoop(dispatcher, short_cut)
    server = create_server(
        make_app(gateway, table),
        map=loop.connections,
        _dispatcher=dispatcher,
        sockets=sockets,
        connection_limit=CONNECTIONS,
        ident=None,
        max_request_header_size=MAX_HEADER,
        max_request_body_size=MAX_BODY,
        expose_tracebacks=False,
        send_bytes=SEND_BYTES,
        clear_untrusted_proxy_headers=False,  # http/proxy.py removes them
    )
    loop.listen(make_channel_class(table, short_cut))
    return server, loop


class _StopSignal:
    """Receives SIGTERM and SIGINT, and wakes waitress up."""

    def __init__(self, connections: dict[int, Any]) -> None:
        self.received = False
        self._trigger = trigger.trigger(connections)
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        self._trigger.pull_trigger()

    def close(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._trigger.close()


def _drain(loop: EventLoop) -> None:
    """Stop accepting connections, and answer the requests on those that are accepted.

    The next server gets the connections that wait to be accepted. `GRACE_SECONDS` are for requests that have not yet
    arrived on a connection that was accepted a moment ago.
    """
    loop.stop_accepting()
    start = time.monotonic()
    while time.monotonic() < start + LAST_SECONDS:
        if not loop.is_busy() and time.monotonic() > start + GRACE_SECONDS:
            return
        loop.turn(timeout=0.05)


def require_secret(config: Config) -> None:
    """Refuse to sign with a temporary key, except on a developer's own machine.

    Raises:
        Invalid: there is no key, and DSG_ORIGIN is not local.
    """
    if config.secret_keys:
        return
    if not config.is_local:
        raise Invalid(
            f"DSG_SECRET_KEY is not set, and DSG_ORIGIN is {config.origin}",
            "set it to 32 or more random characters: openssl rand -base64 33",
        )
    log.warning("DSG_SECRET_KEY is not set: viewers must sign in again after a restart")


def require_one_kind(sockets: Sequence[socket.socket]) -> None:
    """Refuse a mixture of unix and TCP sockets, which waitress does not support.

    Raises:
        Invalid: the sockets are mixed.
    """
    if len({bound.family == socket.AF_UNIX for bound in sockets}) > 1:
        raise Invalid(
            "a server listens on unix sockets or on ports, not on both", "start two servers, or remove one kind"
        )


def require_own_machine(config: Config, sockets: Sequence[socket.socket]) -> None:
    """Refuse DSG_DEV_LOGIN on a server that others can reach.

    Raises:
        Invalid: DSG_DEV_LOGIN is set, and the server is not for this machine alone.
    """
    if not config.dev_login:
        return
    if not config.is_local or not all(map(listeners.is_loopback, sockets)):
        raise Invalid(
            "DSG_DEV_LOGIN=1 lets anybody sign in as anybody, and this server is not for this machine alone",
            "unset it, or listen on 127.0.0.1 and let DSG_ORIGIN be http://localhost:PORT",
        )
    log.warning("DSG_DEV_LOGIN is set: anybody on this machine may sign in as anybody")
