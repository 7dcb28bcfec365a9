"""POST /api/v1/create_token: a new token for a person. Both cave and native have it; contract-services.md, "Tokens"."""

from datetime import datetime

from bottle import HTTPResponse

from dsgctl.core import tokens
from dsgctl.core.errors import Invalid
from dsgctl.core.transaction import begin_change
from dsgserve.gateway import Gateway
from dsgserve.http.requests import parameter
from dsgserve.http.responses import NO_STORE, json_reply
from dsgserve.http.route import Endpoint, Guard, Request, Route
from dsgserve.login.admission import require_own_token
from dsgserve.login.authentication import Login

DESCRIPTION = "API token"
MAX_DESCRIPTION = 120  # characters


def create(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """A new token, as a JSON string. ``description`` is optional.

    Raises:
        Invalid: the description is too long, or cannot be stored.
    """
    return json_reply(mint(gateway, request.caller, parameter(request.http, "description")), headers=NO_STORE)


def mint(gateway: Gateway, login: Login, description: str | None) -> str:
    """Make a token for a person.

    Raises:
        Invalid: the description is too long, or cannot be stored.
    """
    description = (description or "").strip() or DESCRIPTION  # phones add a space after a word
    if len(description) > MAX_DESCRIPTION:
        raise Invalid(f"'description' is longer than {MAX_DESCRIPTION} characters")
    with begin_change(gateway.writer, f"user:{login.principal.email}") as change:
        _, secret = tokens.mint(change, login.principal, description=description, expires=find_end(login))
    return secret


def find_end(login: Login) -> datetime | None:
    """The end of a token that another one makes: a token that ends makes none that outlives it.

    The end of a sign-in says nothing: the person can sign in again.
    """
    end: datetime | None = login.token.expires
    return end if login.token.kind == "api" else None


CREATE = Route(
    "/api/v1/create_token",
    (Endpoint("POST", create, require_own_token, Guard.DELIBERATE, reads_body=True),),
    limited=True,
)
