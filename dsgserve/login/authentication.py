"""Turns the tokens on a request into a login: a valid token with its owner."""

from dataclasses import dataclass

from bottle import BaseRequest

from dsgctl.core.token_checks import TokenError
from dsgctl.store.models import Principal, Token
from dsgserve.gateway import Gateway
from dsgserve.http.requests import SentTokens, bearer_token, cookie_tokens, present_token, presented_tokens
from dsgserve.process import logs


@dataclass(frozen=True, slots=True)
class Login:
    """A valid token and its owner."""

    token: Token
    principal: Principal


def authenticate_cookie(gateway: Gateway, request: BaseRequest) -> Login | TokenError | None:
    """The login of the cookie. Actions use this one, since a link cannot carry a cookie.

    Returns:
        The login; the error of the first token; or None if there is no token.
    """
    return _find_login(gateway, request, _cookies_of(gateway, request))


def authenticate_all_cookies(gateway: Gateway, request: BaseRequest) -> tuple[Login, ...]:
    """The logins of all cookies. A page can have been shown to another than the first, because cookies have paths."""
    sent = _cookies_of(gateway, request)
    logins = (_check_token(gateway, request, token, in_cookie=sent.in_cookie) for token in sent.tokens)
    return tuple(login for login in logins if isinstance(login, Login))


def authenticate_request(gateway: Gateway, request: BaseRequest) -> Login | TokenError | None:
    """The login of the token anywhere on the request, in the order of contract.md, "The token on a request".

    For pages that show something, not for actions: a link can carry a token.
    """
    return _find_login(gateway, request, presented_tokens(request, gateway.config.token_names))


def authenticate_bearer(gateway: Gateway, request: BaseRequest) -> Login | TokenError | None:
    """The login of the token in the header, which no page of another site can send."""
    token = bearer_token(request)
    return _find_login(gateway, request, SentTokens((token,) if token else ()))


def _cookies_of(gateway: Gateway, request: BaseRequest) -> SentTokens:
    return SentTokens(cookie_tokens(request, gateway.config.token_names), in_cookie=True)


def _find_login(gateway: Gateway, request: BaseRequest, sent: SentTokens) -> Login | TokenError | None:
    """The first login among these tokens, else the error of the first token."""
    problem = None
    for token in sent.tokens:
        login = _check_token(gateway, request, token, in_cookie=sent.in_cookie)
        if isinstance(login, Login):
            logs.annotate(principal=login.principal.id)
            return login
        problem = problem or login
    return problem


def _check_token(gateway: Gateway, request: BaseRequest, token: str, *, in_cookie: bool) -> Login | TokenError:
    status = gateway.check(present_token(request, token, in_cookie=in_cookie))
    if status.token is None or status.principal is None or status.problem is not None:
        return status.problem or TokenError.UNKNOWN
    return Login(status.token, status.principal)
