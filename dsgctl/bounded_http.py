"""Requests to other servers, bounded in time and size. Redirects are never followed."""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0  # of silence
TOTAL_SECONDS = 10.0  # for a whole call, including everything that it waits for
MAX_BYTES = 512 * 1024
# What libraries raise for a response that is not JSON, is nested too deep, or has another form.
MALFORMED_RESPONSE = (ValueError, RecursionError, AttributeError, KeyError, TypeError)


# Names of errors, such as invalid_grant or PERMISSION_DENIED. Nothing else of a response goes into the server's log: it
# may repeat the request, our token included, and no token consists of letters and underscores alone.
_CODE = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")


def loggable_error_code(value: object) -> str:
    """The name of an error that another server reported, if it may go into a log; else an empty text."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


class Deadline:
    """The end of the time for a call: its requests, those that they need first, and the wait for its turn."""

    def __init__(
        self, seconds: float | None = None, *, since: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            seconds: from ``since``; None for `TOTAL_SECONDS`.
            since: a moment of the clock; None for now.
        """
        self._clock = clock
        self._end = (clock() if since is None else since) + (TOTAL_SECONDS if seconds is None else seconds)

    def seconds_left(self) -> float:
        """The time that remains; 0 after the end."""
        return max(0.0, self._end - self._clock())


class _BoundedAdapter(HTTPAdapter):
    """Reads a response within a deadline and `MAX_BYTES`, whatever the other side does. For one call at a time."""

    def __init__(self, deadline: Callable[[], Deadline]) -> None:
        super().__init__()
        self._deadline = deadline
        self._connections: list[Any] = []
        self._sockets: list[socket.socket] = []  # a connection drops its own once the response's body has it

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        """A pool of connections that another thread can close while one waits for them."""
        pool = super().get_connection_with_tls_context(*arguments, **options)
        connections, sockets, deadline, kind = self._connections, self._sockets, self._deadline(), pool.ConnectionCls

        class Recorded(kind):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                connections.append(self)
                super().connect()
                sockets.append(self.sock)
                if not deadline.seconds_left():  # looking up the name has no timeout, and there was nothing to hang up
                    raise requests.exceptions.Timeout("no time is left for the request")

        pool.ConnectionCls = Recorded
        return pool

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        deadline = self._deadline()
        seconds = deadline.seconds_left()
        if not seconds:
            raise requests.exceptions.Timeout("no time is left for the request")
        options |= {"stream": True, "timeout": (min(CONNECT_SECONDS, seconds), min(READ_SECONDS, seconds))}
        # The timeouts above are of silence: a server that sends a byte of a header now and then could go on for days.
        hang_up = threading.Timer(seconds, self._hang_up)
        hang_up.daemon = True
        hang_up.start()
        try:
            response = super().send(request, **options)
            body = b""
            for chunk in response.iter_content(8192):
                body += chunk
                if len(body) > MAX_BYTES:
                    break
        finally:
            hang_up.cancel()
        if len(body) > MAX_BYTES or not deadline.seconds_left():
            response.close()
            raise requests.exceptions.ContentDecodingError("the response is too long or too slow")
        response._content = body
        return response

    def _hang_up(self) -> None:
        sockets = (*(connection.sock for connection in self._connections), *self._sockets)
        for connected in filter(None, sockets):
            with suppress(OSError):  # it has ended meanwhile
                socket.socket.shutdown(connected, socket.SHUT_RDWR)


def limit_session(session: requests.Session, deadline: Callable[[], Deadline] = Deadline) -> requests.Session:
    """Apply the bounds of this module to a session, and return it.

    Args:
        deadline: returns that of the call to which a request belongs; by default each request has `TOTAL_SECONDS`.
    """
    session.mount("https://", _BoundedAdapter(deadline))
    session.mount("http://", _BoundedAdapter(deadline))
    session.max_redirects = 0
    return session
