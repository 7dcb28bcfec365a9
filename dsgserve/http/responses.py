"""Replies: JSON for programs, pages for people, redirects, refusals; each made in one place."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bottle import HTTPResponse, SimpleTemplate

from dsgctl.core.token_checks import CHECKS, TokenError
from dsgserve.http.security import new_nonce, page_policy
from dsgserve.http.site import CURRENT
from dsgserve.process.logs import request_id

_PAGES = Path(__file__).parents[1] / "pages"

CHALLENGE = 'Bearer realm="DatasetGateway"'  # contract.md, "The token on a request"

# What a client learns about a bad token: nothing that helps to guess one (contract.md, "The token on a request").
_CODES: Mapping[TokenError | None, tuple[str, str]] = {
    None: ("missing_token", "no token was sent"),
    **{check.error: (check.code, check.message) for check in CHECKS},
}


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return HTTPResponse(text, status, {"Content-Type": "application/json", **(headers or {})})


def json_error(status: int, code: str, message: str, **more: Any) -> HTTPResponse:
    """``{"error": CODE, "message": TEXT}``"""
    return json_reply({"error": code, "message": message, **more}, status)


def unauthorized(problem: TokenError | None) -> HTTPResponse:
    """401 for a token that is not valid; None for no token at all (RFC 6750, section 3)."""
    code, message = _CODES[problem]
    reply = json_error(401, code, message)
    reply.set_header("WWW-Authenticate", CHALLENGE)
    reply.set_header("Cache-Control", "no-store")
    return reply


def page(name: str, status: int = 200, *, form_targets: tuple[str, ...] = (), **values: Any) -> HTTPResponse:
    """An HTML page from ``pages/NAME.tpl``; every value is escaped by the template.

    Args:
        form_targets: origins that sending a form of this page may lead on to.
        values: ``title`` at least. ``account``: who is signed in; ``another``: where to sign in as somebody else.
    """
    nonce, site = new_nonce(), CURRENT.get()
    # The number by which the operators find what happened in their log: of every error, and of nothing else.
    number = request_id() if status >= 400 else None
    text = _template(name).render(nonce=nonce, site=site, request_id=number, **values)
    reply = HTTPResponse(text, status)
    reply.set_header("Content-Type", "text/html; charset=utf-8")
    reply.set_header("Content-Security-Policy", page_policy(nonce, form_targets, pictures=bool(site.logo)))
    reply.set_header("Cache-Control", "no-store")
    return reply


@cache
def _template(name: str) -> SimpleTemplate:
    return SimpleTemplate(name=f"{name}.tpl", lookup=[str(_PAGES)])


def message_page(status: int, title: str, text: str, **links: str) -> HTTPResponse:
    """A page that says what happened, and what to do.

    Args:
        text: one or more sentences.
        links: where to go from here; key: what the link is for, with ``_`` for spaces.
    """
    shown = {label.replace("_", " "): target for label, target in links.items()}
    return page("message", status, title=title, text=text, links=shown)


def another_account(here: str) -> str:
    """Where somebody signs in with another account and comes back.

    Args:
        here: a path on this server.
    """
    return "/auth/login?" + urlencode({"again": "1", "next": here})


def redirect(location: str, status: int = 303) -> HTTPResponse:
    reply = HTTPResponse(b"", status)
    reply.set_header("Location", location)
    reply.set_header("Cache-Control", "no-store")
    return reply
