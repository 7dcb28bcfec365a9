"""Signing in through the OpenID provider, and out. contract.md, "Login"."""

import logging
from urllib.parse import quote, urlencode

from bottle import HTTPResponse, LocalRequest

from dsgctl.core import service_accounts, tokens
from dsgctl.core.change import change
from dsgctl.core.errors import Conflict, Invalid, NotAllowed
from dsgctl.core.logins import Identity, sign_in
from dsgserve import logs, pending, redirects
from dsgserve.cookies import clear_login, set_login
from dsgserve.dev_login import DevProvider
from dsgserve.gateway import Gateway
from dsgserve.oidc import LoginFailed, Provider
from dsgserve.outbound import Unavailable
from dsgserve.pending import Pending
from dsgserve.replies import json_error, json_reply, message_page, redirect
from dsgserve.requests import bearer_token, cookie_token, header, parameter, presented_token, wants_page

log = logging.getLogger("dsgserve.login")

CALLBACK = "/accounts/google/login/callback/"  # registered at the provider by those who move here
_LONGEST_TARGET = 1500  # characters; several must fit into one cookie

# Why a login failed -> what the page says. Each page has a link to start again.
_SAID = {
    "denied": "The sign-in was stopped before it was finished.",
    "stale": "This sign-in took too long, was finished already, or was begun in another browser.",
    "refused": "The sign-in provider did not accept our question about you.",
    "bad_token": "The sign-in provider's answer could not be trusted.",
    "unverified_email": "The sign-in provider has not verified your email address. Verify it there first.",
    "other_identity": "Your email address is known here under another sign-in identity. "
    "Ask the people who run this gateway to bind your account anew.",
    "disabled": "Your account is disabled. Ask the people who run this gateway.",
    "domain": "Accounts of your email's domain are not let in here. Sign in with another account.",
    "bad_email": "Your email address cannot be used here. Sign in with another account.",
}


def start(gateway: Gateway, request: LocalRequest) -> HTTPResponse:
    """GET /auth/login?next=/path: send the browser to the provider."""
    asked = request.query.getunicode("next") or "/"
    target = redirects.local_path(asked)
    if target is None or len(target) > _LONGEST_TARGET:
        return _bad_target(request, "next")
    return _send_to_provider(gateway, request, target, again="again" in request.query)


def authorize(gateway: Gateway, request: LocalRequest) -> HTTPResponse:
    """GET or POST /api/v1/authorize?redirect=URL: the same login, as CAVE, Clio and neuPrint start it."""
    config = gateway.config
    asked = parameter(request, "redirect") or "/"
    target = redirects.local_path(asked) or redirects.elsewhere(config, asked)
    if target is None or len(target) > _LONGEST_TARGET:
        return _bad_target(request, "redirect")
    if gateway.provider is None:
        return _not_configured(request)
    concerning = {key: value for key in ("service", "dataset") if (value := parameter(request, key))}
    if header(request, "X-Requested-With"):
        # Our own address rather than the provider's: the browser that opens it is the one whose
        # cookie must hold the pending login, and a script's answer could not give it one.
        query = urlencode({"redirect": target, **concerning})
        return json_reply({"authorization_url": f"{config.origin}/api/v1/authorize?{query}"})
    if concerning:
        target = "/activate?" + urlencode({**concerning, "redirect": target})
    return _send_to_provider(gateway, request, target)


def _send_to_provider(gateway: Gateway, request: LocalRequest, target: str, *, again: bool = False) -> HTTPResponse:
    if gateway.provider is None:
        return _not_configured(request)
    hints = {"prompt": "select_account"} if again else {}
    presented = presented_token(request, gateway.config.token_names)
    known = gateway.check(presented).principal if presented and not again else None
    if known is not None and known.kind == "user":
        hints["login_hint"] = known.email
    login = pending.new(target)
    if isinstance(gateway.provider, DevProvider):
        reply = gateway.provider.choose(login, CALLBACK)
        gateway.pending.add(reply, request, login)
        return reply
    try:
        with gateway.slow.one(wait=0.1):
            url = gateway.provider.authorization_url(
                _redirect_uri(gateway), state=login.state, nonce=login.nonce, challenge=login.challenge, **hints
            )
    except Unavailable as error:
        return _unavailable(error, target)
    reply = redirect(url, 302)
    gateway.pending.add(reply, request, login)
    return reply


def _redirect_uri(gateway: Gateway) -> str:
    return gateway.config.origin + CALLBACK  # from the settings, never from the request's Host


