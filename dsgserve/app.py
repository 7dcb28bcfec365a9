"""The pipeline that every request passes: route, method, origin of the request, schema, handler, headers, log."""

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from bottle import BaseRequest, HTTPResponse

from dsgctl.core.errors import DsgError
from dsgctl.core.token_checks import TokenError
from dsgctl.store import StoreError
from dsgserve.gateway import Gateway
from dsgserve.http import security, site
from dsgserve.http.requests import believe_proxy, is_deliberate, is_for_this_machine, wants_page
from dsgserve.http.responses import json_error, message_page
from dsgserve.http.routing import ROUTES, Route, Target, target_of
from dsgserve.http.wire import REFUSAL
from dsgserve.ngauth import endpoints
from dsgserve.process import logs
from dsgserve.user_cache import endpoint

log = logging.getLogger("dsgserve.request")

__all__ = ["ROUTES", "make_app"]

# What a request could not be read for (wire.py), by status: the word for programs, and what to do.
_NOT_READ = {
    400: ("bad_request", "this request cannot be understood"),
    413: ("too_large", "the body of this request is too large"),
    414: ("path_too_long", "there is nothing at so long an address"),
    431: ("headers_too_large", "this request has too many or too long headers; clear this site's cookies"),
    500: (
        "internal_error",
        "something went wrong here, and nothing that you did; try again, and if it happens again, ask for help",
    ),
    501: ("not_implemented", "this request is coded in a way that is not understood here"),
}

# What a page says in large letters.
_TITLES = {
    400: "This did not work",
    403: "You may not do this",
    404: "Not found",
    405: "This did not work",
    500: "Something went wrong",
    503: "Not available at the moment",
}

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def make_app(gateway: Gateway) -> Wsgi:
    """The WSGI application of this gateway."""
    pipeline = partial(_serve, gateway)
    whole = log.isEnabledFor(logging.DEBUG) or gateway.config.dev_login
    return pipeline if whole else _with_short_cut(gateway, pipeline)


