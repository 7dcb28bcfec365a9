"""The transport of google.auth: each request once, and within the deadline of the whole call."""

from collections.abc import Callable
from typing import Any

import requests
from google.auth import exceptions
from google.auth.transport.requests import Request

from dsgctl.bounded_http import Deadline, limit_session


class RequestFailed(Exception):
    """Google does not answer, or answers 408, 429 or 5xx.

    google.auth does not know this error; of its own it would retry the request up to five times.

    Attributes:
        status: of the answer; 0 if there was none.
    """

    def __init__(self, status: int = 0) -> None:
        super().__init__(f"Google answers {status}" if status else "Google does not answer")
        self.status = status


class Transport:
    """A ``google.auth.transport.Request``.

    Attributes:
        status: of the last response; 0 before the first.
    """

    def __init__(self, deadline: Callable[[], Deadline]) -> None:
        self.status = 0
        self.session = limit_session(requests.Session(), deadline)
        self._send = Request(session=self.session)

    def __call__(self, url: str, *arguments: Any, **options: Any) -> Any:
        """Raises:
        RequestFailed: Google does not answer in time, or answers 408, 429 or 5xx.
        """
        try:
            reply = self._send(url, *arguments, **options)
        except exceptions.TransportError as error:
            raise RequestFailed from error
        self.status = int(reply.status)
        if self.status in (408, 429) or self.status >= 500:
            raise RequestFailed(self.status)
        return reply

    def close(self) -> None:
        self.session.close()
