"""Signing in through the OpenID provider, and out. contract.md, "Login"."""

import logging
from urllib.parse import quote, urlencode

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import service_accounts, tokens, validation
from dsgctl.core.errors import Conflict, Invalid, NotAllowed
from dsgctl.core.logins import Identity, sign_in
from dsgctl.core.transaction import begin_change
from dsgserve.gateway import Gateway
from dsgserve.http import redirects
from dsgserve.http.cookies import clear_login, set_login
from dsgserve.http.redirects import TargetRefused, TargetTooLong
from dsgserve.http.requests import (
    bearer_token,
    cookie_tokens,
    header,
    parameter,
    present_token,
    query_value,
    wants_page,
)
from dsgserve.http.responses import json_error, json_reply, message_page, redirect
from dsgserve.login import authentication, login_state
from dsgserve.login.authentication import Login
from dsgserve.login.dev_login import DevProvider
from dsgserve.login.login_state import LoginState
from dsgserve.login.oidc import LoginFailed, Provider
from dsgserve.process import logs
from dsgserve.process.outbound import UpstreamUnavailable, deadline_of

log = logging.getLogger("dsgserve.login")

CALLBACK = "/accounts/google/login/callback/"  # registered at the provider by those who move here

# Why a login failed -> what the page says: what happened, and what to do. Each page has a link to start again.
_SAID = {
    "denied": "The sign-in was stopped before it was finished. Sign in again to go on.",
    "stale": "This sign-in took longer than ten minutes, was finished already, or was started in another browser. "
    "Sign in again.",
    "refused": "The sign-in provider did not accept this sign-in. Sign in again; if this page comes back, ask "
    "{helpers}.",
    "bad_token": "The sign-in provider's answer could not be verified. Sign in again; if this page comes back, ask "
    "{helpers}.",
    "unverified_email": "The sign-in provider has not verified your email address. Verify it there first.",
    "other_identity": "{email} is known here under another sign-in identity, perhaps from before your account at the "
    "provider was made anew. Ask {helpers} to bind your account to the new one, or sign in with another account.",
    "disabled": "The account {email} is disabled here. Ask {helpers}, or sign in with another account.",
    "domain": "{email} cannot sign in here: this site takes no accounts of that domain. Sign in with another account.",
    "bad_email": "{email} cannot be used here. Sign in with another account.",
}


