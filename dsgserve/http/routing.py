"""The table of routes, and the one function that says which of them a request target names."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from bottle import HTTPResponse

from dsgserve.login import sign_in
from dsgserve.ngauth import endpoints
from dsgserve.process import health
from dsgserve.terms import landing, terms_pages
from dsgserve.user_cache import endpoint

Handler = Callable[..., HTTPResponse]


class Route(NamedTuple):
    """One row of the table: what a request must pass, and who answers it.

    Attributes:
        path: with ``<name:int>`` where a number stands, which the handler gets by that name.
        popup: on the way of the ngauth popup, whose window must not be isolated.
        cors: pages of allowed viewers may read the answer, errors included.
        waits: may have to wait for another server.
        often: programs ask all the time; a line for each is written at DEBUG only.
        changes: a GET changes something: not for HEAD, a prefetch, a frame or another site's script.
    """

    methods: str
    path: str
    handler: Handler
    popup: bool = False
    cors: bool = False
    waits: bool = False
    often: bool = False
    changes: bool = False

    def allowed_methods(self) -> list[str]:
        """The methods that the route answers; HEAD wherever a GET changes nothing."""
        methods = self.methods.split(" ")
        return [*methods, "HEAD"] if "GET" in methods and not self.changes else methods


# The routes of contract.md, "Routes", and no others.
ROUTES = (
    Route("GET", "/", landing.show),
    Route("GET", "/health", health.show, often=True),
    Route("GET", "/auth/login", sign_in.start, popup=True, waits=True),
    Route("GET", "/accounts/google/login/callback/", sign_in.finish, popup=True, waits=True, changes=True),
    Route("GET POST", "/api/v1/authorize", sign_in.authorize, popup=True, waits=True),
    Route("GET", "/api/v1/oauth2callback", sign_in.finish, popup=True, waits=True, changes=True),
    Route("GET POST", "/api/v1/logout", sign_in.logout, changes=True),
    Route("POST", "/logout", sign_in.logout, changes=True),
    Route("GET", "/login", endpoints.login, popup=True),
    Route("POST OPTIONS", "/token", endpoints.token, cors=True),
    Route("POST OPTIONS", "/gcs_token", endpoints.gcs_token, cors=True, waits=True),
    Route("GET POST", "/activate", terms_pages.activate, popup=True),
    Route("GET POST", "/api/v1/tos/<terms_id:int>/accept", terms_pages.accept, popup=True),
    Route("GET", "/success", terms_pages.success),
    Route("GET", endpoint.PATH, endpoint.show, often=True),
)


class Target(NamedTuple):
    """What a request target names (RFC 9112, section 3.2).

    Attributes:
        route: None if there is no such route.
        arguments: the numbers in its path, by name.
        query: as it was sent.
    """

    route: Route | None
    arguments: Mapping[str, int]
    query: str


NO_TARGET = Target(None, {}, "")
_LONGEST_PATH = 512  # characters; a longer one names no route, whatever it is decoded to
_PARAMETER = re.compile(r"<([a-z_]+):int>")
_ABSOLUTE_FORM = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#]*")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub(r"(?P<\1>0|[1-9][0-9]{0,8})", path))


_FIXED = {route.path: route for route in ROUTES if "<" not in route.path}
_WITH_NUMBERS = tuple((_pattern(route.path), route) for route in ROUTES if "<" in route.path)


def resolve(request_target: str) -> Target:
    """The route that a request target names. Everybody who asks for the path of a request asks here.

    A segment is percent-decoded once, and nothing else is mended: an empty segment, ``.`` and ``..``, an encoded
    slash, a letter of the other case and a slash too many name no route. nginx, which counts requests by its own
    reading of a path, reads every path that names a route here as that route.

    Args:
        request_target: in origin-form or absolute-form, a byte a character.
    """
    path, _, query = request_target.partition("?")
    route = _FIXED.get(path)
    if route is not None:
        return Target(route, {}, query)
    if absolute := _ABSOLUTE_FORM.match(request_target):
        rest = request_target[absolute.end() :]
        return resolve(rest if rest.startswith("/") else f"/{rest}")
    if len(path) > _LONGEST_PATH:
        return Target(None, {}, query)
    if "%" in path:
        segments = [unquote(segment, "latin-1") for segment in path.split("/")]
        if any("/" in segment for segment in segments):
            return Target(None, {}, query)
        path = "/".join(segments)
        if route := _FIXED.get(path):
            return Target(route, {}, query)
    for pattern, route in _WITH_NUMBERS:
        if named := pattern.fullmatch(path):
            return Target(route, {name: int(text) for name, text in named.groupdict().items()}, query)
    return Target(None, {}, query)


KEY = "dsgserve.target"  # of an environ


def target_of(environ: dict[str, Any]) -> Target:
    """What the request of a WSGI environ names: what wire.py noted when it read the request line."""
    target = environ.get(KEY)
    if target is None:  # it did not come through wire.py
        target = environ[KEY] = resolve(f"{quote(environ['PATH_INFO'], encoding='latin-1')}?{environ['QUERY_STRING']}")
    return target
