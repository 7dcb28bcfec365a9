"""The page on which a person allows a registered client to have a key, and the page that hands the key over."""

import json
from collections.abc import Mapping

from bottle import HTTPResponse

from dsgctl.core import clients, clock, delegated_keys
from dsgctl.core.transaction import begin_change
from dsgctl.store.models import Client
from dsgserve.clients.key_window import Decision, KeyWindow, NotRegistered
from dsgserve.gateway import Gateway
from dsgserve.http.responses import Audience, Refusal, another_account, page
from dsgserve.http.route import Request

Messages = Mapping[str, object]  # origin -> what the page posts to it


def show(gateway: Gateway, window: KeyWindow, *, may_change: bool) -> HTTPResponse:
    """Ask the person; hand over a key at once to a client about which they do not want to be asked again.

    Args:
        may_change: whether the request is deliberate, so that it may make a key.
    """
    at, principal = clock.now(), window.login.principal
    asks_not = all(delegated_keys.needs_no_consent(gateway.reader, principal, client, at) for client in window.clients)
    if asks_not and may_change:
        return _hand_over(gateway, window)
    name = window.clients[0].name if len(window.clients) == 1 else "this application"
    response = page(
        "consent",
        title=f"Allow {name} to act for you?",
        clients=[(client, clients.find_owner(gateway.reader, client)) for client in window.clients],
        end=at + delegated_keys.LIFE,
        fields=window.fields,
        proof=window.sign(gateway),
        account=principal.label,
        another=another_account(window.here),
    )
    return _protect(response)


def decide(gateway: Gateway, request: Request[Decision]) -> HTTPResponse:
    """POST /login: hand over the key, or nothing."""
    decision = request.caller
    if not decision.allows:
        return _post_messages({}, "Nothing was shared", "The application got no key. You can close this window.")
    return _hand_over(gateway, decision.window, remember=decision.remember)


def refuse(gateway: Gateway, unknown: NotRegistered) -> HTTPResponse | Refusal:
    """The answer to a page of which no enabled client is registered: it gets no key.

    A viewer gets no message at all, because it takes any message for its key.
    """
    place = f"The application at {unknown.origin}" if unknown.origin else "An application that does not name itself"
    text = f"{place} may not have a key of your account. Ask {gateway.site.contact_name} to register it."
    title = "This application is not registered"
    if unknown.for_viewer:
        return Refusal(403, "not_registered", text, Audience.PEOPLE, title)
    return _post_messages({unknown.origin: "badorigin"}, title, text, closes=True)


def _hand_over(gateway: Gateway, window: KeyWindow, *, remember: bool = False) -> HTTPResponse:
    """Make a key for each client that the window can be of, and post each to its own origin.

    The browser delivers a message only to the page that opened the window, and only if it has that origin.
    """
    principal = window.login.principal
    messages: dict[str, object] = {}
    with begin_change(gateway.writer, f"user:{principal.email}") as change:
        for client in window.clients:
            key = delegated_keys.mint(change, principal, client)
            messages[client.origin] = _message(gateway, client, key, for_viewer=window.for_viewer)
            if remember:
                delegated_keys.remember_consent(change, principal, client)
    name = window.clients[0].name if len(window.clients) == 1 else "The application"
    text = f"{name} can act for you until its key ends. You can close this window."
    # A viewer closes the window itself; one that closes first would count as given up.
    return _post_messages(messages, "Done", text, closes=not window.for_viewer)


def _message(gateway: Gateway, client: Client, key: str, *, for_viewer: bool) -> dict[str, object]:
    return {"token": key, "app_urls": clients.list_app_urls(gateway.reader, client)} if for_viewer else {"token": key}


def _post_messages(messages: Messages, title: str, text: str, *, closes: bool = True) -> HTTPResponse:
    response = page("handover", title=title, text=text, messages=json.dumps(list(messages.items())), closes=closes)
    return _protect(response)


def _protect(response: HTTPResponse) -> HTTPResponse:
    response.set_header("Cache-Control", "no-store, private")
    # With no-referrer, the browser would send Origin: null with the form.
    response.set_header("Referrer-Policy", "same-origin")
    return response