def start(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET /auth/login?next=/path: send the browser to the provider."""
    asked = query_value(request, "next") or "/"
    try:
        target = redirects.require_target(gateway.config, asked, "next", here=True)
        return _send_to_provider(gateway, request, target, again=query_value(request, "again") is not None)
    except TargetRefused as error:
        return _refuse_target(request, error)


def authorize(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET or POST /api/v1/authorize?redirect=URL: the same login, as CAVE, Clio and neuPrint start it.

    A POST may have its parameters in a form or in a JSON object.
    """
    try:
        return _authorize(gateway, request)
    except TargetRefused as error:
        return _refuse_target(request, error)


def _authorize(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    config = gateway.config
    target = redirects.require_target(config, parameter(request, "redirect") or "/", "redirect")
    if gateway.provider is None:
        return _refuse_unconfigured(request)
    concerning = {key: value for key in ("service", "dataset") if (value := parameter(request, key))}
    if header(request, "X-Requested-With"):
        # Our own address rather than the provider's: the browser that opens it is the one whose
        # cookie must hold the pending login, and a script's answer could not give it one.
        query = urlencode({"redirect": target, **concerning})
        return json_reply({"authorization_url": f"{config.origin}/api/v1/authorize?{query}"})
    if concerning:
        target = "/activate?" + urlencode({**concerning, "redirect": target})
    return _send_to_provider(gateway, request, target)


def _send_to_provider(gateway: Gateway, request: BaseRequest, target: str, *, again: bool = False) -> HTTPResponse:
    """Raises:
    TargetTooLong: the target does not fit into the cookie that keeps the login.
    """
    if gateway.provider is None:
        return _refuse_unconfigured(request)
    if not gateway.login_states.fits(target):
        raise TargetTooLong("the address to go to afterwards is too long")
    hints = {"prompt": "select_account"} if again else {}
    known = None if again else authentication.authenticate_request(gateway, request)
    if isinstance(known, Login) and known.principal.kind == "user":
        hints["login_hint"] = known.principal.email
    login = login_state.begin_login(target)
    if isinstance(gateway.provider, DevProvider):
        reply = gateway.provider.choose(login, CALLBACK)
        gateway.login_states.add(reply, request, login)
        return reply
    try:
        with gateway.outbound_limit.acquire(wait=0.1):
            url = gateway.provider.authorization_url(
                _redirect_uri(gateway),
                state=login.state,
                nonce=login.nonce,
                challenge=login.challenge,
                deadline=deadline_of(request),
                **hints,
            )
    except UpstreamUnavailable as error:
        return _unavailable_page(error, target)
    reply = redirect(url, 302)
    gateway.login_states.add(reply, request, login)
    return reply


def _redirect_uri(gateway: Gateway) -> str:
    return gateway.config.origin + CALLBACK  # from the settings, never from the request's Host


def finish(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET /accounts/google/login/callback/ and /api/v1/oauth2callback: the provider sends the browser back."""
    if gateway.provider is None:
        return _refuse_unconfigured(request)
    login = gateway.login_states.find(request, query_value(request, "state") or "")
    if login is None:
        return _failure_page(gateway, "stale", "state", "/")
    reply = _identify(gateway, gateway.provider, request, login)
    gateway.login_states.forget(reply, request, login)
    return reply


def _identify(
    gateway: Gateway, provider: Provider | DevProvider, request: BaseRequest, login: LoginState
) -> HTTPResponse:
    if query_value(request, "error"):
        return _failure_page(gateway, "denied", "the provider says so", login.target)
    code = query_value(request, "code") or ""
    try:
        with gateway.outbound_limit.acquire(wait=0.1):
            identity = provider.identify(
                code, _redirect_uri(gateway), verifier=login.verifier, nonce=login.nonce, deadline=deadline_of(request)
            )
    except LoginFailed as error:
        return _failure_page(gateway, error.reason, error.detail, login.target)
    except UpstreamUnavailable as error:
        return _unavailable_page(error, login.target)
    return _sign_in(gateway, identity, login.target)


def _sign_in(gateway: Gateway, identity: Identity, target: str) -> HTTPResponse:
    config = gateway.config
    domain = validation.email_key(identity.email.rpartition("@")[2])
    if config.allowed_email_domains and domain not in config.allowed_email_domains:
        return _failure_page(gateway, "domain", domain, target, email=identity.email)
    try:
        with begin_change(gateway.writer, f"user:{identity.email}") as opened:
            user, token = sign_in(opened, identity, default_groups=config.default_groups)
    except Conflict:
        return _failure_page(gateway, "other_identity", identity.subject, target, email=identity.email)
    except NotAllowed:
        return _failure_page(gateway, "disabled", identity.subject, target, email=identity.email)
    except Invalid:
        return _failure_page(gateway, "bad_email", identity.subject, target, email=identity.email)
    logs.about(principal=user.id)
    log.info("signed in")
    gateway.metrics.add("logins")
    reply = redirect(redirects.with_token(target, token, config))
    set_login(reply, config, token)
    return reply


def logout(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET or POST /api/v1/logout, POST /logout: end every presented login; never an API token.

    Whether the request may do that at all is seen to by app.py. A token in the query is not heeded: a link must not
    be able to end a login that it carries.
    """
    for token in (*cookie_tokens(request, gateway.config.token_names), bearer_token(request)):
        status = gateway.check(present_token(request, token)) if token else None
        if status and status.token is not None and status.principal is not None and status.token.kind == "login":
            with begin_change(gateway.writer, service_accounts.format_label(status.principal)) as opened:
                tokens.revoke(opened, status.token.id)
    reply = _after_logout(gateway, request)
    reply.set_header("Cache-Control", "no-store")
    clear_login(reply, gateway.config)
    return reply


def _after_logout(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """Where to go on to, if that is said (contract.md, "Logout"); nowhere else but to our own first page."""
    try:
        asked = parameter(request, "redirect")
        if asked is None:
            return redirect("/") if wants_page(request) else json_reply({"status": "logged out"})
        return redirect(redirects.require_target(gateway.config, asked, "redirect"), 302)
    except Invalid:  # also of what cannot be read: the login has ended, and its cookie must go too
        return redirect("/", 302)


# What a person reads when it does not work. Each ends here: nothing sends them on by itself, so nothing loops.


def _failure_page(gateway: Gateway, reason: str, detail: str, target: str, *, email: str = "") -> HTTPResponse:
    """
    Args:
        detail: for the log, which names nobody. ``email``: of the account that was chosen, if it is known.
    """
    gateway.metrics.add("logins_failed")
    log.warning("login failed: %s (%s)", reason, detail)
    text = _SAID[reason].format(helpers=gateway.site.helpers, email=email or "This account")
    return message_page(403, "You are not signed in", text, **_restart_link(target))


def _unavailable_page(error: UpstreamUnavailable, target: str) -> HTTPResponse:
    log.error("login: the provider is not available: %s", error)
    text = "The sign-in provider does not answer at the moment. Sign in again in a minute."
    reply = message_page(503, "Signing in is not possible now", text, **_restart_link(target))
    reply.set_header("Retry-After", "30")
    return reply


def _restart_link(target: str) -> dict[str, str]:
    if target.startswith("/"):
        return {"Sign_in_again": f"/auth/login?again=1&next={quote(target, safe='')}"}
    return {"Sign_in_again": f"/api/v1/authorize?redirect={quote(target, safe='')}"}


def _refuse_target(request: BaseRequest, error: TargetRefused) -> HTTPResponse:
    text = f"{error.message[0].upper()}{error.message[1:]}."
    if wants_page(request):
        title = "That address is too long" if isinstance(error, TargetTooLong) else "That address is not allowed"
        return message_page(400, title, text, go_to_the_start="/")
    return json_error(400, error.code, text)


def _refuse_unconfigured(request: BaseRequest) -> HTTPResponse:
    text = "Nobody can sign in here yet: this site is not registered with a sign-in provider."
    if wants_page(request):
        return message_page(503, "Signing in is not set up", text, go_to_the_start="/")
    return json_error(503, "login_unavailable", text)
