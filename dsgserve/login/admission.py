"""The admissions that routes declare (http/route.py): who may ask. Each returns the caller, or an answer instead."""

from urllib.parse import urlencode

from bottle import HTTPResponse

from dsgctl.core.token_checks import TokenError, TokenStatus
from dsgserve.gateway import Gateway
from dsgserve.http.requests import bearer_token, cookie_tokens, present_token
from dsgserve.http.responses import Refusal, redirect, unauthorized
from dsgserve.http.route import Request
from dsgserve.login import authentication
from dsgserve.login.authentication import Login


def anybody(gateway: Gateway, request: Request[None]) -> None:
    """No token is read."""


def optional_token(gateway: Gateway, request: Request[None]) -> Login | TokenError | None:
    """Everybody; the token can be anywhere on the request. For what is shown, not for what is done."""
    return authentication.authenticate_request(gateway, request.http)


def require_cookie(gateway: Gateway, request: Request[None]) -> Login | Refusal:
    """A valid token in the cookie, else 401."""
    login = authentication.authenticate_cookie(gateway, request.http)
    return login if isinstance(login, Login) else unauthorized(login)


def sign_in_first(gateway: Gateway, request: Request[None]) -> Login | HTTPResponse:
    """A valid token in the cookie, else the sign-in, which comes back to this address."""
    login = authentication.authenticate_cookie(gateway, request.http)
    return login if isinstance(login, Login) else redirect("/auth/login?" + urlencode({"next": request.here}))


def every_token(gateway: Gateway, request: Request[None]) -> tuple[TokenStatus, ...]:
    """Everybody; the tokens of the cookies and the header, valid or not. Not of the query: any link can carry one."""
    bearer = bearer_token(request.http)
    tokens = (*cookie_tokens(request.http, gateway.config.token_names), *((bearer,) if bearer else ()))
    return tuple(gateway.check(present_token(request.http, token)) for token in tokens)