def finish(gateway: Gateway, request: LocalRequest) -> HTTPResponse:
    """GET /accounts/google/login/callback/ and /api/v1/oauth2callback: the provider sends the browser back."""
    if gateway.provider is None:
        return _not_configured(request)
    login = gateway.pending.find(request, request.query.getunicode("state") or "")
    if login is None:
        return _failed(gateway, "stale", "state", "/")
    reply = _finished(gateway, gateway.provider, request, login)
    gateway.pending.forget(reply, request, login)
    return reply


def _finished(
    gateway: Gateway, provider: Provider | DevProvider, request: LocalRequest, login: Pending
) -> HTTPResponse:
    if request.query.get("error"):
        return _failed(gateway, "denied", "the provider says so", login.target)
    code = request.query.getunicode("code") or ""
    try:
        with gateway.slow.one(wait=0.1):
            identity = provider.identify(code, _redirect_uri(gateway), verifier=login.verifier, nonce=login.nonce)
    except LoginFailed as error:
        return _failed(gateway, error.reason, error.detail, login.target)
    except Unavailable as error:
        return _unavailable(error, login.target)
    return _signed_in(gateway, identity, login.target)


def _signed_in(gateway: Gateway, identity: Identity, target: str) -> HTTPResponse:
    config = gateway.config
    domain = identity.email.rpartition("@")[2].lower()
    if config.allowed_email_domains and domain not in config.allowed_email_domains:
        return _failed(gateway, "domain", domain, target)
    try:
        with change(gateway.writer, f"user:{identity.email}") as opened:
            user, token = sign_in(opened, identity, default_groups=config.default_groups)
    except Conflict:
        return _failed(gateway, "other_identity", identity.subject, target)
    except NotAllowed:
        return _failed(gateway, "disabled", identity.subject, target)
    except Invalid:
        return _failed(gateway, "bad_email", identity.subject, target)
    logs.about(principal=user.id)
    log.info("signed in")
    gateway.tally.add("logins")
    reply = redirect(redirects.with_token(target, token, config))
    set_login(reply, config, token)
    return reply


def logout(gateway: Gateway, request: LocalRequest) -> HTTPResponse:
    """GET or POST /api/v1/logout, POST /logout: end the presented login; never an API token.

    A token in the query is not heeded: a link must not be able to end a login that it carries.
    """
    if header(request, "Sec-Fetch-Site") == "cross-site" and header(request, "Sec-Fetch-Mode") != "navigate":
        return json_error(403, "cross_site", "another site's page cannot end a login by itself")
    presented = cookie_token(request, gateway.config.token_names) or bearer_token(request)
    if presented is not None:
        checked = gateway.check(presented)
        if checked.token is not None and checked.principal is not None and checked.token.kind == "login":
            with change(gateway.writer, service_accounts.label(checked.principal)) as opened:
                tokens.revoke(opened, checked.token.id)
    reply = redirect("/") if wants_page(request) else json_reply({"status": "signed out"})
    reply.set_header("Cache-Control", "no-store")
    clear_login(reply, gateway.config)
    return reply


# What a person reads when it does not work. Each ends here: nothing sends them on by itself, so nothing loops.


def _failed(gateway: Gateway, reason: str, detail: str, target: str) -> HTTPResponse:
    gateway.tally.add("logins_failed")
    log.warning("login failed: %s (%s)", reason, detail)
    return message_page(403, "You are not signed in", _SAID[reason], **_start_again(target))


def _unavailable(error: Unavailable, target: str) -> HTTPResponse:
    log.error("login: the provider is not available: %s", error)
    text = "The sign-in provider does not answer at the moment. Try again in a minute."
    reply = message_page(503, "Signing in is not possible now", text, **_start_again(target))
    reply.set_header("Retry-After", "30")
    return reply


def _start_again(target: str) -> dict[str, str]:
    if target.startswith("/"):
        return {"Sign_in_again": f"/auth/login?again=1&next={quote(target, safe='')}"}
    return {"Sign_in_again": f"/api/v1/authorize?redirect={quote(target, safe='')}"}


def _bad_target(request: LocalRequest, name: str) -> HTTPResponse:
    text = f"The address to go to afterwards ('{name}') is not one that this gateway sends people to."
    if wants_page(request):
        return message_page(400, "That address is not allowed", text, To_the_start="/")
    return json_error(400, "invalid_redirect", text)


def _not_configured(request: LocalRequest) -> HTTPResponse:
    text = "This gateway cannot sign people in: its operators have not registered it with an OpenID provider yet."
    if wants_page(request):
        return message_page(503, "Signing in is not set up", text, To_the_start="/")
    return json_error(503, "login_unavailable", text)
