"""Responses: JSON for programs, pages for people, redirects, refusals; each is built in one place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bottle import BaseRequest, HTTPResponse, SimpleTemplate

from dsgctl.core.token_checks import BY_ERROR, TokenError
from dsgserve.http.requests import wants_page
from dsgserve.http.security import new_nonce, page_policy
from dsgserve.http.site import CURRENT
from dsgserve.process.logs import request_id

_PAGES = Path(__file__).parents[1] / "pages"

CHALLENGE = 'Bearer realm="DatasetGateway"'  # contract.md, "The token on a request"

# Code and message for a token that is not valid; they do not help to guess one (contract.md, "The token on a request").
_CODES: Mapping[TokenError | None, tuple[str, str]] = {
    None: ("missing_token", "no token was sent"),
    **{error: (refusal.code, refusal.message) for error, refusal in BY_ERROR.items()},
}


NO_STORE = {"Cache-Control": "no-store"}  # a header of answers that only the asker may have


# What we answer contains no circle, and looking for one takes a sixth of the time.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def encode_json(value: object) -> bytes:
    """A value of types that JSON has, as it is sent."""
    return _JSON.encode(value).encode()


def read_body(response: HTTPResponse) -> bytes:
    """The body of a response, as it is sent."""
    return response.body if isinstance(response.body, bytes) else response.body.encode()


def json_reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """A JSON response.

    Args:
        body: of types that JSON has.
    """
    return HTTPResponse(encode_json(body), status, {"Content-Type": "application/json", **(headers or {})})


class Audience(Enum):
    """Who reads a refusal."""

    EITHER = "a page for a browser, JSON for a program"
    PEOPLE = "always a page"
    PROGRAMS = "always JSON"


# The title of a page by status, unless a refusal has its own.
_TITLES = {
    403: "You may not do this",
    404: "Not found",
    500: "Something went wrong",
    503: "Not available at the moment",
}
_TITLE = "This did not work"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered. `render` writes it.

    Attributes:
        status: of HTTP, 400 or above.
        code: for programs.
        message: for both: what is wrong, and what to do next.
        title: of the page; empty for the usual one of the status.
        links: of the page: label, with ``_`` for spaces -> address.
        headers: of the response.
        details: more keys of the JSON body.
    """

    status: int
    code: str
    message: str
    audience: Audience = Audience.EITHER
    title: str = ""
    links: Mapping[str, str] = field(default_factory=lambda: {"go_to_your_datasets": "/"})
    headers: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)


def render(request: BaseRequest, refusal: Refusal) -> HTTPResponse:
    """A refusal as a page, or as ``{"error": CODE, "message": TEXT}``."""
    as_page = refusal.audience is Audience.PEOPLE or (refusal.audience is Audience.EITHER and wants_page(request))
    if as_page:
        title = refusal.title or _TITLES.get(refusal.status, _TITLE)
        response = message_page(refusal.status, title, refusal.message, **refusal.links)
    else:
        body = {"error": refusal.code, "message": refusal.message, **refusal.details}
        # It can depend on a token (contract.md, "The token on a request"). Pages have this header too.
        response = json_reply(body, refusal.status, {"Cache-Control": "no-store"})
    for name, value in refusal.headers.items():
        response.set_header(name, value)
    return response


def unauthorized(problem: TokenError | None) -> Refusal:
    """401 for a token that is not valid; None for no token at all (RFC 6750, section 3)."""
    code, message = _CODES[problem]
    headers = {"WWW-Authenticate": CHALLENGE, "Cache-Control": "no-store"}
    return Refusal(401, code, message, Audience.PROGRAMS, headers=headers)


def page(template: str, status: int = 200, /, *, form_targets: tuple[str, ...] = (), **values: Any) -> HTTPResponse:
    """An HTML page from ``pages/TEMPLATE.tpl``. The template escapes every value.

    Args:
        form_targets: other origins that the forms of this page may lead to.
        values: at least ``title``. ``account``: the label of the login; ``another``: the address of
            `another_account`.
    """
    nonce, site = new_nonce(), CURRENT.get()
    # Only an error page shows the id by which operators find the request in their log.
    error_id = request_id() if status >= 400 else None
    text = _template(template).render(nonce=nonce, site=site, request_id=error_id, **values)
    reply = HTTPResponse(text, status)
    reply.set_header("Content-Type", "text/html; charset=utf-8")
    reply.set_header("Content-Security-Policy", page_policy(nonce, form_targets, pictures=bool(site.logo)))
    reply.set_header("Cache-Control", "no-store")
    return reply


@cache
def _template(name: str) -> SimpleTemplate:
    return SimpleTemplate(name=f"{name}.tpl", lookup=[str(_PAGES)])


def message_page(status: int, title: str, text: str, **links: str) -> HTTPResponse:
    """A page with a message.

    Args:
        text: one or more sentences: what happened, and what to do.
        links: label, with ``_`` for spaces -> address.
    """
    labelled = {label.replace("_", " "): address for label, address in links.items()}
    return page("message", status, title=title, text=text, links=labelled)


def another_account(here: str) -> str:
    """The address to sign in with another account, and to come back.

    Args:
        here: a path on this server.
    """
    return "/auth/login?" + urlencode({"again": "1", "next": here})


def redirect(location: str, status: int = 303) -> HTTPResponse:
    """A redirect.

    Args:
        location: a path of this server, or an address that redirects.py allowed.
    """
    reply = HTTPResponse(b"", status)
    reply.set_header("Location", location)
    reply.set_header("Cache-Control", "no-store")
    return reply
