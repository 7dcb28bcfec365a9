"""Calls to other servers: few at once, bounded in time and size, never following where they are sent."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from dsgserve.tally import Tally

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0  # of silence
TOTAL_SECONDS = 10.0  # for all of an answer
MAX_BYTES = 512 * 1024


class Unavailable(Exception):
    """The other server cannot be asked now, or does not answer in time, or answers nonsense."""


class _BoundedAdapter(HTTPAdapter):
    """Reads an answer within `TOTAL_SECONDS` and `MAX_BYTES`, whatever the other side does."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        options |= {"stream": True, "timeout": (CONNECT_SECONDS, READ_SECONDS)}
        response = super().send(request, **options)
        end = time.monotonic() + TOTAL_SECONDS
        body = b""
        for chunk in response.iter_content(8192):
            body += chunk
            if len(body) > MAX_BYTES or time.monotonic() > end:
                response.close()
                raise requests.exceptions.ContentDecodingError("the answer is too long or too slow")
        response._content = body
        return response


def bounded(session: requests.Session) -> requests.Session:
    """Make a session obey the bounds of this module."""
    session.mount("https://", _BoundedAdapter())
    session.mount("http://", _BoundedAdapter())
    session.max_redirects = 0
    return session


class Places:
    """At most so many calls at once, so that slow servers leave threads for everybody else."""

    def __init__(self, number: int, tally: Tally | None = None) -> None:
        self._free = threading.BoundedSemaphore(number)
        self._tally = tally or Tally()

    @contextmanager
    def one(self, *, wait: float = 0.0) -> Iterator[None]:
        """Hold a place.

        Args:
            wait: seconds to wait for one.

        Raises:
            Unavailable: none came free.
        """
        if not self._free.acquire(timeout=wait):
            self._tally.add("calls_refused")
            raise Unavailable("too many calls are under way")
        self._tally.add("calls")
        try:
            yield
        finally:
            self._free.release()
