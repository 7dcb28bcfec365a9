"""Builds the pages that show terms: one page with the pending terms, and one page for each document."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from bottle import HTTPResponse

from dsgctl.core import terms, web_origins
from dsgctl.core.rules.pending_terms import PendingTerms
from dsgctl.store.models import Terms
from dsgctl.wire_contract import accept_path
from dsgserve.gateway import Gateway
from dsgserve.http import origins, redirects
from dsgserve.http.responses import another_account, page
from dsgserve.login import form_proofs
from dsgserve.login.authentication import Login

# One page shows the text of some documents and the names of more. So its cost is bounded, however many are pending.
MAX_DOCUMENTS = 5
MAX_TEXT = 100_000  # characters of the documents together; the first is shown whatever its length
MAX_LINKS = 50


@dataclass(frozen=True, slots=True)
class Navigation:
    """Where a page of terms leads.

    Attributes:
        here: the page itself, a path on this server.
        target: where to go after accepting, as redirects.py allowed it; empty for /success.
        skip: where to go without accepting; empty for nowhere.
    """

    here: str
    target: str = ""
    skip: str = ""

    @property
    def field(self) -> str:
        """The parameter that carries the target."""
        return target_field(self.target)

    def accept_url(self, terms_id: int) -> str:
        """The page of one document, with the same target."""
        return accept_path(terms_id) + (f"?{urlencode({self.field: self.target})}" if self.target else "")


def target_field(target: str) -> str:
    """The parameter that carries a target: ``next`` takes paths on this server only."""
    return "redirect" if redirects.origin_of(target) else "next"


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """One document with its text.

    Attributes:
        html: the text.
        action: where its form goes; ``proof``: of that form (form_proofs.py).
        concerns: the datasets, versions and services that it is for.
        following: the id of the next document on the page, where the browser goes after accepting.
    """

    id: int
    name: str
    html: str
    action: str
    proof: str
    concerns: tuple[str, ...]
    following: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentLink:
    """One document by its name."""

    name: str
    url: str
    concerns: tuple[str, ...]


def terms_page(
    gateway: Gateway,
    login: Login,
    pending_terms: Sequence[PendingTerms],
    navigation: Navigation,
    *,
    title: str,
    lead: str = "",
) -> HTTPResponse:
    """A page with terms, each with its own button; several can be selected and accepted at once.

    Terms of datasets that a grant reaches come first, and those of public datasets are only named. If a grant reaches
    none, the public ones are shown.
    """
    concerns: dict[int, tuple[str, ...]] = {}
    for pending in pending_terms:
        concerns[pending.terms.id] = (*concerns.get(pending.terms.id, ()), _describe_concern(pending))
    reached = {pending.terms.id: pending.terms.name for pending in pending_terms if pending.reached}
    others = {pending.terms.id: pending.terms.name for pending in pending_terms if pending.terms.id not in reached}
    if not reached:
        reached, others = others, {}
    documents = _read_documents(gateway, list(reached))
    following = [*(document.id for document in documents[1:]), None]
    entries = [
        _make_entry(gateway, login, document, concerns[document.id], following=next_id, top=3)
        for document, next_id in zip(documents, following, strict=True)
    ]
    shown = {document.id for document in documents}
    rest = {terms_id: name for terms_id, name in reached.items() if terms_id not in shown}
    return page(
        "terms",
        title=title,
        lead=lead,
        entries=entries,
        navigation=navigation,
        rest=_make_links(rest, concerns, navigation),
        more_rest=max(0, len(rest) - MAX_LINKS),
        others=_make_links(others, concerns, navigation),
        more_others=max(0, len(others) - MAX_LINKS),
        parent=login.principal.parent_id is not None,
        account=login.principal.label,
        another=another_account(navigation.here),
        form_targets=_form_targets(gateway, navigation.target),
    )


def document_page(
    gateway: Gateway,
    login: Login,
    document: Terms,
    datasets: Collection[str],
    navigation: Navigation,
    *,
    accepted: str,
    note: str,
) -> HTTPResponse:
    """A page with one document, to read, print and save; with a button to accept it if that is still needed.

    Args:
        accepted: when it was accepted; empty if it was not.
        note: why it need not be accepted; empty if it must be.
    """
    return page(
        "document",
        title=document.name,
        entry=_make_entry(gateway, login, document, tuple(datasets), top=2),
        navigation=navigation,
        place=_name_site(gateway, navigation.target),
        accepted=accepted,
        note=note,
        save=f"{accept_path(document.id)}?save=1",
        parent=login.principal.parent_id is not None,
        account=login.principal.label,
        another=another_account(navigation.here),
        form_targets=_form_targets(gateway, navigation.target),
    )


def _read_documents(gateway: Gateway, ids: Sequence[int]) -> list[Terms]:
    """The first of these documents, as many as one page shows."""
    documents: list[Terms] = []
    length = 0
    for terms_id in ids[:MAX_DOCUMENTS]:
        document = terms.find(gateway.reader, terms_id)
        length += len(document.text)
        if documents and length > MAX_TEXT:
            break
        documents.append(document)
    return documents


def _make_entry(
    gateway: Gateway,
    login: Login,
    document: Terms,
    concerns: tuple[str, ...],
    *,
    following: int | None = None,
    top: int,
) -> DocumentEntry:
    """
    Args:
        top: the level of the highest heading in the HTML.
    """
    return DocumentEntry(
        id=document.id,
        name=document.name,
        html=gateway.documents.html(document.text, top),
        action=accept_path(document.id),
        proof=form_proofs.sign(gateway, login, terms=document.id),
        concerns=concerns,
        following=following,
    )


def _make_links(
    names: Mapping[int, str], concerns: Mapping[int, tuple[str, ...]], navigation: Navigation
) -> list[DocumentLink]:
    """Links to the first of these documents, as many as one page names."""
    return [
        DocumentLink(name, navigation.accept_url(terms_id), concerns[terms_id])
        for terms_id, name in list(names.items())[:MAX_LINKS]
    ]


def _describe_concern(pending: PendingTerms) -> str:
    terms = pending.terms
    version = f", version {terms.version}" if terms.version else ""
    service = f", in {terms.service}" if terms.service else ""
    return f"{terms.dataset}{version}{service}" if terms.dataset else ""


# Where a target leads in the end


def _form_targets(gateway: Gateway, target: str) -> tuple[str, ...]:
    """The origins for the page's ``form-action``: Chromium applies it to the redirects after a form too."""
    return tuple(filter(None, (redirects.origin_of(target), _nested_origin(gateway, target))))


def _name_site(gateway: Gateway, target: str) -> str:
    """The host of the service or viewer that a target leads to in the end; empty if that is this server."""
    path, _, query = target.partition("?")
    origin = redirects.origin_of(target) or _nested_origin(gateway, target)
    if path == "/login":
        viewer = web_origins.parse(parse_qs(query).get("origin", [""])[-1])
        origin = viewer if viewer and origins.is_allowed(viewer, gateway.config.ngauth_origins) else None
    return (origin or "").partition("://")[2]


def _nested_origin(gateway: Gateway, target: str) -> str | None:
    """The origin that /activate redirects to in the end, if the target is /activate."""
    path, _, query = target.partition("?")
    if path != "/activate":
        return None
    url = redirects.external_url(gateway.config, parse_qs(query).get("redirect", [""])[-1])
    return redirects.origin_of(url) if url else None
