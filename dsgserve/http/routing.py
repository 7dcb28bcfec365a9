"""The table of routes, and the one function that finds the route of a request target."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote, unquote
from wsgiref.types import WSGIEnvironment

from dsgctl.oauth_client import CALLBACK_PATH
from dsgserve.http.environ import TARGET
from dsgserve.http.route import Endpoint, Guard, Route
from dsgserve.login import sign_in
from dsgserve.login.admission import anybody, every_token, optional_token, require_cookie, sign_in_first
from dsgserve.ngauth import endpoints, popup
from dsgserve.process import health
from dsgserve.terms import landing, terms_pages
from dsgserve.user_cache import endpoint

_HARMLESS, _DELIBERATE, _FORM, _ORIGIN = Guard.HARMLESS, Guard.DELIBERATE, Guard.FORM, Guard.ORIGIN
_TERMS = (
    *terms_pages.TARGETS,
    "service",
    "dataset",
    "invite",
    "token",
)  # what a page of terms still needs after a sign-in

_LOG_OUT = Endpoint("POST", sign_in.logout, every_token, _DELIBERATE, reads_body=True)
_CALLBACK = Endpoint("GET", sign_in.finish, sign_in.require_login_state, _DELIBERATE)
_AUTHORIZE = Endpoint("GET", sign_in.authorize, sign_in.require_provider, _HARMLESS, targets=("redirect",))
_ACCEPT = Endpoint("POST", terms_pages.accept, terms_pages.require_form, _FORM, reads_body=True)
_READ_ALL = Endpoint("GET", terms_pages.activate, sign_in_first, _HARMLESS, targets=terms_pages.TARGETS, carries=_TERMS)
_READ_ONE = Endpoint("GET", terms_pages.show, sign_in_first, _HARMLESS, targets=terms_pages.TARGETS, carries=_TERMS)

# The routes of contract.md, "Routes", and no others.
ROUTES = (
    Route("/", (Endpoint("GET", landing.show, optional_token, _HARMLESS),)),
    Route("/health", (Endpoint("GET", health.show, anybody, _HARMLESS),), often=True),
    Route(
        "/auth/login",
        (Endpoint("GET", sign_in.start, sign_in.require_provider, _HARMLESS, targets=("next",)),),
        popup=True,
        waits=True,
        limited=True,
    ),
    Route(CALLBACK_PATH, (_CALLBACK,), popup=True, waits=True, limited=True),
    Route(
        "/api/v1/authorize",
        (_AUTHORIZE, replace(_AUTHORIZE, method="POST", reads_body=True)),
        popup=True,
        waits=True,
        limited=True,
    ),
    Route("/api/v1/oauth2callback", (_CALLBACK,), popup=True, waits=True, limited=True),
    Route("/api/v1/logout", (replace(_LOG_OUT, method="GET", reads_body=False), _LOG_OUT)),
    Route("/logout", (_LOG_OUT,)),
    Route(
        "/login",
        (Endpoint("GET", popup.show, popup.admit, Guard.LINK, carries=("origin",)),),
        popup=True,
        limited=True,
    ),
    Route("/token", (Endpoint("POST", endpoints.token, require_cookie, _ORIGIN),), cors=True, limited=True),
    Route(
        "/gcs_token",
        (Endpoint("POST", endpoints.gcs_token, endpoints.require_user_token, _ORIGIN, reads_body=True),),
        cors=True,
        waits=True,
        limited=True,
    ),
    Route("/activate", (_READ_ALL, _ACCEPT), popup=True),
    Route("/api/v1/tos/<terms_id:int>/accept", (_READ_ONE, _ACCEPT), popup=True),
    Route("/success", (Endpoint("GET", terms_pages.success, anybody, _HARMLESS),)),
    Route(endpoint.PATH, (Endpoint("GET", endpoint.show, endpoint.admit, _HARMLESS),), often=True),
)

_PARAMETER = re.compile(r"<([a-z_]+):int>")


class Target(NamedTuple):
    """A parsed request target (RFC 9112, section 3.2).

    Attributes:
        route: None if there is no such route.
        arguments: the numbers in its path, by name.
        query: as sent.
    """

    route: Route | None
    arguments: Mapping[str, int]
    query: str

    @property
    def path(self) -> str:
        """The path of the route with its numbers; empty if there is no route."""
        return _PARAMETER.sub(lambda name: str(self.arguments[name[1]]), self.route.path) if self.route else ""


NO_TARGET = Target(None, {}, "")
_MAX_PATH = 512  # characters; a longer path names no route, and is not decoded
_ABSOLUTE_FORM = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#]*")


def _compile(path: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub(r"(?P<\1>0|[1-9][0-9]{0,8})", path))


_FIXED = {route.path: route for route in ROUTES if "<" not in route.path}
_WITH_NUMBERS = tuple((_compile(route.path), route) for route in ROUTES if "<" in route.path)


def resolve(request_target: str) -> Target:
    """The route that a request target names. Nothing else reads the path of a request.

    Each segment is percent-decoded once, and nothing else is normalized: an empty segment, ``.`` and ``..``, an encoded
    slash, a letter of the other case and an additional slash name no route. For its rate limits, nginx parses the path
    itself: every path that names a route here names the same route there.

    Args:
        request_target: in origin-form or absolute-form, one character per byte.
    """
    path, _, query = request_target.partition("?")
    route = _FIXED.get(path)
    if route is not None:
        return Target(route, {}, query)
    if absolute := _ABSOLUTE_FORM.match(request_target):
        rest = request_target[absolute.end() :]
        return resolve(rest if rest.startswith("/") else f"/{rest}")
    if len(path) > _MAX_PATH:
        return Target(None, {}, query)
    if "%" in path:
        segments = [unquote(segment, "latin-1") for segment in path.split("/")]
        if any("/" in segment for segment in segments):
            return Target(None, {}, query)
        path = "/".join(segments)
        if route := _FIXED.get(path):
            return Target(route, {}, query)
    for pattern, route in _WITH_NUMBERS:
        if match := pattern.fullmatch(path):
            return Target(route, {name: int(text) for name, text in match.groupdict().items()}, query)
    return Target(None, {}, query)


def target_of(environ: WSGIEnvironment) -> Target:
    """The target of a request, as wire.py found it in the request line."""
    target = environ.get(TARGET)
    if target is None:  # the request did not come through wire.py
        target = environ[TARGET] = resolve(
            f"{quote(environ['PATH_INFO'], encoding='latin-1')}?{environ['QUERY_STRING']}"
        )
    return target
