"""Calls to other servers, bounded in time and size, never following where they are sent."""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0  # of silence
TOTAL_SECONDS = 10.0  # for all of an answer
MAX_BYTES = 512 * 1024
# What libraries raise of an answer that is no JSON, is nested without end, or is not of its form.
NONSENSE = (ValueError, RecursionError, AttributeError, KeyError, TypeError)


class _BoundedAdapter(HTTPAdapter):
    """Reads an answer within `TOTAL_SECONDS` and `MAX_BYTES`, whatever the other side does. For one call at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: list[Any] = []
        self._sockets: list[socket.socket] = []  # a connection forgets its own once the answer's body has it

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        """A pool of connections that can be hung up from outside while somebody waits for them."""
        pool = super().get_connection_with_tls_context(*arguments, **options)
        connections, sockets, kind = self._connections, self._sockets, pool.ConnectionCls

        class Noted(kind):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                connections.append(self)
                super().connect()
                sockets.append(self.sock)

        pool.ConnectionCls = Noted
        return pool

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        options |= {"stream": True, "timeout": (CONNECT_SECONDS, READ_SECONDS)}
        end = time.monotonic() + TOTAL_SECONDS
        # The time-outs above are of silence: a byte now and then, in the middle of a header, would go on for days.
        hang_up = threading.Timer(TOTAL_SECONDS, self._hang_up)
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
        if len(body) > MAX_BYTES or time.monotonic() > end:
            response.close()
            raise requests.exceptions.ContentDecodingError("the answer is too long or too slow")
        response._content = body
        return response

    def _hang_up(self) -> None:
        for one in filter(None, (*(connection.sock for connection in self._connections), *self._sockets)):
            with suppress(OSError):  # it has ended meanwhile
                socket.socket.shutdown(one, socket.SHUT_RDWR)


def bounded(session: requests.Session) -> requests.Session:
    """Make a session obey the bounds of this module."""
    session.mount("https://", _BoundedAdapter())
    session.mount("http://", _BoundedAdapter())
    session.max_redirects = 0
    return session
