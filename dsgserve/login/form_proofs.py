"""Signed proofs in forms and links: that a page of this server showed something to a certain login.

A proof counts for the login that the page was shown to, for what it showed, and for `READING_TIME`. The page names what
it showed: the ids of terms, the origin of a client.
"""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

from bottle import BaseRequest

from dsgctl.core import clock
from dsgserve.gateway import Gateway
from dsgserve.http import signing
from dsgserve.http.responses import Audience, Refusal
from dsgserve.http.signing import Purpose
from dsgserve.login import authentication
from dsgserve.login.authentication import Login

READING_TIME = timedelta(hours=12)


def sign(gateway: Gateway, login: Login, **content: int | str) -> str:
    """The proof that a page shows this content to this login."""
    return signing.sign(gateway.secret_keys, Purpose.FORM, _values(login, content), clock.now() + READING_TIME)


def verify(gateway: Gateway, login: Login, proof: str, **content: int | str) -> bool:
    """Whether a page of this server showed exactly this content to this login."""
    try:
        return signing.verify(gateway.secret_keys, Purpose.FORM, proof, clock.now()) == _values(login, content)
    except signing.Refused:
        return False


def require_login(
    gateway: Gateway, request: BaseRequest, is_shown_to: Callable[[Login], bool], *, page: str, again: str
) -> Login | Refusal:
    """The login of a cookie to which a page was shown: what an admission of `Guard.FORM` returns.

    Args:
        is_shown_to: verifies the proofs of the form for one login.
        page: the page in words, after a verb; ``again`` is its address, a path of this server.

    Returns:
        The login. Refused are 401 a browser that is signed out, and 403 a form without a valid proof.
    """
    logins = authentication.authenticate_all_cookies(gateway, request)
    if not logins:
        # A page, not a redirect: form-action of the page that sent the form does not allow the provider.
        text = f"You were signed out, so nothing was recorded. Sign in, and open {page} again."
        links = {"sign_in": f"/auth/login?next={quote(again, safe='')}"}
        return Refusal(401, "signed_out", text, Audience.PEOPLE, "Sign in again", links)
    login = next(filter(is_shown_to, logins), None)
    if login is None:
        text = "This page was opened too long ago, or with another account, so nothing was recorded."
        links = {f"open_{page.replace(' ', '_')}": again}
        return Refusal(403, "invalid_form", text, Audience.PEOPLE, f"Please open {page} again", links)
    return login


def _values(login: Login, content: dict[str, int | str]) -> dict[str, int | str]:
    return {"token": login.token.id, **content}
