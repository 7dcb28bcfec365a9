"""The admissions that routes declare (http/route.py): who may ask. Each returns the caller, or an answer instead."""

from urllib.parse import urlencode

from bottle import HTTPResponse

from dsgctl.core import people
from dsgctl.core.token_checks import TokenError, TokenStatus
from dsgserve.gateway import Gateway
from dsgserve.http.requests import bearer_token, cookie_tokens, header, present_token
from dsgserve.http.responses import Audience, Refusal, redirect, unauthorized
from dsgserve.http.route import Request
from dsgserve.login import authentication
from dsgserve.login.authentication import Login


def anybody(gateway: Gateway, request: Request[None]) -> None:
    """No token is read."""


def optional_token(gateway: Gateway, request: Request[None]) -> Login | TokenError | None:
    """Everybody; the token can be anywhere on the request. For what is shown, not for what is done."""
    return authentication.authenticate_request(gateway, request.http)


def require_token(gateway: Gateway, request: Request[None]) -> Login | Refusal:
    """A valid token anywhere on the request, else 401."""
    login = authentication.authenticate_request(gateway, request.http)
    return login if isinstance(login, Login) else unauthorized(login)


def valid_or_no_token(gateway: Gateway, request: Request[None]) -> Login | Refusal | None:
    """A valid token, or none: nobody who tries to identify themselves and fails counts as nobody."""
    login = authentication.authenticate_request(gateway, request.http)
    if login is None and header(request.http, "Authorization"):  # of another scheme, or without a token
        return unauthorized(TokenError.UNKNOWN)
    return login if login is None or isinstance(login, Login) else unauthorized(login)


_OTHER_PLACE = Refusal(
    403, "bearer_required", "send the token in a header: Authorization: Bearer TOKEN", Audience.PROGRAMS
)
NOT_OWN = Refusal(403, "not_a_person", "only a person manages tokens, with a token of their own", Audience.PROGRAMS)


def require_own_token(gateway: Gateway, request: Request[None]) -> Login | Refusal:
    """A person's token in the header, which no page of another site can send: for what makes and ends tokens.

    Not of a service account, and not a key that an application was handed.
    """
    if bearer_token(request.http) is None:
        elsewhere = require_token(gateway, request)
        return _OTHER_PLACE if isinstance(elsewhere, Login) else elsewhere
    login = authentication.authenticate_bearer(gateway, request.http)
    if not isinstance(login, Login):
        return unauthorized(login)
    is_own = not people.is_service_account(login.principal) and login.token.kind in ("api", "login")
    return login if is_own else NOT_OWN


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
