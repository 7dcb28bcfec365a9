"""Signing in through the OpenID provider, and out. contract.md, "Login"."""

import logging
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import principals, tokens, validation
from dsgctl.core.errors import Conflict, Invalid, NotAllowed
from dsgctl.core.logins import Identity, sign_in
from dsgctl.core.transaction import begin_change
from dsgctl.oauth_client import CALLBACK_PATH
from dsgserve.gateway import Gateway
from dsgserve.http import redirects
from dsgserve.http.cookies import clear_login, set_login
from dsgserve.http.redirects import TargetTooLong
from dsgserve.http.requests import header, parameter, query_value, wants_page
from dsgserve.http.responses import Audience, Refusal, json_reply, redirect, render
from dsgserve.http.route import Answer, Request
from dsgserve.login import authentication, login_state
from dsgserve.login.authentication import Login
from dsgserve.login.dev_login import DevProvider
from dsgserve.login.login_state import LoginState
from dsgserve.login.oidc import LoginFailed, Provider
from dsgserve.process import logs
from dsgserve.process.outbound import UpstreamUnavailable, deadline_of

log = logging.getLogger("dsgserve.login")

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


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that this browser began, and that the provider sent back."""

    provider: Provider | DevProvider
    login: LoginState


def require_provider(gateway: Gateway, request: Request[None]) -> Provider | DevProvider | Refusal:
    """Everybody, once there is a provider; else 503."""
    return gateway.provider or _NO_PROVIDER


def require_login_state(gateway: Gateway, request: Request[None]) -> SignIn | Answer:
    """The browser whose cookie holds the login of this ``state``."""
    if gateway.provider is None:
        return _NO_PROVIDER
    login = gateway.login_states.find(request.http, query_value(request.http, "state") or "")
    return SignIn(gateway.provider, login) if login else _refuse_login(gateway, "stale", "state", "/")


def start(gateway: Gateway, request: Request[Provider | DevProvider]) -> HTTPResponse | Refusal:
    """GET /auth/login?next=/path: send the browser to the provider."""
    again = query_value(request.http, "again") is not None
    return _send_to_provider(gateway, request, request.target or "/", again=again)


def authorize(gateway: Gateway, request: Request[Provider | DevProvider]) -> HTTPResponse | Refusal:
    """GET or POST /api/v1/authorize?redirect=URL: the same login, as CAVE, Clio and neuPrint start it.

    A POST may have its parameters in a form or in a JSON object.
    """
    target = request.target or "/"
    terms_of = {key: value for key in ("service", "dataset") if (value := parameter(request.http, key))}
    if header(request.http, "X-Requested-With"):
        # Our own address rather than the provider's: the browser that opens it is the one whose
        # cookie must hold the pending login, and a script's answer could not give it one.
        query = urlencode({"redirect": target, **terms_of})
        return json_reply({"authorization_url": f"{gateway.config.origin}/api/v1/authorize?{query}"})
    if terms_of:
        target = "/activate?" + urlencode({**terms_of, "redirect": target})
    return _send_to_provider(gateway, request, target)


def _send_to_provider(
    gateway: Gateway, request: Request[Provider | DevProvider], target: str, *, again: bool = False
) -> HTTPResponse | Refusal:
    """Raises:
    TargetTooLong: the target does not fit into the cookie that keeps the login.
    """
    provider = request.caller
    if not gateway.login_states.fits(target):
        raise TargetTooLong("the address to go to afterwards is too long")
    hints = {"prompt": "select_account"} if again else {}
    current = None if again else authentication.authenticate_request(gateway, request.http)
    if isinstance(current, Login) and current.principal.kind == "user":
        hints["login_hint"] = current.principal.email
    login = login_state.begin_login(target)
    if isinstance(provider, DevProvider):
        reply = provider.choose(login, CALLBACK_PATH)
        gateway.login_states.add(reply, request.http, login)
        return reply
    try:
        with gateway.outbound_limit.acquire(wait=0.1):
            url = provider.authorization_url(
                _redirect_uri(gateway),
                state=login.state,
                nonce=login.nonce,
                challenge=login.challenge,
                deadline=deadline_of(request.http),
                **hints,
            )
    except UpstreamUnavailable as error:
        return _refuse_unavailable(error, target)
    reply = redirect(url, 302)
    gateway.login_states.add(reply, request.http, login)
    return reply


def _redirect_uri(gateway: Gateway) -> str:
    return gateway.config.origin + CALLBACK_PATH  # from the settings, never from the request's Host


def finish(gateway: Gateway, request: Request[SignIn]) -> HTTPResponse:
    """GET /accounts/google/login/callback/ and /api/v1/oauth2callback: the provider sends the browser back."""
    answer = _identify(gateway, request)
    reply = render(request.http, answer) if isinstance(answer, Refusal) else answer
    gateway.login_states.forget(reply, request.http, request.caller.login)
    return reply


def _identify(gateway: Gateway, request: Request[SignIn]) -> HTTPResponse | Refusal:
    login = request.caller.login
    if query_value(request.http, "error"):
        return _refuse_login(gateway, "denied", "the provider says so", login.target)
    code = query_value(request.http, "code") or ""
    try:
        with gateway.outbound_limit.acquire(wait=0.1):
            identity = request.caller.provider.identify(
                code,
                _redirect_uri(gateway),
                verifier=login.verifier,
                nonce=login.nonce,
                deadline=deadline_of(request.http),
            )
    except LoginFailed as error:
        return _refuse_login(gateway, error.reason, error.detail, login.target)
    except UpstreamUnavailable as error:
        return _refuse_unavailable(error, login.target)
    return _sign_in(gateway, identity, login.target)


def _sign_in(gateway: Gateway, identity: Identity, target: str) -> HTTPResponse | Refusal:
    config = gateway.config
    domain = validation.email_key(identity.email.rpartition("@")[2])
    if config.allowed_email_domains and domain not in config.allowed_email_domains:
        return _refuse_login(gateway, "domain", domain, target, email=identity.email)
    try:
        with begin_change(gateway.writer, f"user:{identity.email}") as opened:
            user, token = sign_in(opened, identity, default_groups=config.default_groups)
    except Conflict:
        return _refuse_login(gateway, "other_identity", identity.subject, target, email=identity.email)
    except NotAllowed:
        return _refuse_login(gateway, "disabled", identity.subject, target, email=identity.email)
    except Invalid:
        return _refuse_login(gateway, "bad_email", identity.subject, target, email=identity.email)
    logs.annotate(principal=user.id)
    log.info("signed in")
    gateway.metrics.add("logins")
    reply = redirect(redirects.with_token(target, token, config))
    set_login(reply, config, token)
    return reply


def logout(gateway: Gateway, request: Request[tuple[Login, ...]]) -> HTTPResponse:
    """GET or POST /api/v1/logout, POST /logout: end every presented login; never an API token."""
    for login in request.caller:
        if login.token.kind == "login":
            with begin_change(gateway.writer, principals.format_label(login.principal)) as change:
                tokens.revoke(change, login.token.id)
    reply = _after_logout(gateway, request.http)
    reply.set_header("Cache-Control", "no-store")
    clear_login(reply, gateway.config)
    return reply


def _after_logout(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """Go on to ``redirect`` if that is allowed (contract.md, "Logout"), else to our own first page.

    Here a target that is not allowed is no error, so the route does not declare it: the login has ended, and its
    cookie must go too.
    """
    try:
        if parameter(request, "redirect") is not None:
            return redirect(redirects.read_target(gateway.config, request, ("redirect",)) or "/", 302)
    except Invalid:
        return redirect("/", 302)
    return redirect("/") if wants_page(request) else json_reply({"status": "logged out"})


# What a person reads when it does not work. Each ends here: nothing sends them on by itself, so nothing loops.


def _refuse_login(gateway: Gateway, reason: str, detail: str, target: str, *, email: str = "") -> Refusal:
    """
    Args:
        detail: for the log, which names nobody. ``email``: of the account that was chosen, if it is known.
    """
    gateway.metrics.add("logins_failed")
    log.warning("login failed: %s (%s)", reason, detail)
    text = _SAID[reason].format(helpers=gateway.site.helpers, email=email or "This account")
    return Refusal(403, reason, text, Audience.PEOPLE, "You are not signed in", _restart_link(target))


def _refuse_unavailable(error: UpstreamUnavailable, target: str) -> Refusal:
    log.error("login: the provider is not available: %s", error)
    text = "The sign-in provider does not answer at the moment. Sign in again in a minute."
    title, links = "Signing in is not possible now", _restart_link(target)
    return Refusal(503, "provider_unavailable", text, Audience.PEOPLE, title, links, headers={"Retry-After": "30"})


def _restart_link(target: str) -> dict[str, str]:
    if target.startswith("/"):
        return {"Sign_in_again": f"/auth/login?again=1&next={quote(target, safe='')}"}
    return {"Sign_in_again": f"/api/v1/authorize?redirect={quote(target, safe='')}"}


_NO_PROVIDER = Refusal(
    503,
    "login_unavailable",
    "Nobody can sign in here yet: this site is not registered with a sign-in provider.",
    title="Signing in is not set up",
)
