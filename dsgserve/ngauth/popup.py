"""GET /login: the window that a viewer opens to sign a person in. contract.md, "GET /login"."""

import json
import logging
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import clock, web_origins
from dsgctl.core.errors import Invalid
from dsgctl.core.token_checks import TokenError
from dsgctl.store import StoreError
from dsgserve.clients import consent, key_window
from dsgserve.clients.key_window import KeyWindow, NotRegistered
from dsgserve.gateway import Gateway
from dsgserve.http import origins
from dsgserve.http.requests import query_value, query_values, wants_page
from dsgserve.http.responses import Refusal, another_account, json_reply, page
from dsgserve.http.route import Answer, Request
from dsgserve.login import authentication
from dsgserve.login.admission import sign_in_first
from dsgserve.login.authentication import Login
from dsgserve.ngauth.user_tokens import sign_user_token
from dsgserve.terms import page_content, pending_terms
from dsgserve.terms.page_content import Navigation

log = logging.getLogger("dsgserve.ngauth")

_INVALID_ORIGIN = Refusal(
    400,
    "invalid_origin",
    "This address is for viewers: it must name the viewer that opened it, as origin=https://HOST. "
    "Go back to the viewer and open the dataset there again.",
    title="No viewer opened this page",
)


@dataclass(frozen=True, slots=True)
class Popup:
    """The window of a viewer.

    Attributes:
        origin: of the viewer, which is allowed.
        login: the login of the cookie.
    """

    origin: str
    login: Login


Caller = Popup | KeyWindow | NotRegistered | Login | TokenError | None


def admit(gateway: Gateway, request: Request[None]) -> Caller | Answer:
    """With ``?origin=``, the window of an allowed viewer, after a sign-in; without it, everybody.

    Raises:
        Invalid: the request asks for another kind of token.
    """
    if key_window.is_key_window(gateway, request.http):
        return key_window.admit(gateway, request)
    values = query_values(request.http, "origin")
    if not values:
        return authentication.authenticate_request(gateway, request.http)
    origin = web_origins.parse(values[0]) if len(values) == 1 else None
    if origin is None:
        return _INVALID_ORIGIN
    if query_value(request.http, "token") is not None:
        raise Invalid("do not send 'token': this page issues one kind of token only")
    if not origins.is_allowed(origin, gateway.config.ngauth_origins):
        text = (
            f"The viewer at {origin} may not open datasets of this site. Ask {gateway.site.contact_name} to allow it."
        )
        return _message_page(origin, "badorigin", "This viewer is not allowed", text)
    login = sign_in_first(gateway, request)
    return Popup(origin, login) if isinstance(login, Login) else login


def show(gateway: Gateway, request: Request[Caller]) -> HTTPResponse | Refusal:
    """With ``?origin=``, post a user token to the viewer, after the pending terms; without it, the login status.

    A registered client can ask for a delegated key instead (clients/consent.py).
    """
    popup = request.caller
    if isinstance(popup, KeyWindow):
        return consent.show(gateway, popup, may_change=request.may_change)
    if isinstance(popup, NotRegistered):
        return consent.refuse(gateway, popup)
    if not isinstance(popup, Popup):
        return _status_page(request.http, popup)
    here, login = request.here, popup.login
    pending = pending_terms.list_unpostponed(gateway, login)
    if pending and not _skips_terms(gateway, request, login):
        proof = pending_terms.sign_postponement(gateway, login, pending)
        skip = f"{here}&{urlencode({'terms': 'later', 'form': proof})}"
        viewer = urlsplit(popup.origin).netloc
        return page_content.terms_page(
            gateway,
            login,
            pending,
            Navigation(here, here, skip),
            title="Terms to accept",
            lead=f"{viewer} can open a dataset for you once you accept the terms of that dataset.",
        )
    token = sign_user_token(gateway, login, clock.now())
    text = "You can close this window, and continue in the viewer."
    return _message_page(popup.origin, {"token": token}, "You are signed in", text, account=login.principal.label)


def _skips_terms(gateway: Gateway, request: Request[Caller], login: Login) -> bool:
    """Whether this request continues without the pending terms.

    With the proof of our page, the choice is recorded for this login. Without one it counts for this request only.
    """
    if query_value(request.http, "terms") != "later":
        return False
    proof = query_value(request.http, "form")
    if not proof or not request.may_change:
        return True
    try:
        return pending_terms.postpone(gateway, login, proof)
    except StoreError as error:  # on a full disk the choice is not recorded, but the person can continue
        log.warning("cannot record that terms are postponed: %s", error.message)
        return True


def _message_page(
    origin: str, message: str | dict[str, str], title: str, text: str, *, account: str = ""
) -> HTTPResponse:
    """A page that posts a message to the viewer and closes."""
    again = another_account("/login?" + urlencode({"origin": origin})) if account else ""
    return page(
        "popup", title=title, text=text, origin=origin, message=json.dumps(message), account=account, another=again
    )


def _status_page(request: BaseRequest, login: Login | TokenError | None) -> HTTPResponse:
    label = login.principal.label if isinstance(login, Login) else None
    if wants_page(request):
        return page("status", title="Sign-in status", account=label, another=another_account("/login"))
    body = {"logged_in": True, "email": label} if label else {"logged_in": False}
    return json_reply(body, headers={"Cache-Control": "no-store"})
