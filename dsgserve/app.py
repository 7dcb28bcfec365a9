"""The table of routes, and what every answer gets: headers, errors, logging."""

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from bottle import BaseRequest, Bottle, HTTPError, HTTPResponse, LocalRequest, request
from waitress.proxy_headers import proxy_headers_middleware

from dsgctl.core.errors import DsgError
from dsgctl.core.tokens import Problem
from dsgctl.store import StoreError
from dsgserve import health, landing, login, logs, ngauth, security, terms, user_cache
from dsgserve.gateway import Gateway
from dsgserve.replies import json_error, message_page
from dsgserve.requests import wants_page

log = logging.getLogger("dsgserve.request")

Handler = Callable[..., HTTPResponse]


class Route(NamedTuple):
    """One row of the table.

    Attributes:
        popup: it lies on the way of the ngauth popup, whose window must not be isolated.
        cors: pages of allowed viewers may read the answer, errors included.
        waits: it may have to wait for another server.
        often: programs ask all the time; a line for each is written at DEBUG only.
    """

    methods: str
    path: str
    handler: Handler
    popup: bool = False
    cors: bool = False
    waits: bool = False
    often: bool = False


# The routes of contract.md, and no others.
ROUTES = (
    Route("GET", "/", landing.show),
    Route("GET", "/health", health.show, often=True),
    Route("GET", "/auth/login", login.start, popup=True, waits=True),
    Route("GET", "/accounts/google/login/callback/", login.finish, popup=True, waits=True),
    Route("GET POST", "/api/v1/authorize", login.authorize, popup=True, waits=True),
    Route("GET", "/api/v1/oauth2callback", login.finish, popup=True, waits=True),
    Route("GET POST", "/api/v1/logout", login.logout),
    Route("POST", "/logout", login.logout),
    Route("GET", "/login", ngauth.login, popup=True),
    Route("POST OPTIONS", "/token", ngauth.token, cors=True),
    Route("POST OPTIONS", "/gcs_token", ngauth.gcs_token, cors=True, waits=True),
    Route("GET POST", "/activate", terms.activate, popup=True),
    Route("GET POST", "/api/v1/tos/<terms_id:int>/accept", terms.accept, popup=True),
    Route("GET", "/success", terms.success),
    Route("GET", user_cache.PATH, user_cache.show, often=True),
)


_NOT_UNDERSTOOD = ("bad_request", "this request cannot be understood")

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def make_app(gateway: Gateway) -> Wsgi:
    """The WSGI application of this gateway."""
    app = Bottle()
    app.config["json.enable"] = False  # replies.py makes all JSON
    for route in ROUTES:
        app.route(route.path, route.methods.split(), partial(_answer, gateway, route))
    app.default_error_handler = _refused_by_bottle
    behind_proxy = _forwarded(_plain(app))
    return behind_proxy if log.isEnabledFor(logging.DEBUG) else _with_short_cut(gateway, behind_proxy)


