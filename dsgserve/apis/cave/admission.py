"""Who may ask CAVE's routes. A browser that nobody is signed in with is sent to the sign-in; a program gets 401."""

from dataclasses import dataclass
from urllib.parse import urlencode

from bottle import HTTPResponse

from dsgctl.core import clock, people
from dsgctl.core.people import Viewer
from dsgserve.gateway import Gateway
from dsgserve.http.requests import is_navigation
from dsgserve.http.responses import Refusal, redirect, unauthorized
from dsgserve.http.route import Answer, Request
from dsgserve.login import authentication
from dsgserve.login.authentication import Login
from dsgserve.user_cache import hot_path
from dsgserve.user_cache.hot_path import ReadQuestion
from dsgserve.user_cache.question import Content

_NO_ADMIN = Refusal(403, "not_allowed", "requires admin privilege")


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who may look people up."""

    login: Login
    viewer: Viewer


def require_token(gateway: Gateway, request: Request[None]) -> Login | Answer:
    """A valid token anywhere on the request; else the sign-in for a navigation, and 401 for others."""
    login = authentication.authenticate_request(gateway, request.http)
    if isinstance(login, Login):
        return login
    return redirect_to_sign_in(request) if is_navigation(request.http) else unauthorized(login)


def redirect_to_sign_in(request: Request[None]) -> HTTPResponse:
    """The sign-in, which comes back to this address, with the prefix that the client asked under."""
    return redirect("/auth/login?" + urlencode({"next": request.here}), 302)


def require_some_admin(gateway: Gateway, request: Request[None]) -> Asker | Answer:
    """A gateway admin, a service account, a lead of any group, or an admin of any dataset; else 403."""
    login = require_token(gateway, request)
    if not isinstance(login, Login):
        return login
    viewer = people.find_viewer(gateway.reader, login.principal, clock.now())
    return Asker(login, viewer) if viewer is not None else _NO_ADMIN


def require_answer(gateway: Gateway, request: Request[None], read: ReadQuestion) -> Content | Answer:
    """A valid token, as the answer to the question of the request; else as `require_token`."""
    if is_navigation(request.http):
        login = require_token(gateway, request)
        if not isinstance(login, Login):
            return login
    return hot_path.admit(gateway, request, read)
