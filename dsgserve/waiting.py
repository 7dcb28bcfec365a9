"""The terms that wait for a person, and the page on which they are read and accepted."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from bottle import HTTPResponse
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from dsgctl.core import access, clock, facts, terms
from dsgctl.core.access import Facts, Waiting
from dsgctl.store.models import Principal
from dsgserve import redirects, signing
from dsgserve.gateway import Gateway
from dsgserve.replies import page
from dsgserve.session import Login
from dsgserve.signing import Purpose

READING_TIME = timedelta(hours=12)  # after which a form is too old to be sent


def known(
    gateway: Gateway, principal: Principal, *, service: str | None = None, dataset: str | None = None
) -> tuple[Facts, tuple[Waiting, ...]]:
    """The facts of a principal, and the terms that wait.

    Args:
        service: whose terms count too; an unknown one adds nothing.
        dataset: only the terms that hold back this one; ``NAME:VERSION`` for those of a version too.
    """
    with gateway.facts.snapshot():
        found = facts.of_principal(gateway.facts, principal, service=service)
        of_versions = facts.version_terms(gateway.facts, found.datasets)
    pending = access.waiting_terms(found, of_versions, clock.now())
    return found, tuple(one for one in pending if dataset is None or _is_of(one, dataset))


def _is_of(one: Waiting, asked: str) -> bool:
    """Whether terms hold back the dataset that is asked for, or the version of it: a name may have a colon too."""
    if one.dataset == asked:
        return True
    dataset, colon, version = asked.rpartition(":")
    return bool(colon) and one.dataset == dataset and one.version in (None, version)


def of(
    gateway: Gateway, principal: Principal, *, service: str | None = None, dataset: str | None = None
) -> tuple[Waiting, ...]:
    """The terms that wait, as `known` finds them."""
    return known(gateway, principal, service=service, dataset=dataset)[1]


def terms_page(
    gateway: Gateway,
    login: Login,
    pending: tuple[Waiting, ...],
    *,
    target: str,
    later: str | None = None,
    title: str,
    lead: str = "",
) -> HTTPResponse:
    """A page with terms, each with its own accept.

    Args:
        target: where to go after accepting; what redirects.py let through, or empty for /success.
        later: where to go without accepting.
    """
    shown: dict[int, dict[str, Any]] = {}
    for one in pending:
        entry = shown.get(one.terms.id) or _entry(gateway, login, one.terms.id)
        entry["concerns"].append(_concerns(one))
        shown[one.terms.id] = entry
    outside = redirects.origin_of(target)
    # Chromium holds a form's redirects against form-action too, /activate's on to a service included.
    leads_to = tuple(filter(None, (outside, _nested_origin(gateway, target))))
    return page(
        "terms", title=title, lead=lead, entries=list(shown.values()), later=later,
        field="redirect" if outside else "next", target=target,
        parent=login.principal.parent_id is not None, form_targets=leads_to,
    )  # fmt: skip


def _nested_origin(gateway: Gateway, target: str) -> str | None:
    """The service to which /activate will send on, where the target is /activate."""
    path, _, query = target.partition("?")
    if path != "/activate":
        return None
    allowed = redirects.elsewhere(gateway.config, parse_qs(query).get("redirect", [""])[-1])
    return redirects.origin_of(allowed) if allowed else None


def _entry(gateway: Gateway, login: Login, terms_id: int) -> dict[str, Any]:
    found = terms.find(gateway.facts, terms_id)
    return {
        "id": found.id, "name": found.name, "html": render(found.text), "concerns": [],
        "action": terms.accept_path(found.id), "form": form_token(gateway, login, found.id),
    }  # fmt: skip


def _concerns(one: Waiting) -> str:
    version = f", version {one.version}" if one.version else ""
    service = f", in {one.service}" if one.service else ""
    return f"{one.dataset}{version}{service}"


def form_token(gateway: Gateway, login: Login, terms_id: int) -> str:
    """Proves that our page, shown to this login, sent the form for these terms."""
    values = {"token": login.token.id, "terms": terms_id}
    return signing.sign(gateway.secret_keys, Purpose.FORM, values, clock.now() + READING_TIME)


def is_our_form(gateway: Gateway, login: Login, terms_id: int, presented: str) -> bool:
    try:
        values = signing.verify(gateway.secret_keys, Purpose.FORM, presented, clock.now())
    except signing.Refused:
        return False
    return values == {"token": login.token.id, "terms": terms_id}


# Markdown


class _Markdown(MarkdownIt):
    """CommonMark and tables; no HTML, no images, links to the web and to mail only."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        self.enable("table").disable("image")
        self.add_render_rule("link_open", _outside)

    def validateLink(self, url: str) -> bool:  # noqa: N802  the library's name
        return re.match(r"(https?://|mailto:)", url, re.IGNORECASE) is not None


def _outside(renderer: RendererHTML, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    """A link opens beside the page: in the popup, following it would lose the way back."""
    tokens[index].attrSet("target", "_blank")
    tokens[index].attrSet("rel", "noopener noreferrer")
    return renderer.renderToken(tokens, index, options, env)


_MARKDOWN = _Markdown()


@lru_cache(maxsize=64)
def render(text: str) -> str:
    """Terms as harmless HTML; their headings stand below those of the page."""
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))
