"""The table of routes, and the one function that finds the route of a request target."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote, unquote
from wsgiref.types import WSGIEnvironment

from dsgctl.oauth_client import CALLBACK_PATH
from dsgserve import apis
from dsgserve.clients import consent, key_window, viewer_login
from dsgserve.http.environ import TARGET
from dsgserve.http.route import Endpoint, Guard, Route
from dsgserve.login import sign_in
from dsgserve.login.admission import anybody, every_token, optional_token, require_cookie, sign_in_first
from dsgserve.ngauth import endpoints, popup
from dsgserve.process import health
from dsgserve.terms import landing, terms_pages
from dsgserve.user_cache import endpoint, hot_path

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

# The routes of contract.md, "Routes", and no others. Those of an API are in its module in dsgserve/apis/.
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
        (replace(_AUTHORIZE, handler=viewer_login.authorize), replace(_AUTHORIZE, method="POST", reads_body=True)),
        popup=True,
        waits=True,
        limited=True,
    ),
    Route("/api/v1/oauth2callback", (_CALLBACK,), popup=True, waits=True, limited=True),
    Route("/api/v1/logout", (replace(_LOG_OUT, method="GET", reads_body=False), _LOG_OUT)),
    Route("/logout", (_LOG_OUT,)),
    Route(
        "/login",
        (
            Endpoint("GET", popup.show, popup.admit, Guard.LINK, carries=("origin",)),
            Endpoint("POST", consent.decide, key_window.require_form, _FORM, reads_body=True),
        ),
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
    Route(
        endpoint.PATH,
        (Endpoint("GET", hot_path.show, endpoint.admit, _HARMLESS),),
        often=True,
        question=endpoint.read_question,
    ),
)

_PARAMETER = re.compile(r"<([a-z_]+)(:int)?>")


class Target(NamedTuple):
    """A parsed request target (RFC 9112, section 3.2).

    Attributes:
        route: None if there is no such route.
        numbers: the numbers in its path, by name.
        names: the names in its path, by name; each is a whole segment, and not empty.
        query: as sent.
    """

    route: Route | None
    numbers: Mapping[str, int]
    names: Mapping[str, str]
    query: str

    @property
    def path(self) -> str:
        """The path of the route with its numbers and names, percent-encoded; empty if there is no route."""
        values: dict[str, object] = {**self.numbers, **self.names}
        return _PARAMETER.sub(lambda name: quote(str(values[name[1]]), safe=""), self.route.path) if self.route else ""


NO_TARGET = Target(None, {}, {}, "")
# A path beyond these names no route, and is not decoded. A name of 200 letters can take 2,400 characters.
_MAX_PATH = 4096  # characters
_MAX_SLASHES = 16
_ABSOLUTE_FORM = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#]*")
_NUMBER, _NAME = r"0|[1-9][0-9]{0,8}", r"[^/]+"


class RoutingTable:
    """The routes of one server.

    Attributes:
        routes: of one path there is one.

    Raises:
        ValueError: two routes of one path declare different things, or both answer one method differently.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        by_path: dict[str, Route] = {}
        for route in routes:
            other = by_path.get(route.path)
            by_path[route.path] = _merge(other, route) if other else route
        self.routes = tuple(by_path.values())
        self._fixed = {path: route for path, route in by_path.items() if "<" not in path}
        self._with_parameters = tuple((_compile(path), route) for path, route in by_path.items() if "<" in path)

    def resolve(self, request_target: str) -> Target:
        """The route that a request target names. Nothing else reads the path of a request.

        Each segment is percent-decoded once, and nothing else is normalized: an empty segment, ``.`` and ``..``, an
        encoded slash, a letter of the other case and an additional slash name no route. For its rate limits, nginx
        parses the path itself: every path that names a route here names the same route there.

        Args:
            request_target: in origin-form or absolute-form, one character per byte.
        """
        path, _, query = request_target.partition("?")
        route = self._fixed.get(path)
        if route is not None:
            return Target(route, {}, {}, query)
        if absolute := _ABSOLUTE_FORM.match(request_target):
            rest = request_target[absolute.end() :]
            return self.resolve(rest if rest.startswith("/") else f"/{rest}")
        nothing = Target(None, {}, {}, query)
        if len(path) > _MAX_PATH or path.count("/") > _MAX_SLASHES:
            return nothing
        if "%" in path:
            segments = [unquote(segment, "latin-1") for segment in path.split("/")]
            if any("/" in segment for segment in segments):
                return nothing
            path = "/".join(segments)
            if route := self._fixed.get(path):
                return Target(route, {}, {}, query)
        for pattern, route in self._with_parameters:
            if match := pattern.fullmatch(path):
                parameters = _read_parameters(route, match)
                return Target(route, *parameters, query) if parameters else nothing
        return nothing

    def target_of(self, environ: WSGIEnvironment) -> Target:
        """The target of a request, as wire.py found it in the request line."""
        target: Target | None = environ.get(TARGET)
        if target is None:  # the request did not come through wire.py
            path = quote(environ["PATH_INFO"], encoding="latin-1")
            target = environ[TARGET] = self.resolve(f"{path}?{environ['QUERY_STRING']}")
        return target


def make_table(names: Iterable[str]) -> RoutingTable:
    """The routes of a server.

    Args:
        names: the APIs that DSG_APIS names.
    """
    return RoutingTable((*ROUTES, *apis.load_routes(names)))


def _merge(route: Route, other: Route) -> Route:
    """Two APIs can declare one path; an endpoint that both declare is the same."""
    endpoints = (*route.endpoints, *(endpoint for endpoint in other.endpoints if endpoint not in route.endpoints))
    if replace(other, endpoints=endpoints) != replace(route, endpoints=endpoints):
        raise ValueError(f"{route.path}: two routes of this path declare different things")
    return replace(route, endpoints=endpoints)


def _compile(path: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub(lambda name: f"(?P<{name[1]}>{_NUMBER if name[2] else _NAME})", path))


def _read_parameters(route: Route, match: re.Match[str]) -> tuple[dict[str, int], dict[str, str]] | None:
    """The numbers and the names in a path; None if a name is not UTF-8, so that there is no such name."""
    numbers: dict[str, int] = {}
    names: dict[str, str] = {}
    for name, is_number in _PARAMETER.findall(route.path):
        if is_number:
            numbers[name] = int(match[name])
        else:
            try:
                names[name] = match[name].encode("latin-1").decode()
            except UnicodeDecodeError:
                return None
    return numbers, names
