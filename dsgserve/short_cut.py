"""The short cut: questions of a token are answered from the response cache, without Bottle, as bytes.

The responses are those of the pipeline (app.py), built beforehand, without an id of the request. Whatever the short cut
does not answer passes the pipeline, and so does every request that fails here: there the error is rendered.

Why no answer is older than a change that was acknowledged before the request arrived: the event loop calls `begin`
after it has received the requests that it then passes to `answer`, and `begin` reads from the database whether anybody
has committed. A change is acknowledged after its commit. So if a change was acknowledged before a request arrived,
`begin` reads the commit. Then the short cut answers nothing until a worker has applied the change to the cache, which
the cache notes after it is done.
"""

import logging
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from bottle import BaseRequest

from dsgctl.core import clock
from dsgctl.core.token_checks import TokenError
from dsgserve.gateway import Gateway
from dsgserve.http import security
from dsgserve.http.environ import TARGET
from dsgserve.http.responses import read_body, render, unauthorized
from dsgserve.http.wire import Parser, ShortCut
from dsgserve.user_cache import hot_path
from dsgserve.user_cache.hot_path import ReadQuestion
from dsgserve.user_cache.question import Content, Headers


def make_short_cut(gateway: Gateway) -> ShortCut:
    """The short cut of a server, if it has any: it neither logs requests nor checks the host."""
    if logging.getLogger("dsgserve.request").isEnabledFor(logging.DEBUG) or gateway.config.dev_login:
        return _NoShortCut()
    return _CachedAnswers(gateway)


class _NoShortCut:
    def begin(self) -> None:
        """Nothing to check."""

    def answer(self, request: Parser, *, build: bool) -> bytes | None:
        return None


@dataclass(slots=True)
class _Request:
    """The parts of a request that a question is read from."""

    environ: dict[str, Any]


class _CachedAnswers:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._is_current = False
        self._refusals = {problem: _build_refusal(problem) for problem in (None, *TokenError)}
        self._date = (0, b"")

    def begin(self) -> None:
        try:
            self._is_current = self._gateway.response_cache.is_current()
        except Exception:  # the event loop must not end: the pipeline finds the same, and reports it
            self._is_current = False

    def answer(self, request: Parser, *, build: bool) -> bytes | None:
        route = request.target.route
        if route is None or route.question is None or not (build or self._is_current):
            return None
        if request.command != "GET" or request.version != "1.1" or request.connection_close or request.error:
            return None
        try:
            return self._answer(request, route.question, build=build)
        except Exception:
            return None

    def _answer(self, request: Parser, read: ReadQuestion, *, build: bool) -> bytes:
        environ = {f"HTTP_{name}": value for name, value in request.headers.items()}
        environ["REQUEST_METHOD"] = "GET"
        environ["REMOTE_ADDR"] = request.channel.addr[0]
        environ["QUERY_STRING"] = request.target.query
        environ[TARGET] = request.target
        content = hot_path.look_up(self._gateway, _Request(environ), read, build=build)
        if not isinstance(content, Content):
            content = self._refusals[content]
        count = self._gateway.metrics.add
        count("requests")
        if content.status in (401, 403):
            count("denied")
        return b"".join(
            (_build_head(content.status, content.headers, len(content.body)), self._date_line(), content.body)
        )

    def _date_line(self) -> bytes:
        second = int(clock.seconds())
        if self._date[0] != second:
            self._date = (second, f"Date: {formatdate(second, usegmt=True)}\r\n\r\n".encode())
        return self._date[1]


@lru_cache(maxsize=1024)
def _build_head(status: int, headers: Headers, length: int) -> bytes:
    """Status line and headers, up to the date."""
    always = (*security.ALWAYS.items(), security.window_isolation(popup=False))
    every = dict((*always, *headers, ("Content-Length", str(length))))
    lines = (f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in every.items()))
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _build_refusal(problem: TokenError | None) -> Content:
    """401 for a token that is not valid, or for none."""
    response = render(BaseRequest({}), unauthorized(problem))
    return Content(read_body(response), None, response.status_code, tuple(response.headerlist))
