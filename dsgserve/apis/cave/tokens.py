"""A person's own tokens: the page that makes one, where CAVE's clients send people, and the routes for programs.

No GET makes a token, because any page can make a browser send one; and none shows a token again, because only its hash
is stored.
"""

from email.utils import format_datetime
from typing import Any, TypedDict

from bottle import HTTPResponse

from dsgctl.core import clock, token_queries, tokens
from dsgctl.core.errors import Invalid
from dsgctl.core.token_checks import DELEGATED
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgserve.apis import own_tokens
from dsgserve.apis.cave.admission import redirect_to_sign_in, require_token
from dsgserve.gateway import Gateway
from dsgserve.http.requests import bearer_token, form_field, is_navigation
from dsgserve.http.responses import NO_STORE, Audience, Refusal, another_account, json_reply, page, unauthorized
from dsgserve.http.route import Answer, Endpoint, Guard, Request, Route
from dsgserve.login import authentication, form_proofs
from dsgserve.login.admission import NOT_OWN, require_own_token
from dsgserve.login.authentication import Login

PAGE = "/settings/tokens"
_PROOF = {"page": "tokens"}
_POST_ONLY = Refusal(
    405,
    "method_not_allowed",
    "a program makes a token with POST; a GET with a token in a header makes none",
    Audience.PROGRAMS,
    headers={"Allow": "POST"},
)


class ListedToken(TypedDict):
    """A token as middle_auth lists it. ``token`` is only its beginning."""

    id: int
    user_id: int
    token: str
    description: str | None
    created: str
    updated: str
    last_used: str | None


def require_reader(gateway: Gateway, request: Request[None]) -> Login | Answer:
    """A person who has signed in with this browser. A token in a header gets 405, if it is valid."""
    if bearer_token(request.http) is not None:
        holder = _require_holder(gateway, request)
        return _POST_ONLY if isinstance(holder, Login) else holder
    login = authentication.authenticate_cookie(gateway, request.http)
    # A person's own sign-in: a token that a program was given must not become another.
    if isinstance(login, Login) and login.token.kind == "login":
        return login
    if is_navigation(request.http):
        return redirect_to_sign_in(request)
    return unauthorized(None if isinstance(login, Login) else login)


def require_lister(gateway: Gateway, request: Request[None]) -> Login | Answer:
    """As `require_reader` for a browser; any valid token for a program, but no key of an application."""
    return require_reader(gateway, request) if is_navigation(request.http) else _require_holder(gateway, request)


def _require_holder(gateway: Gateway, request: Request[None]) -> Login | Answer:
    """A valid token of its owner's own: a key of an application neither makes nor lists tokens."""
    holder = require_token(gateway, request)
    return NOT_OWN if isinstance(holder, Login) and holder.token.kind == DELEGATED else holder


def require_form(gateway: Gateway, request: Request[None]) -> Login | Refusal:
    """The login to which our page showed the form.

    Raises:
        Invalid: the form is too long.
    """
    proof = form_field(request.http, "form") or ""
    return form_proofs.require_login(
        gateway,
        request.http,
        lambda login: form_proofs.verify(gateway, login, proof, **_PROOF),
        page="your tokens",
        again=request.here,
    )


def show(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """The page: the person's tokens, and a form that makes one."""
    return _build_page(gateway, request)


def show_list(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """GET user/token: the page for a browser, and for a program the list, newest first."""
    if is_navigation(request.http):
        return _build_page(gateway, request)
    rows = _list_tokens(gateway.reader, request.caller)
    listed: list[ListedToken] = [
        {
            "id": row["id"],
            "user_id": request.caller.principal.id,
            "token": row["prefix"],
            "description": row["description"] or None,
            "created": format_datetime(row["created"], usegmt=True),
            "updated": format_datetime(row["last_used"] or row["created"], usegmt=True),
            "last_used": format_datetime(row["last_used"], usegmt=True) if row["last_used"] else None,
        }
        for row in rows
    ]
    return json_reply(listed, headers=NO_STORE)


def create(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """POST of the form: a new token, shown once.

    Raises:
        Invalid: the description is too long, or cannot be stored.
    """
    secret = own_tokens.mint(gateway, request.caller, form_field(request.http, "description"))
    return _build_page(gateway, request, secret)


def refresh(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """POST refresh_token: a new token in place of the only one.

    Raises:
        Invalid: the person has several.
    """
    login = request.caller
    with begin_change(gateway.writer, f"user:{login.principal.email}") as change:
        live = [row["id"] for row in _list_tokens(change.database, login)]
        if len(live) > 1:
            raise Invalid("you have several tokens, and it is not clear which one to replace", f"see {PAGE}")
        for token_id in live:
            tokens.revoke(change, token_id)
        end = own_tokens.find_end(login)
        _, secret = tokens.mint(change, login.principal, description=own_tokens.DESCRIPTION, expires=end)
    return json_reply(secret, headers=NO_STORE)


def _list_tokens(database: Database, login: Login) -> list[token_queries.TokenRow]:
    """The API tokens of a person, newest first; not logins, which end by themselves, nor keys of applications."""
    rows = token_queries.list_tokens(database, principal=login.principal, at=clock.now())
    return [row for row in reversed(list(rows)) if row["kind"] == "api"]


def _build_page(gateway: Gateway, request: Request[Login], secret: str = "") -> HTTPResponse:
    login = request.caller
    return page(
        "tokens",
        title="Your new token" if secret else "Your tokens",
        account=login.principal.label,
        another=another_account(f"{request.prefix}{PAGE}"),
        action=f"{request.prefix}{PAGE}",
        proof=form_proofs.sign(gateway, login, **_PROOF),
        secret=secret,
        tokens=_list_tokens(gateway.reader, login),
        longest=own_tokens.MAX_DESCRIPTION,
    )


def _get(handler: Any, admits: Any) -> Endpoint[Login]:
    return Endpoint("GET", handler, admits, Guard.HARMLESS)


def _post(handler: Any, *, reads_body: bool) -> Endpoint[Login]:
    return Endpoint("POST", handler, require_own_token, Guard.DELIBERATE, reads_body=reads_body)


ROUTES = (
    Route(
        PAGE,
        (_get(show, require_reader), Endpoint("POST", create, require_form, Guard.FORM, reads_body=True)),
        limited=True,
    ),
    Route("/api/v1/create_token", (_get(show, require_reader),), limited=True),
    own_tokens.CREATE,
    Route("/api/v1/refresh_token", (_get(show, require_reader), _post(refresh, reads_body=False)), limited=True),
    Route(
        "/api/v1/user/token",
        (_get(show_list, require_lister), _post(own_tokens.create, reads_body=True)),
        limited=True,
    ),
)
