"""waitress under the app: sockets, threads, signals, and what runs beside the requests."""

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from waitress.server import create_server

from dsgctl.config import Config
from dsgctl.core.errors import DsgError, Invalid
from dsgserve.app import make_app
from dsgserve.gateway import Gateway

MAX_HEADER = 32 * 1024  # bytes of request headers; an OAuth callback needs several
# bytes of an answer that are held until it is whole and then sent at once; waitress sends headers and body
# each as soon as it has them, in two system calls at each of which the threads fight for the interpreter
SEND_BYTES = 64 * 1024
MAX_BODY = 64 * 1024  # bytes; the largest that a client of contract.md sends is a token and a bucket name

log = logging.getLogger("dsgserve")


def run(config: Config, addresses: Sequence[str] = (), *, threads: int = 4) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first.

    Args:
        addresses: ``HOST:PORT``, each; none for 127.0.0.1 and the configured port.

    Raises:
        Invalid: an address is malformed, or a secret is missing.
        DsgError: an address cannot be listened on.
    """
    logging.basicConfig(level=config.log_level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is no news, and it is said per request
    require_secret(config)
    listen = [checked_address(address) for address in addresses] or [f"127.0.0.1:{config.port}"]
    require_own_machine(config, listen)
    gateway = Gateway.open(config, threads=threads)
    try:
        server = create_server(
            make_app(gateway),
            listen=" ".join(listen),
            threads=threads,
            ident=None,
            max_request_header_size=MAX_HEADER,
            max_request_body_size=MAX_BODY,
            expose_tracebacks=False,
            send_bytes=SEND_BYTES,
            clear_untrusted_proxy_headers=False,  # app.py sees to them
        )
    except OSError as error:
        gateway.close()
        raise DsgError(f"cannot listen on {', '.join(listen)}: {error.strerror}", "is another server there?") from error

    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    log.info("listening on %s for %s", ", ".join(listen), config.origin)
    try:
        server.run()  # returns when a signal raised SystemExit, after the requests under way
    finally:
        server.close()
        gateway.close()
        log.info("stopped")


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(0)


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


def require_own_machine(config: Config, listen: Sequence[str]) -> None:
    """Refuse a sign-in as anybody wherever somebody else could use it.

    Raises:
        Invalid: DSG_DEV_LOGIN is set, and the server is not for this machine alone.
    """
    if not config.dev_login:
        return
    loopback = ("127.0.0.1", "[::1]", "localhost")
    if not config.is_local or any(address.rpartition(":")[0] not in loopback for address in listen):
        raise Invalid(
            "DSG_DEV_LOGIN=1 lets anybody sign in as anybody, and this server is not for this machine alone",
            "unset it, or listen on 127.0.0.1 and let DSG_ORIGIN be http://localhost:PORT",
        )
    log.warning("DSG_DEV_LOGIN is set: anybody on this machine may sign in as anybody")


def checked_address(address: str) -> str:
    """``HOST:PORT``, ``[IPv6]:PORT`` or ``*:PORT``.

    Raises:
        Invalid: it is none of these.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535 or " " in host:
        raise Invalid(f"{address!r} is not an address to listen on", "write HOST:PORT, such as 127.0.0.1:8200")
    return address
