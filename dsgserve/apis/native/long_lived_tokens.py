"""The long-lived token of a person, and its rotation. contract-services.md, "Tokens"."""

from bottle import HTTPResponse

from dsgctl.core import long_lived_tokens, tokens
from dsgctl.core.transaction import begin_change
from dsgserve.apis.own_tokens import find_end
from dsgserve.gateway import Gateway
from dsgserve.http.requests import cookie_tokens
from dsgserve.http.responses import NO_STORE, Audience, Refusal, json_reply
from dsgserve.http.route import Request
from dsgserve.login.admission import require_own_token
from dsgserve.login.authentication import Login

_ANOTHER_TOKEN = Refusal(
    403, "not_long_lived", "send the long-lived token itself in the header, and no cookie", Audience.PROGRAMS
)


def mint(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """GET /api/v1/long_lived_token: a new one at each call, because a stored token cannot be read."""
    principal = request.caller.principal
    with begin_change(gateway.writer, f"user:{principal.email}") as change:
        secret = long_lived_tokens.mint(change, principal, expires=find_end(request.caller))
    return json_reply({"token": secret}, headers=NO_STORE)


def require_itself(gateway: Gateway, request: Request[None]) -> Login | Refusal:
    """A long-lived token in the header and none in a cookie, so that it can only mean itself; else 401 or 403."""
    login = require_own_token(gateway, request)
    if not isinstance(login, Login):
        return login
    has_cookie = bool(cookie_tokens(request.http, gateway.config.token_names))
    return _ANOTHER_TOKEN if has_cookie or not long_lived_tokens.is_long_lived(login.token) else login


def rotate(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """POST /api/v1/long_lived_token/rotate: a new token in place of the one that was sent.

    Raises:
        Conflict: another request has just rotated or revoked it.
    """
    login = request.caller
    with begin_change(gateway.writer, f"user:{login.principal.email}") as change:
        _, secret = tokens.rotate(change, login.token.id)
    return json_reply({"token": secret}, headers=NO_STORE)
