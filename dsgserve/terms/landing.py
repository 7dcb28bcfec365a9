"""GET /: who is signed in, which datasets they may open and where these are, which terms wait."""

from itertools import islice
from typing import Any
from urllib.parse import urlencode

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import clock, terms
from dsgctl.core.catalogue import Entry, Place, catalogue
from dsgctl.core.rules import access
from dsgctl.core.rules.access import PendingTerms
from dsgctl.core.tokens import TokenError
from dsgserve.gateway import Gateway
from dsgserve.http.ascii_text import number
from dsgserve.http.requests import query_value
from dsgserve.http.responses import another_account, page
from dsgserve.login import authentication
from dsgserve.login.authentication import Login
from dsgserve.terms import pending_terms

MOST_DATASETS = 50  # on one page
MOST_TERMS = 5  # that wait and are named
MOST_ACCEPTED = 200  # terms, the newest first
FILTER_FROM = 15  # datasets
_LONGEST_FILTER = 100  # characters

# Why somebody who had a login is not signed in now.
_ENDED = {
    TokenError.DISABLED: "Your account is disabled: it opens no dataset here.",
    TokenError.EXPIRED: "You were signed out, because a sign-in ends after seven days.",
}
_SIGNED_OUT = "You were signed out."


def show(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """The same address for everybody; what it says depends on the token.

    ``?q=`` shows only datasets with these words in name or description; ``?from=`` leaves out so many before.
    """
    login = authentication.authenticate_request(gateway, request)
    if not isinstance(login, Login):
        ended = _ENDED.get(login, _SIGNED_OUT) if login is not None else ""
        disabled = login is TokenError.DISABLED
        return page("welcome", title=gateway.site.name, ended=ended, disabled=disabled)
    known, pending = pending_terms.read_pending(gateway, login.principal)
    words = (query_value(request, "q") or "")[:_LONGEST_FILTER].strip()
    start = number(query_value(request, "from") or "", most=999_999) or 0
    with gateway.reader.snapshot():
        part = catalogue(gateway.reader, known, clock.now(), words=words, start=start, most=MOST_DATASETS)
        judged = login.principal.parent_id or login.principal.id
        accepted = (
            list(islice(terms.list_accepted_by(gateway.reader, judged), MOST_ACCEPTED))
            if login.principal.kind == "user"
            else []
        )
    waiting_terms = _pending(pending)
    return page(
        "landing",
        title="Your datasets",
        who=access.public_name(known),
        account=known.label,
        another=another_account("/"),
        admin=known.admin,
        read_only=known.read_only,
        groups=sorted(known.groups),
        mine=[_dataset(gateway, one) for one in part.entries if one.permission is not None],
        open=[_dataset(gateway, one) for one in part.entries if one.permission is None],
        words=words,
        filtered=part.total >= FILTER_FROM or bool(words),
        start=start,
        part=part,
        newer=_page(words, start - MOST_DATASETS) if start > 0 else "",
        older=_page(words, start + MOST_DATASETS) if start + MOST_DATASETS < part.matching else "",
        pending=waiting_terms[:MOST_TERMS],
        more_pending=max(0, len(waiting_terms) - MOST_TERMS),
        accepted=[
            {"name": row["name"], "when": f"{row['accepted']:%Y-%m-%d}", "path": terms.accept_path(row["id"])}
            for row in accepted
        ],
    )


def _page(words: str, start: int) -> str:
    asked = ({"q": words} if words else {}) | ({"from": str(start)} if start > 0 else {})
    return f"/?{urlencode(asked)}" if asked else "/"


def _dataset(gateway: Gateway, entry: Entry) -> dict[str, Any]:
    return {
        "entry": entry,
        "accept": f"{terms.accept_path(entry.missing.id)}?next=/" if entry.missing else "",
        "sources": [_source(gateway, entry, place) for place in entry.places],
    }


def _source(gateway: Gateway, entry: Entry, place: Place) -> dict[str, Any]:
    """The address that Neuroglancer takes, by which it reads through this gateway (neuroglancer.md, "Open it")."""
    address = f"precomputed://gs+ngauth+{gateway.config.origin}/{place.path}"
    name = f"{entry.name} {place.version}" if place.version else entry.name
    return {"version": place.version, "address": address, "link": gateway.site.viewer_link(name, address)}


def _pending(pending: tuple[PendingTerms, ...]) -> list[dict[str, Any]]:
    """The terms that hold back what a grant reaches; those of public datasets stand beside the dataset."""
    by_id = {one.terms.id: one for one in reversed(pending) if one.reached}
    return [
        {
            "name": one.terms.name,
            "dataset": one.dataset,
            "version": one.version,
            "path": f"{terms.accept_path(one.terms.id)}?next=/",
        }
        for one in sorted(by_id.values(), key=lambda one: (one.dataset, one.terms.id))
    ]