def _with_short_cut(gateway: Gateway, app: Wsgi) -> Wsgi:
    """Answer user/cache without what the rest of the pipeline costs.

    The answers are those of the long way, made beforehand where they are always the same. What fails
    here takes the long way too, which finds the words for it.
    """
    refusals = {problem: _prepare_response(problem) for problem in (None, *TokenError)}
    status, headers, _ = _prepare_response(b"")
    count = gateway.metrics.add
    headers = [header for header in headers if header[0] != "Content-Length"]

    def short(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        route, _, environ["QUERY_STRING"] = target_of(environ)
        if route is not _USER_CACHE or environ["REQUEST_METHOD"] != "GET" or REFUSAL in environ:
            return app(environ, start_response)
        try:
            found = endpoint.look_up(gateway, BaseRequest(environ))
        except Exception:
            return app(environ, start_response)
        count("requests")
        if isinstance(found, bytes):
            start_response(status, [*headers, ("Content-Length", str(len(found)))])
            return (found,)
        count("denied")
        refusal, its_headers, body = refusals[found]
        start_response(refusal, its_headers)
        return (body,)

    return short


_USER_CACHE = next(route for route in ROUTES if route.path == endpoint.PATH)


def _prepare_response(found: bytes | TokenError | None) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers and body of what user/cache answers."""
    reply = endpoint.reply(found)
    _finish(reply, _USER_CACHE)
    reply.set_header("Content-Length", str(len(reply.body)))
    return reply.status_line, reply.headerlist, reply.body


def _serve(gateway: Gateway, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The whole pipeline, as a WSGI application."""
    target = target_of(environ)
    environ["QUERY_STRING"] = target.query
    believe_proxy(environ)
    reply = _answer(gateway, BaseRequest(environ), target)
    body = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
    reply.set_header("Content-Length", str(len(body)))
    start_response(reply.status_line, reply.headerlist)  # Bottle leaves out what does not go with 204
    return [] if environ["REQUEST_METHOD"] == "HEAD" or reply.status_code == 204 else [body]


def _answer(gateway: Gateway, request: BaseRequest, target: Target) -> HTTPResponse:
    """Every request passes here: its refusal or its handler, then headers and log."""
    started = time.perf_counter()
    request_id = secrets.token_hex(8)
    logs.REQUEST.set({"request_id": request_id})
    site.CURRENT.set(gateway.site)
    method, route = request.environ["REQUEST_METHOD"], target.route
    try:
        reply = _refuse(gateway, request, route) or _handle(gateway, request, target)
    except StoreError as error:
        log.error("%s: %s", route and route.path, error.message)
        reply = _refusal(request, 503, "unavailable", "the database does not answer; try again in a minute")
        reply.set_header("Retry-After", "5")
    except DsgError as error:
        reply = _refusal(request, error.http_status, error.code, error.message)
    except Exception:
        log.exception("%s %s failed", method, route and route.path)
        reply = _refusal(request, 500, *_NOT_READ[500])
    if route and route.cors:
        endpoints.cors(gateway, request, reply)
    _finish(reply, route)
    reply.set_header("X-Request-Id", request_id)
    gateway.metrics.add("requests")
    if reply.status_code in (401, 403):
        gateway.metrics.add("denied")
    elif reply.status_code >= 500:
        gateway.metrics.add("failed")
    # What anybody can cause without end is not worth a line each.
    level = logging.DEBUG if (route is None or route.often) and reply.status_code < 500 else logging.INFO
    if log.isEnabledFor(level):
        took = round((time.perf_counter() - started) * 1000, 1)
        fields = {"method": method, "route": route and route.path, "status": reply.status_code, "ms": took}
        log.log(level, "answered", extra={"fields": fields})
    logs.REQUEST.set(None)
    return reply


def _refuse(gateway: Gateway, request: BaseRequest, route: Route | None) -> HTTPResponse | None:
    """The answer to a request that may not reach the handler of its route; None if it may."""
    environ = request.environ
    if REFUSAL in environ:
        status = environ[REFUSAL] if environ[REFUSAL] in _NOT_READ else 400
        return _refusal(request, status, *_NOT_READ[status])
    if gateway.config.dev_login and not is_for_this_machine(request):
        # Another site's name may lead to this machine's address (DNS rebinding): its pages must not sign in.
        return _refusal(request, 403, "wrong_host", "DSG_DEV_LOGIN is set: this site is at http://localhost only")
    if route is None:
        return _refusal(request, 404, "not_found", "there is nothing at this address")
    if environ["REQUEST_METHOD"] not in route.allowed_methods():
        reply = _refusal(request, 405, "method_not_allowed", "this address does not take such a request")
        reply.set_header("Allow", ", ".join(route.allowed_methods()))
        return reply
    if route.changes and not is_deliberate(request, gateway.config.origin):
        return _refusal(
            request,
            403,
            "not_deliberate",
            "another site cannot do this for you: open this address yourself",
        )
    return None


def _handle(gateway: Gateway, request: BaseRequest, target: Target) -> HTTPResponse:
    assert target.route is not None  # noqa: S101  _refuse has seen to it
    gateway.require_our_schema()
    return target.route.handler(gateway, request, **target.arguments)


def _finish(reply: HTTPResponse, route: Route | None) -> None:
    """Give an answer the headers that all have."""
    for name, value in security.ALWAYS.items():
        if name not in reply.headers:
            reply.set_header(name, value)
    popup = route is not None and route.popup
    reply.set_header("Cross-Origin-Opener-Policy", security.POPUP_ISOLATION if popup else security.ISOLATION)


def _refusal(request: BaseRequest, status: int, code: str, message: str) -> HTTPResponse:
    if wants_page(request):
        return message_page(status, _TITLES.get(status, _TITLES[400]), message, go_to_your_datasets="/")
    return json_error(status, code, message)
