"""GET /: the person who is signed in, their datasets with the locations, and the terms to accept."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlencode

from bottle import HTTPResponse

from dsgctl.core import acceptances, clock
from dsgctl.core.catalogue import Entry, Place, read_catalogue
from dsgctl.core.rules.pending_terms import PendingTerms
from dsgctl.core.token_checks import TokenError
from dsgctl.store.models import Principal
from dsgctl.wire_contract import accept_path
from dsgserve.gateway import Gateway
from dsgserve.http.ascii_text import number
from dsgserve.http.requests import query_value
from dsgserve.http.responses import another_account, page
from dsgserve.http.route import Request
from dsgserve.login.authentication import Login
from dsgserve.terms import pending_terms

MAX_DATASETS = 50  # on one page
MAX_TERMS = 5  # pending terms that are named
MAX_ACCEPTED = 200  # accepted terms, the newest first
SEARCH_FROM = 15  # datasets; with fewer, the page has no search field
_MAX_SEARCH = 100  # characters

# Why a login no longer counts.
_ENDED = {
    TokenError.DISABLED: "Your account is disabled. You have no access to datasets here.",
    TokenError.EXPIRED: "You were signed out, because a sign-in ends after seven days.",
}
_SIGNED_OUT = "You were signed out."


@dataclass(frozen=True, slots=True)
class Source:
    """One location of a dataset, or of one version.

    Attributes:
        url: the source URL for Neuroglancer (neuroglancer.md, "Open it").
        link: opens Neuroglancer with this source; empty if no viewer is set.
    """

    version: str | None
    url: str
    link: str


@dataclass(frozen=True, slots=True)
class DatasetItem:
    """One dataset on the page.

    Attributes:
        accept: the page of its terms, if they are pending; else empty.
    """

    entry: Entry
    accept: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class PendingItem:
    """One document to accept."""

    name: str
    dataset: str
    version: str | None
    url: str


@dataclass(frozen=True, slots=True)
class AcceptedItem:
    """One document that was accepted, with the date."""

    name: str
    date: str
    url: str


def show(gateway: Gateway, request: Request[Login | TokenError | None]) -> HTTPResponse:
    """One address for everybody; the content depends on the token.

    ``?q=`` shows only the datasets with these words in their name or description; ``?from=`` skips that many.
    """
    login = request.caller
    if not isinstance(login, Login):
        ended = _ENDED.get(login, _SIGNED_OUT) if login is not None else ""
        disabled = login is TokenError.DISABLED
        return page("welcome", title=gateway.site.name, ended=ended, disabled=disabled)
    snapshot, pending = pending_terms.read_pending(gateway, login.principal)
    words = (query_value(request.http, "q") or "")[:_MAX_SEARCH].strip()
    start = number(query_value(request.http, "from") or "", most=999_999) or 0
    with gateway.reader.snapshot():
        part = read_catalogue(gateway.reader, snapshot, clock.now(), words=words, start=start, limit=MAX_DATASETS)
        accepted = _list_accepted(gateway, login.principal)
    to_accept = _list_to_accept(pending)
    return page(
        "landing",
        title="Your datasets",
        display_name=snapshot.public_name,
        account=snapshot.label,
        another=another_account("/"),
        admin=snapshot.admin,
        read_only=snapshot.read_only,
        groups=sorted(snapshot.groups),
        own_datasets=[_make_item(gateway, entry) for entry in part.entries if entry.permission is not None],
        public_datasets=[_make_item(gateway, entry) for entry in part.entries if entry.permission is None],
        words=words,
        has_search=part.total >= SEARCH_FROM or bool(words),
        start=start,
        part=part,
        previous=_page_url(words, start - MAX_DATASETS) if start > 0 else "",
        next=_page_url(words, start + MAX_DATASETS) if start + MAX_DATASETS < part.matching else "",
        pending=to_accept[:MAX_TERMS],
        more_pending=max(0, len(to_accept) - MAX_TERMS),
        accepted=accepted,
    )


def _page_url(words: str, start: int) -> str:
    parameters = ({"q": words} if words else {}) | ({"from": str(start)} if start > 0 else {})
    return f"/?{urlencode(parameters)}" if parameters else "/"


def _make_item(gateway: Gateway, entry: Entry) -> DatasetItem:
    accept = f"{accept_path(entry.missing.id)}?next=/" if entry.missing else ""
    return DatasetItem(entry, accept, tuple(_make_source(gateway, entry, place) for place in entry.places))


def _make_source(gateway: Gateway, entry: Entry, place: Place) -> Source:
    url = f"precomputed://gs+ngauth+{gateway.config.origin}/{place.path}"
    name = f"{entry.name} {place.version}" if place.version else entry.name
    return Source(place.version, url, gateway.site.viewer_link(name, url))


def _list_to_accept(pending_terms: Iterable[PendingTerms]) -> list[PendingItem]:
    """The terms of datasets that a grant reaches. Those of public datasets are shown beside the dataset."""
    by_id = {pending.terms.id: pending for pending in reversed(tuple(pending_terms)) if pending.reached}
    return [
        PendingItem(
            pending.terms.name, pending.terms.dataset, pending.terms.version, f"{accept_path(pending.terms.id)}?next=/"
        )
        for pending in sorted(by_id.values(), key=lambda pending: (pending.terms.dataset, pending.terms.id))
    ]


def _list_accepted(gateway: Gateway, principal: Principal) -> list[AcceptedItem]:
    if principal.kind != "user":
        return []
    rows = acceptances.list_accepted_by(gateway.reader, principal.parent_id or principal.id)
    return [
        AcceptedItem(row["name"], f"{row['accepted']:%Y-%m-%d}", accept_path(row["id"]))
        for row in islice(rows, MAX_ACCEPTED)
    ]
