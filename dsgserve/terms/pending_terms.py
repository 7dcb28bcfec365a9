"""The terms that wait for a person, and the page on which they are read and accepted."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from bottle import HTTPResponse

from dsgctl.core import clock, grants, logins, snapshots, terms
from dsgctl.core.rules import access
from dsgctl.core.rules.access import PendingTerms, PrincipalSnapshot
from dsgctl.store.models import Principal, Terms
from dsgserve.gateway import Gateway
from dsgserve.http import origins, redirects, signing
from dsgserve.http.responses import another_account, page
from dsgserve.http.signing import Purpose
from dsgserve.login.authentication import Login

READING_TIME = timedelta(hours=12)  # after which a form is too old to be sent

# What one page shows of terms, so that it costs the same however many wait: the text of some, the names of more.
MOST_DOCUMENTS = 5
MOST_TEXT = 100_000  # characters of the documents together, the last one aside
MOST_LINKS = 50


def read_pending(
    gateway: Gateway, principal: Principal, *, service: str | None = None, dataset: str | None = None
) -> tuple[PrincipalSnapshot, tuple[PendingTerms, ...]]:
    """The facts of a principal, and the terms that wait: first those of datasets that a grant reaches.

    Args:
        service: whose terms count too; an unknown one adds nothing.
        dataset: only the terms that hold back this one; ``NAME:VERSION`` for those of a version too.
    """
    with gateway.reader.snapshot():
        found = snapshots.read_principal(gateway.reader, principal, service=service)
        of_versions = snapshots.read_version_terms(gateway.reader, found.datasets)
        withdrawn = grants.withdrawn(gateway.reader, principal.id)
    pending = [
        one
        for one in access.list_pending_terms(found, of_versions, clock.now())
        if (dataset is None or _is_of(one, dataset)) and (one.reached or one.dataset not in withdrawn)
    ]
    return found, tuple(sorted(pending, key=lambda one: not one.reached))


def _is_of(one: PendingTerms, asked: str) -> bool:
    """Whether terms hold back the dataset that is asked for, or the version of it: a name may have a colon too."""
    if one.dataset == asked:
        return True
    dataset, colon, version = asked.rpartition(":")
    return bool(colon) and one.dataset == dataset and one.version in (None, version)


def list_pending(
    gateway: Gateway, principal: Principal, *, service: str | None = None, dataset: str | None = None
) -> tuple[PendingTerms, ...]:
    """The terms that wait, as `known` finds them."""
    return read_pending(gateway, principal, service=service, dataset=dataset)[1]


# Going on without them


def not_postponed(gateway: Gateway, login: Login) -> tuple[PendingTerms, ...]:
    """The terms that wait and that this login has not chosen to go on without."""
    postponed = logins.postponed_terms(login.token)
    return tuple(one for one in list_pending(gateway, login.principal) if one.terms.id not in postponed)


def hold_back(gateway: Gateway, login: Login) -> bool:
    """Whether terms wait, not postponed, that hold back what a grant of this person reaches."""
    return any(one.reached for one in not_postponed(gateway, login))


def postponing(gateway: Gateway, login: Login, pending: Iterable[PendingTerms]) -> str:
    """Proves that our page, which showed these terms to this login, offered to go on without them."""
    values = {"token": login.token.id, "later": _digest(pending)}
    return signing.sign(gateway.secret_keys, Purpose.FORM, values, clock.now() + READING_TIME)


def postpone(gateway: Gateway, login: Login, presented: str) -> bool:
    """Remember for this login that it goes on without the terms that wait.

    Args:
        presented: what `postponing` gave.

    Returns:
        Whether it is ours, and no other terms wait than those that were shown.
    """
    pending = not_postponed(gateway, login)
    if _signed(gateway, presented) != {"token": login.token.id, "later": _digest(pending)}:
        return False
    logins.postpone_terms(gateway.writer, login.token, [one.terms.id for one in pending])
    return True


def _digest(pending: Iterable[PendingTerms]) -> str:
    ids = " ".join(map(str, sorted({one.terms.id for one in pending})))
    return hashlib.sha256(ids.encode()).hexdigest()[:32]


# The page


@dataclass(frozen=True, slots=True)
class Going:
    """Where a page with terms leads.

    Attributes:
        here: the page itself: a path on this server.
        target: where to go after accepting: what redirects.py let through, or empty for /success.
        later: where to go without accepting; empty for nowhere.
    """

    here: str
    target: str = ""
    later: str = ""

    @property
    def field(self) -> str:
        """The name under which a form or a link sends the target."""
        return "redirect" if redirects.origin_of(self.target) else "next"

    def accept_url(self, terms_id: int) -> str:
        """The page of one document, from which one comes back to where these lead."""
        return terms.accept_path(terms_id) + (f"?{urlencode({self.field: self.target})}" if self.target else "")


def terms_page(
    gateway: Gateway, login: Login, pending: tuple[PendingTerms, ...], going: Going, *, title: str, lead: str = ""
) -> HTTPResponse:
    """A page with terms, each with its own accept; several can be ticked and accepted at once.

    Those that hold back what a grant reaches come first; the others, of public datasets, are only named.
    If a grant reaches none, the public ones are shown.
    """
    concerns: dict[int, list[str]] = {}
    for one in pending:
        concerns.setdefault(one.terms.id, []).append(_concerns(one))
    reached = {one.terms.id: one.terms.name for one in pending if one.reached}
    others = {one.terms.id: one.terms.name for one in pending if one.terms.id not in reached}
    if not reached:
        reached, others = others, {}
    shown = _entries(gateway, login, list(reached))
    for entry, following in zip(shown, [*shown[1:], None], strict=True):
        entry |= {"concerns": concerns[entry["id"]], "then": following["id"] if following else ""}

    def links(named: dict[int, str]) -> list[dict[str, Any]]:
        return [
            {"name": named[number], "concerns": concerns[number], "url": going.accept_url(number)}
            for number in list(named)[:MOST_LINKS]
        ]

    rest = {number: name for number, name in reached.items() if number not in {entry["id"] for entry in shown}}
    return page(
        "terms",
        title=title,
        lead=lead,
        entries=shown,
        going=going,
        rest=links(rest),
        more_rest=max(0, len(rest) - MOST_LINKS),
        others=links(others),
        more_others=max(0, len(others) - MOST_LINKS),
        parent=login.principal.parent_id is not None,
        account=login.principal.label,
        another=another_account(going.here),
        form_targets=_form_targets(gateway, going.target),
    )


def document_page(
    gateway: Gateway, login: Login, document: Terms, datasets: Iterable[str], going: Going, *, accepted: str, note: str
) -> HTTPResponse:
    """A page with one document, to read, print and save; to accept it too if neither of the following says more.

    Args:
        accepted: when it was accepted; empty if it was not. ``note``: why it need not be accepted.
    """
    entry = _entry(gateway, login, document, top=2) | {"concerns": list(datasets), "then": ""}
    return page(
        "document",
        title=document.name,
        entry=entry,
        going=going,
        place=_find_place(gateway, going.target),
        accepted=accepted,
        note=note,
        save=f"{terms.accept_path(document.id)}?save=1",
        parent=login.principal.parent_id is not None,
        account=login.principal.label,
        another=another_account(going.here),
        form_targets=_form_targets(gateway, going.target),
    )


def _form_targets(gateway: Gateway, target: str) -> tuple[str, ...]:
    # Chromium holds a form's redirects against form-action too, /activate's on to a service included.
    return tuple(filter(None, (redirects.origin_of(target), _nested_origin(gateway, target))))


def _find_place(gateway: Gateway, target: str) -> str:
    """Where a target leads in the end, in words: the site of a service or viewer that may be gone on to, or nothing."""
    path, _, query = target.partition("?")
    address = redirects.origin_of(target) or _nested_origin(gateway, target)
    if path == "/login":
        viewer = origins.parse(parse_qs(query).get("origin", [""])[-1])
        address = viewer if viewer and origins.allowed(viewer, gateway.config.ngauth_origins) else None
    return (address or "").partition("://")[2]


def _nested_origin(gateway: Gateway, target: str) -> str | None:
    """The service to which /activate will send on, where the target is /activate."""
    path, _, query = target.partition("?")
    if path != "/activate":
        return None
    allowed = redirects.elsewhere(gateway.config, parse_qs(query).get("redirect", [""])[-1])
    return redirects.origin_of(allowed) if allowed else None


def _entries(gateway: Gateway, login: Login, ids: list[int]) -> list[dict[str, Any]]:
    """The first documents, as many as one page shows."""
    shown: list[dict[str, Any]] = []
    length = 0
    for number in ids[:MOST_DOCUMENTS]:
        document = terms.find(gateway.reader, number)
        length += len(document.text)
        if shown and length > MOST_TEXT:
            break
        shown.append(_entry(gateway, login, document, top=3))
    return shown


def _entry(gateway: Gateway, login: Login, document: Terms, *, top: int) -> dict[str, Any]:
    return {
        "id": document.id,
        "name": document.name,
        "html": gateway.documents.html(document.text, top),
        "action": terms.accept_path(document.id),
        "form": form_token(gateway, login, document.id),
    }


def _concerns(one: PendingTerms) -> str:
    version = f", version {one.version}" if one.version else ""
    service = f", in {one.service}" if one.service else ""
    return f"{one.dataset}{version}{service}" if one.dataset else ""


# Forms


def form_token(gateway: Gateway, login: Login, terms_id: int) -> str:
    """Proves that our page, shown to this login, sent the form for these terms."""
    values = {"token": login.token.id, "terms": terms_id}
    return signing.sign(gateway.secret_keys, Purpose.FORM, values, clock.now() + READING_TIME)


def are_our_forms(gateway: Gateway, login: Login, forms: Mapping[int, str]) -> bool:
    """Whether our page showed these terms to this login.

    Args:
        forms: id of the terms -> what `form_token` gave for them.
    """
    return all(
        _signed(gateway, presented) == {"token": login.token.id, "terms": terms_id}
        for terms_id, presented in forms.items()
    )


def _signed(gateway: Gateway, presented: str) -> dict[str, Any] | None:
    try:
        return signing.verify(gateway.secret_keys, Purpose.FORM, presented, clock.now())
    except signing.Refused:
        return None
