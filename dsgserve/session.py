"""Who sits before a browser: the login that its cookie names."""

from dataclasses import dataclass

from bottle import LocalRequest

from dsgctl.core.tokens import Problem
from dsgctl.store.models import Principal, Token
from dsgserve import logs
from dsgserve.gateway import Gateway
from dsgserve.requests import cookie_token, presented_token


@dataclass(frozen=True, slots=True)
class Login:
    """A usable token and its owner."""

    token: Token
    principal: Principal


def of_cookie(gateway: Gateway, request: LocalRequest) -> Login | Problem | None:
    """The login of the cookie alone: what a page may act upon, since a link cannot carry it.

    Returns:
        The login, why there is none, or None if there is no cookie.
    """
    return _checked(gateway, cookie_token(request, gateway.config.token_names))


def of_request(gateway: Gateway, request: LocalRequest) -> Login | Problem | None:
    """The login of the token on the request, wherever it stands: what may be shown upon."""
    return _checked(gateway, presented_token(request, gateway.config.token_names))


def _checked(gateway: Gateway, presented: str | None) -> Login | Problem | None:
    if presented is None:
        return None
    checked = gateway.check(presented)
    if checked.token is None or checked.principal is None or checked.problem is not None:
        return checked.problem
    logs.about(principal=checked.principal.id)
    return Login(checked.token, checked.principal)
