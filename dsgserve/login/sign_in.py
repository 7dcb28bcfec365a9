"""Sign-in through the OpenID provider, and logout. contract.md, "Login"."""

import logging
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from bottle import HTTPResponse

from dsgctl.core import principals, tokens, validation
from dsgctl.core.errors import Conflict, Invalid, NotAllowed
from dsgctl.core.logins import Identity, sign_in
from dsgctl.core.token_checks import TokenStatus
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

# Why a login failed -> the text of the page: what happened, and what to do. Each page has a link to start again.
MESSAGES = {
    "denied": "The sign-in was cancelled. Sign in again to continue.",
    "stale": "This sign-in took longer than ten minutes, was already finished, or was started in another browser. "
    "Sign in again.",
    "refused": "The sign-in provider rejected this sign-in. Sign in again; if this page appears again, ask {contact}.",
    "bad_token": "The response of the sign-in provider could not be verified. Sign in again; if this page appears "
    "again, ask {contact}.",
    "unverified_email": "The sign-in provider has not verified your email address. Verify it there, and sign in again.",
    "other_identity": "{email} is registered here with another sign-in identity, perhaps because your account at the "
    "provider was created again. Ask {contact} to link your account to the new identity, or sign in with another "
    "account.",
    "disabled": "The account {email} is disabled. Ask {contact}, or sign in with another account.",
    "domain": "{email} cannot sign in: this site does not accept accounts of that domain. Sign in with another "
    "account.",
    "bad_email": "{email} cannot be used here. Sign in with another account.",
}


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that this browser began, and for which the provider has sent it back."""

    provider: Provider | DevProvider
    login: LoginState


def require_provider(gateway: Gateway, request: Request[None]) -> Provider | DevProvider | Refusal:
    """Everybody, if a provider is set up; else 503."""
    return gateway.provider or _NO_PROVIDER


def require_login_state(gateway: Gateway, request: Request[None]) -> SignIn | Answer:
    """The browser whose cookie has the sign-in with this ``state``."""
    if gateway.provider is None:
        return _NO_PROVIDER
    login = gateway.login_states.find(request.http, query_value(request.http, "state") or "")
    return SignIn(gateway.provider, login) if login else _refuse_login(gateway, "stale", "state", "/")


def start(gateway: Gateway, request: Request[Provider | DevProvider]) -> HTTPResponse | Refusal:
    """GET /auth/login?next=/path: send the browser to the provider."""
    again = query_value(request.http, "again") is not None
    return _send_to_provider(gateway, request, request.target or "/", again=again)


def authorize(gateway: Gateway, request: Request[Provider | DevProvider]) -> HTTPResponse | Refusal:
    """GET or POST /api/v1/authorize?redirect=URL: the same, as CAVE, Clio and neuPrint begin it.

    A POST can have its parameters in a form or in a JSON object.
    """
    target = request.target or "/"
    filters = {key: value for key in ("service", "dataset") if (value := parameter(request.http, key))}
    if header(request.http, "X-Requested-With"):
        # Our own URL, not the provider's: the browser that opens it must get the cookie with the sign-in, and the
        # response to a script cannot set that cookie.
        query = urlencode({"redirect": target, **filters})
        return json_reply({"authorization_url": f"{gateway.config.origin}/api/v1/authorize?{query}"})
    if filters:
        target = "/activate?" + urlencode({**filters, "redirect": target})
    return _send_to_provider(gateway, request, target)


def _send_to_provider(
    gateway: Gateway, request: Request[Provider | DevProvider], target: str, *, again: bool = False
) -> HTTPResponse | Refusal:
    """Begin a sign-in that ends at ``target``.

    Args:
        again: let the person choose another account.

    Raises:
        TargetTooLong: the target does not fit into the cookie with the sign-in, or into the form of its terms page.
    """
    provider = request.caller
    if len(target) > redirects.MAX_LENGTH or not gateway.login_states.fits(target):
        raise TargetTooLong(
            "the address to go to after the sign-in is too long; sign in first, and then open the link again"
        )
    hints = {"prompt": "select_account"} if again else {}
    current = None if again else authentication.authenticate_request(gateway, request.http)
    if isinstance(current, Login) and current.principal.kind == "user":
        hints["login_hint"] = current.principal.email
    login = login_state.begin_login(target)
    if isinstance(provider, DevProvider):
        response = provider.choose(login, CALLBACK_PATH)
        gateway.login_states.add(response, request.http, login)
        return response
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
    response = redirect(url, 302)
    gateway.login_states.add(response, request.http, login)
    return response


def _redirect_uri(gateway: Gateway) -> str:
    return gateway.config.origin + CALLBACK_PATH  # contract.md, "Login": never from the Host header


def finish(gateway: Gateway, request: Request[SignIn]) -> HTTPResponse:
    """GET /accounts/google/login/callback/ and /api/v1/oauth2callback: the provider sends the browser back."""
    answer = _identify(gateway, request)
    response = render(request.http, answer) if isinstance(answer, Refusal) else answer
    gateway.login_states.forget(response, request.http, request.caller.login)
    return response


def _identify(gateway: Gateway, request: Request[SignIn]) -> HTTPResponse | Refusal:
    login = request.caller.login
    if query_value(request.http, "error"):
        return _refuse_login(gateway, "denied", "the provider reports an error", login.target)
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
        with begin_change(gateway.writer, f"user:{identity.email}") as change:
            user, token = sign_in(change, identity, default_groups=config.default_groups)
    except Conflict:
        return _refuse_login(gateway, "other_identity", identity.subject, target, email=identity.email)
    except NotAllowed:
        return _refuse_login(gateway, "disabled", identity.subject, target, email=identity.email)
    except Invalid:
        return _refuse_login(gateway, "bad_email", identity.subject, target, email=identity.email)
    logs.annotate(principal=user.id)
    log.info("signed in")
    gateway.metrics.add("logins")
    response = redirect(redirects.with_token(target, token, config))
    set_login(response, config, token)
    return response


def logout(gateway: Gateway, request: Request[tuple[TokenStatus, ...]]) -> HTTPResponse:
    """GET or POST /api/v1/logout, POST /logout: revoke every presented login, never an API token.

    Also the login of an account that is disabled: it would be valid again once the account is enabled.
    """
    for status in request.caller:
        token, principal = status.token, status.principal
        if token is not None and principal is not None and token.kind == "login":
            with begin_change(gateway.writer, principals.format_label(principal)) as change:
                tokens.revoke(change, token.id)
    response = _after_logout(gateway, request)
    response.set_header("Cache-Control", "no-store")
    clear_login(response, gateway.config)
    return response


def _after_logout(gateway: Gateway, request: Request[tuple[TokenStatus, ...]]) -> HTTPResponse:
    """Redirect to ``redirect`` if it is allowed (contract.md, "Logout"), else to the landing page. Without it, only the
    button of our pages, which posts to /logout, leads there.

    A target that is not allowed is no error here, so the route does not declare it: the login has ended, and its
    cookie must be cleared too.
    """
    try:
        if parameter(request.http, "redirect") is not None:
            return redirect(redirects.read_target(gateway.config, request.http, ("redirect",)) or "/", 302)
    except Invalid:
        return redirect("/", 302)
    is_button = request.path == "/logout" and wants_page(request.http)
    return redirect("/") if is_button else json_reply({"status": "logged out"})


# Pages of errors. None redirects by itself, so nothing loops.


def _refuse_login(gateway: Gateway, reason: str, detail: str, target: str, *, email: str = "") -> Refusal:
    """The page about a failed sign-in.

    Args:
        reason: a key of `MESSAGES`.
        detail: for the log, which contains no names.
        email: of the chosen account, if it is known.
    """
    gateway.metrics.add("logins_failed")
    log.warning("login failed: %s (%s)", reason, detail)
    text = MESSAGES[reason].format(contact=gateway.site.contact_name, email=email or "This account")
    return Refusal(403, reason, text, Audience.PEOPLE, "You are not signed in", _restart_link(target))


def _refuse_unavailable(error: UpstreamUnavailable, target: str) -> Refusal:
    log.error("login: the provider is not available: %s", error)
    text = "The sign-in provider does not answer at the moment. Sign in again in a minute."
    title, links = "Sign-in is not available now", _restart_link(target)
    return Refusal(503, "provider_unavailable", text, Audience.PEOPLE, title, links, headers={"Retry-After": "30"})


def _restart_link(target: str) -> dict[str, str]:
    if target.startswith("/"):
        return {"Sign_in_again": f"/auth/login?again=1&next={quote(target, safe='')}"}
    return {"Sign_in_again": f"/api/v1/authorize?redirect={quote(target, safe='')}"}


_NO_PROVIDER = Refusal(
    503,
    "login_unavailable",
    "Nobody can sign in yet: this site is not registered with a sign-in provider.",
    title="Sign-in is not set up",
)
