"""waitress under the app: sockets, threads, signals, and what runs beside the requests."""

import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Any

from waitress import trigger, wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

from dsgctl import __version__
from dsgctl.config import Config
from dsgctl.core.errors import Invalid
from dsgctl.store import StoreError
from dsgserve.app import Wsgi, make_app
from dsgserve.gateway import Gateway
from dsgserve.http.requests import MAX_BODY
from dsgserve.http.wire import Channel
from dsgserve.process import listeners, logs, systemd
from dsgserve.process.dispatcher import Dispatcher

GRACE_SECONDS = 0.3  # at a stop, for requests on connections that were just accepted
LAST_SECONDS = 15.0  # for requests under way; one that waits for another server takes 10 (dsgctl/bounded_http.py)
CONNECTIONS = 1000  # at once; more wait to be accepted
MAX_HEADER = 32 * 1024  # bytes of request headers; an OAuth callback needs several
# bytes of an answer that are held until it is whole and then sent at once; waitress sends headers and body
# each as soon as it has them, in two system calls at each of which the threads fight for the interpreter
SEND_BYTES = 64 * 1024

log = logging.getLogger("dsgserve")


def run(config: Config, addresses: Sequence[str] = (), *, threads: int = 4) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first.

    Args:
        addresses: ``HOST:PORT`` or ``unix:PATH``, each, beside the sockets that systemd passes; without
            any of both 127.0.0.1 and the configured port.

    Raises:
        Invalid: an address is malformed, or a secret is missing.
        DsgError: an address cannot be listened on.
        StoreError: the database is missing or not ours, or another file has taken its place.
    """
    logs.configure(config.log_level)
    require_secret(config)
    sockets = systemd.passed_sockets(os.environ)
    if not addresses and not sockets:
        addresses = [f"127.0.0.1:{config.port}"]
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in sockets]
        sockets += [stack.enter_context(listeners.bind(address)) for address in addresses]
        require_one_kind(sockets)
        require_own_machine(config, sockets)
        names = [listeners.format_address(one) for one in sockets]
        gateway = Gateway.open(config, threads=threads, listening=tuple(names))
        stack.callback(gateway.close)
        connections: dict[int, Any] = {}
        server = make_server(make_app(gateway), sockets, Dispatcher(threads), connections)
        stopping = _Stopping(connections)
        log.info("release %s listening on %s for %s", __version__, ", ".join(names), config.origin)
        watchdog = systemd.Watchdog(os.environ, lambda: listeners.is_answering(sockets[0]))
        watchdog.start()
        systemd.notify(os.environ, "READY=1")
        while not (stopping.asked or gateway.reader.is_replaced):
            wasyncore.loop(timeout=30, use_poll=True, map=connections, count=1)
        watchdog.stop()
        systemd.notify(os.environ, "STOPPING=1")
        _answer_the_rest(connections)
        server.task_dispatcher.shutdown(timeout=1)  # those that still wait for another server have had their time
        stopping.close()
        server.close()
    if gateway.reader.is_replaced:
        raise StoreError(f"{config.database} was replaced while it was served", "start anew, with what is there now")
    log.info("stopped")


def make_server(
    app: Wsgi, sockets: Sequence[socket.socket], dispatcher: Dispatcher, connections: dict[int, Any]
) -> Any:
    """waitress's server for these sockets; `wasyncore.loop` runs it.

    Args:
        connections: by descriptor, listening sockets included; waitress keeps it.
    """
    server = create_server(
        app,
        map=connections,
        _dispatcher=dispatcher,
        sockets=sockets,
        connection_limit=CONNECTIONS,
        asyncore_use_poll=True,
        ident=None,
        max_request_header_size=MAX_HEADER,
        max_request_body_size=MAX_BODY,
        expose_tracebacks=False,
        send_bytes=SEND_BYTES,
        clear_untrusted_proxy_headers=False,  # app.py drops them
    )
    for listening in connections.values():
        if isinstance(listening, BaseWSGIServer):
            listening.channel_class = Channel
    return server


class _Stopping:
    """Whether SIGTERM or SIGINT came; ends waitress's waiting when one does."""

    def __init__(self, connections: dict[int, Any]) -> None:
        self.asked = False
        self._trigger = trigger.trigger(connections)
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._trigger.pull_trigger()

    def close(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._trigger.close()


def _answer_the_rest(connections: dict[int, Any]) -> None:
    """Accept nothing more, and answer what was accepted: who waits to be accepted is for the next server.

    A connection may have been accepted a moment ago, its request still on the way: hence `GRACE_SECONDS`.
    """
    for listening in [one for one in connections.values() if getattr(one, "accepting", False)]:
        listening.del_channel(connections)
    start = time.monotonic()
    while time.monotonic() < start + LAST_SECONDS:
        busy = any(
            one.requests or one.request or one.total_outbufs_len
            for one in connections.values()
            if isinstance(one, HTTPChannel)
        )
        if not busy and time.monotonic() > start + GRACE_SECONDS:
            return
        wasyncore.loop(timeout=0.05, use_poll=True, map=connections, count=1)


def require_secret(config: Config) -> None:
    """Refuse to sign with a key that a restart forgets, except on somebody's own machine.

    Raises:
        Invalid: there is no key, and the server is for others.
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
    """Refuse what waitress cannot do.

    Raises:
        Invalid: unix sockets and others are mixed.
    """
    if len({one.family == socket.AF_UNIX for one in sockets}) > 1:
        raise Invalid("one server listens on unix sockets or on ports, not on both", "start two, or leave one out")


def require_own_machine(config: Config, sockets: Sequence[socket.socket]) -> None:
    """Refuse a sign-in as anybody wherever somebody else could use it.

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