def _plain(app: Wsgi) -> Wsgi:
    """Let only paths through that everybody reads alike.

    Bottle leaves out bytes that are not UTF-8 and further slashes at the beginning: what is ``/gcs_token`` to it
    would be another path to nginx, which counts such requests, and to lanes.py.
    """

    def look(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not (path.isascii() and path.isprintable()) or path.startswith("//"):
            environ["PATH_INFO"] = "/no/such/path"
        return app(environ, start_response)

    return look


def _forwarded(app: Wsgi) -> Wsgi:
    """Believe nginx, which stands on this host, under which address a client came: it sets that header itself.

    Every other forwarded header is thrown away, and this one too if it comes from elsewhere.
    """
    # waitress's names for a peer over loopback and over a unix socket
    believing: dict[str, Wsgi] = {
        peer: proxy_headers_middleware(app, trusted_proxy=peer, trusted_proxy_headers={"x-forwarded-for"})
        for peer in ("127.0.0.1", "localhost")
    }
    throwing_away: Wsgi = proxy_headers_middleware(app)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return believing.get(environ["REMOTE_ADDR"], throwing_away)(environ, start_response)

    return choose


def _with_short_cut(gateway: Gateway, app: Wsgi) -> Wsgi:
    """Answer user/cache without Bottle, whose part of such a request is a third.

    The answers are those of the long way, made beforehand where they are always the same. What fails
    here takes the long way too, which finds the words for it.
    """
    made = {problem: _made(problem) for problem in (None, *Problem)}
    status, good, _ = _made(b"")
    count = gateway.tally.add
    good = [header for header in good if header[0] != "Content-Length"]

    def short(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != user_cache.PATH or environ["REQUEST_METHOD"] != "GET":
            return app(environ, start_response)
        try:
            found = user_cache.look_up(gateway, BaseRequest(environ))
        except Exception:
            return app(environ, start_response)
        count("requests")
        if isinstance(found, bytes):
            start_response(status, [*good, ("Content-Length", str(len(found)))])
            return (found,)
        count("denied")
        refusal, headers, body = made[found]
        start_response(refusal, headers)
        return (body,)

    return short


def _made(found: bytes | Problem | None) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers and body of what user/cache answers."""
    reply = user_cache.reply(found)
    _finish(reply, security.ISOLATION)
    reply.set_header("Content-Length", str(len(reply.body)))
    return reply.status_line, reply.headerlist, reply.body


def _answer(gateway: Gateway, route: Route, **arguments: object) -> HTTPResponse:
    """Every request passes here: the handler, or the words for what went wrong, then headers and log."""
    started = time.perf_counter()
    request_id = secrets.token_hex(8)
    logs.REQUEST.set({"request_id": request_id})
    try:
        gateway.require_our_schema()
        reply = route.handler(gateway, request, **arguments)
    except StoreError as error:
        log.error("%s: %s", route.path, error.message)
        reply = _refusal(request, 503, "unavailable", "the database does not answer; try again in a moment")
        reply.set_header("Retry-After", "5")
    except DsgError as error:
        reply = _refusal(request, error.http_status, error.code, error.message)
    except HTTPError as error:  # Bottle's, of a body that it cannot take apart
        reply = _refusal(request, error.status_code, *_NOT_UNDERSTOOD)
    except Exception:
        log.exception("%s %s failed", request.method, route.path)
        reply = _refusal(request, 500, "internal_error", "something is wrong here; the operators can see it in the log")
    if route.cors:
        ngauth.cors(gateway, request, reply)
    isolation = security.POPUP_ISOLATION if route.popup else security.ISOLATION
    _finish(reply, isolation)
    reply.set_header("X-Request-Id", request_id)
    gateway.tally.add("requests")
    if reply.status_code in (401, 403):
        gateway.tally.add("denied")
    elif reply.status_code >= 500:
        gateway.tally.add("failed")
    level = logging.DEBUG if route.often and reply.status_code < 500 else logging.INFO
    if log.isEnabledFor(level):
        took = round((time.perf_counter() - started) * 1000, 1)
        fields = {"method": request.method, "route": route.path, "status": reply.status_code, "ms": took}
        log.log(level, "answered", extra={"fields": fields})
    logs.REQUEST.set(None)
    return reply


def _finish(reply: HTTPResponse, isolation: str) -> None:
    for name, value in security.ALWAYS.items():
        if name not in reply.headers:
            reply.set_header(name, value)
    reply.set_header("Cross-Origin-Opener-Policy", isolation)


def _refusal(asked: LocalRequest, status: int, code: str, message: str) -> HTTPResponse:
    if wants_page(asked):
        return message_page(status, "That did not work", message, to_the_start="/")
    return json_error(status, code, message)


def _refused_by_bottle(error: HTTPError) -> bytes:
    """404, 405 and malformed requests, which reach no handler. Nothing of the request is repeated."""
    codes = {404: ("not_found", "there is nothing here"), 405: ("method_not_allowed", "not with this method")}
    code, message = codes.get(error.status_code, _NOT_UNDERSTOOD)
    reply = _refusal(request, error.status_code, code, message)
    on_the_way = any(route.popup and route.path == request.path for route in ROUTES)
    _finish(reply, security.POPUP_ISOLATION if on_the_way else security.ISOLATION)
    allow = error.headers.get("Allow")
    error.headers.clear()
    error.headers.update(reply.headers)
    if allow:
        error.headers["Allow"] = allow
    body = reply.body
    return body if isinstance(body, bytes) else body.encode()
