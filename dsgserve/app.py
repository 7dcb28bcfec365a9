"""The pipeline that every request passes: the checks that its route declares, the handler, headers, metrics and log."""

import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from bottle import BaseRequest, HTTPResponse

from dsgctl.core.errors import DsgError
from dsgctl.store import StoreError
from dsgserve.gateway import Gateway
from dsgserve.http import security, site
from dsgserve.http.environ import BODY, MAX_BODY, PREFIX, REFUSAL
from dsgserve.http.origins import RequestOrigin
from dsgserve.http.proxy import trust_proxy
from dsgserve.http.redirects import TargetRefused, read_target
from dsgserve.http.requests import is_deliberate, is_for_this_machine
from dsgserve.http.responses import Refusal, read_body, render
from dsgserve.http.route import Answer, Guard, Request, Route
from dsgserve.http.routing import RoutingTable, Target, make_table
from dsgserve.process import logs

log = logging.getLogger("dsgserve.request")

# Why a request could not be read (wire.py), by status.
_NOT_READ = {
    400: Refusal(400, "bad_request", "this request is malformed"),
    413: Refusal(413, "too_large", "the body of this request is too large"),
    414: Refusal(414, "path_too_long", "this address is longer than any of this site"),
    431: Refusal(
        431, "headers_too_large", "this request has too many headers, or too long ones; clear this site's cookies"
    ),
    500: Refusal(
        500,
        "internal_error",
        "this server failed, through no fault of yours; try again, and if it happens again, ask for help",
    ),
    501: Refusal(501, "not_implemented", "this server does not support the transfer coding of this request"),
}
_NOT_FOUND = Refusal(404, "not_found", "there is nothing at this address")
# Another site's name may lead to this machine's address (DNS rebinding): its pages must not sign in.
_WRONG_HOST = Refusal(403, "wrong_host", "DSG_DEV_LOGIN is set: this site is at http://localhost only")
_NOT_DELIBERATE = Refusal(403, "not_deliberate", "another site cannot do this for you: open this address yourself")
_DATABASE_UNAVAILABLE = Refusal(
    503, "unavailable", "the database does not answer; try again in a minute", headers={"Retry-After": "5"}
)


def make_app(gateway: Gateway, table: RoutingTable | None = None) -> WSGIApplication:
    """The WSGI application of this gateway (PEP 3333).

    Args:
        table: of its routes; None to make it.
    """
    return partial(_serve, gateway, table or make_table(gateway.config.apis))


def _serve(
    gateway: Gateway, table: RoutingTable, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """The pipeline as a WSGI application."""
    target = table.target_of(environ)
    environ["QUERY_STRING"] = target.query
    trust_proxy(environ)
    response = _answer(gateway, BaseRequest(environ), target)
    body = read_body(response)
    response.set_header("Content-Length", str(len(body)))
    start_response(response.status_line, response.headerlist)  # Bottle omits the headers that a 204 must not have
    return [] if environ["REQUEST_METHOD"] == "HEAD" or response.status_code == 204 else [body]


def _answer(gateway: Gateway, http: BaseRequest, target: Target) -> HTTPResponse:
    """Answer one request, whatever happens; then add the headers that all responses have, count it, and log it."""
    started = time.perf_counter()
    request_id = secrets.token_hex(8)
    logs.REQUEST.set({"request_id": request_id})
    site.CURRENT.set(gateway.site)
    method, route = http.environ["REQUEST_METHOD"], target.route
    origin = _read_origin(gateway, http, route)
    try:
        answer = _check_and_handle(gateway, http, target, origin)
        response = render(http, answer) if isinstance(answer, Refusal) else answer
    except StoreError as error:
        log.error("%s: %s", route and route.path, error.message)
        response = render(http, _DATABASE_UNAVAILABLE)
    except TargetRefused as error:
        response = render(http, Refusal(error.http_status, error.code, error.message, title=error.title))
    except DsgError as error:
        response = render(http, Refusal(error.http_status, error.code, error.message))
    except Exception:
        log.exception("%s %s failed", method, route and route.path)
        response = render(http, _NOT_READ[500])
    if origin:
        origin.add_headers(response, preflight=method == "OPTIONS")
    _finish(response, route)
    response.set_header("X-Request-Id", request_id)
    gateway.metrics.add("requests")
    if response.status_code in (401, 403):
        gateway.metrics.add("denied")
    elif response.status_code >= 500:
        gateway.metrics.add("failed")
    # Requests that anybody can send without end are logged at DEBUG only.
    level = logging.DEBUG if (route is None or route.often) and response.status_code < 500 else logging.INFO
    if log.isEnabledFor(level):
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        fields = {"method": method, "route": route and route.path, "status": response.status_code, "ms": milliseconds}
        log.log(level, "answered", extra={"fields": fields})
    logs.REQUEST.set(None)
    return response


def _read_origin(gateway: Gateway, http: BaseRequest, route: Route | None) -> RequestOrigin | None:
    """The origin of the page that sends a request; None on routes without CORS."""
    if route is None or not route.cors:
        return None
    return RequestOrigin.read(http.environ.get("HTTP_ORIGIN"), gateway.config.ngauth_origins)


def _check_and_handle(gateway: Gateway, http: BaseRequest, target: Target, origin: RequestOrigin | None) -> Answer:
    """Check a request against everything that its route declares, in this order, and call the handler.

    Raises:
        StoreError, DsgError: for `_answer` to render.
    """
    environ = http.environ
    method, route = environ["REQUEST_METHOD"], target.route
    if REFUSAL in environ:
        return _NOT_READ.get(environ[REFUSAL], _NOT_READ[400])
    if gateway.config.dev_login and not is_for_this_machine(http):
        return _WRONG_HOST
    if route is None:
        return _NOT_FOUND
    if not route.allows(method):
        text = "this address does not take such a request"
        return Refusal(405, "method_not_allowed", text, headers={"Allow": ", ".join(route.allowed_methods())})
    declared = route.find_endpoint(method)
    may_change = declared is not None and _may_change(gateway, http, declared.guard)
    if declared is not None and declared.guard is Guard.DELIBERATE and not may_change:
        return _NOT_DELIBERATE
    gateway.require_our_schema()
    if declared is None:  # OPTIONS, on a route with CORS alone
        assert origin is not None  # noqa: S101
        return origin.build_preflight()
    if origin and (refusal := origin.find_refusal()):
        return refusal
    environ[MAX_BODY] = declared.max_body
    if not declared.reads_body:
        environ[BODY] = b""
    request: Request[None] = Request(
        http,
        target.path,
        None,
        numbers=target.numbers,
        names=target.names,
        origin=origin.valid if origin else None,
        target=read_target(gateway.config, http, declared.targets),
        may_change=may_change,
        carries=declared.carries,
        prefix=environ.get(PREFIX, ""),
    )
    caller = declared.admits(gateway, request)
    if isinstance(caller, Refusal | HTTPResponse):
        return caller
    return declared.handler(gateway, replace(request, caller=caller))


def _may_change(gateway: Gateway, http: BaseRequest, guard: Guard) -> bool:
    """Whether a request may change anything, as far as this guard decides it."""
    if guard in (Guard.DELIBERATE, Guard.LINK):
        return http.environ["REQUEST_METHOD"] != "HEAD" and is_deliberate(http, gateway.config.origin)
    return guard is not Guard.HARMLESS


def _finish(response: HTTPResponse, route: Route | None) -> None:
    """Add the headers that every response has."""
    for name, value in security.ALWAYS.items():
        if name not in response.headers:
            response.set_header(name, value)
    response.set_header(*security.window_isolation(popup=route is not None and route.popup))
