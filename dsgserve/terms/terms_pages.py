"""The pages on which terms are read and accepted. contract.md, "Terms pages"."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import acceptances, clock, readable_terms, snapshots, terms
from dsgctl.core.errors import Invalid, NotAllowed, NotFound
from dsgctl.core.readable_terms import Readable
from dsgctl.core.rules.terms import TermsStatus
from dsgctl.core.transaction import begin_change
from dsgctl.store.models import Terms
from dsgctl.wire_contract import accept_path
from dsgserve.gateway import Gateway
from dsgserve.http import redirects
from dsgserve.http.ascii_text import number
from dsgserve.http.requests import form, form_field, query_value
from dsgserve.http.responses import Refusal, message_page, page, redirect
from dsgserve.http.route import Request
from dsgserve.login import form_proofs
from dsgserve.login.authentication import Login
from dsgserve.terms import page_content, pending_terms
from dsgserve.terms.page_content import Navigation

TARGETS = ("next", "redirect")  # where a page of terms leads
_MAX_ID = 999_999_999
_SELECTED = "accept-"  # begins the fields of a form that accepts several documents; the id follows


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The terms that a login accepts with a form, and the address to go to afterwards; empty if the form names none."""

    login: Login
    terms_ids: tuple[int, ...]
    target: str


def require_form(gateway: Gateway, request: Request[None]) -> Acceptance | Refusal:
    """A login of the cookie to which our page showed the terms of this form (form_proofs.py).

    Raises:
        Invalid: the form accepts no terms.
        TargetRefused: it leads to where this server sends nobody.
    """
    fields = form(request.http)
    terms_id = request.numbers.get("terms_id")
    proofs = _read_proofs(fields) if terms_id is None else {terms_id: fields.get("form") or ""}
    # Of the form alone: our pages send it there, so the query of a link, which no page of ours wrote, decides nothing.
    target = redirects.read_target(gateway.config, request.http, TARGETS, form_field)
    page_path = accept_path(next(iter(proofs))) if len(proofs) == 1 else "/activate"
    again = page_path + (f"?{urlencode({page_content.target_field(target): target})}" if target else "")
    login = form_proofs.require_login(
        gateway,
        request.http,
        lambda login: all(form_proofs.verify(gateway, login, proof, terms=each) for each, proof in proofs.items()),
        page="the terms",
        again=again,
    )
    if isinstance(login, Refusal):
        return login
    return Acceptance(login, tuple(proofs), target)


def _read_proofs(fields: Mapping[str, str]) -> dict[int, str]:
    """The proofs of a form (form_proofs.py), by the ids of the terms that it accepts.

    Raises:
        Invalid: it accepts none.
    """
    fields_by_id = (
        {fields["terms"]: fields.get("form", "")}
        if "terms" in fields
        else {name.removeprefix(_SELECTED): value for name, value in fields.items() if name.startswith(_SELECTED)}
    )
    proofs = {number(name, most=_MAX_ID): proof for name, proof in fields_by_id.items()}
    if not proofs or None in proofs:
        raise Invalid("nothing was accepted: select the terms that you accept, and send the form again")
    return {terms_id: proof for terms_id, proof in proofs.items() if terms_id is not None}


def activate(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """GET /activate: all pending terms of this person, or the document of an invitation.

    ``?service=`` includes the terms of that service, ``?dataset=`` excludes those of other datasets, and ``?invite=``
    (or ``token``) shows one document. If there is nothing to accept, it redirects to ``next`` or ``redirect``.

    Raises:
        TargetTooLong: the forms of the page could not lead back to this address.
    """
    login, here, target = request.caller, request.here, request.target
    if invite := query_value(request.http, "invite") or query_value(request.http, "token"):
        return _show_document(gateway, login, Navigation(here, target, target or "/"), invite=invite)
    filters = {key: value for key in ("service", "dataset") if (value := query_value(request.http, key))}
    pending = pending_terms.list_pending(gateway, login.principal, **filters)
    if not pending:
        if target:
            return redirect(target)
        text = "Thank you. There are no more terms to accept."
        return message_page(200, "All done", text, go_to_your_datasets="/")
    if len(here) > redirects.MAX_LENGTH:
        raise redirects.TargetTooLong(
            "the address to go to after these terms is too long; accept the terms from the page of your datasets, and "
            "then open the link again"
        )
    navigation = Navigation(here, here, target or "/")
    lead = "You get access to each dataset named here once you accept its terms."
    return page_content.terms_page(gateway, login, pending, navigation, title="Terms to accept", lead=lead)


def show(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """GET /api/v1/tos/<id>/accept: one document. ``?save=1`` sends it as a file."""
    login, terms_id = request.caller, request.numbers["terms_id"]
    if query_value(request.http, "save") == "1":
        return _send_file(gateway, login, terms_id)
    navigation = Navigation(request.here, request.target, request.target or "/")
    return _show_document(gateway, login, navigation, terms_id=terms_id)


def accept(gateway: Gateway, request: Request[Acceptance]) -> HTTPResponse:
    """POST /activate and /api/v1/tos/<id>/accept: record the acceptances of a form, all or none."""
    login = request.caller.login
    readable_ids = [_find_readable(gateway, login, terms_id=terms_id).id for terms_id in request.caller.terms_ids]
    with begin_change(gateway.writer, f"user:{login.principal.email}") as change:
        for terms_id in readable_ids:
            acceptances.accept(change, terms_id, login.principal.email, address=request.http.environ.get("REMOTE_ADDR"))
    target = request.caller.target
    return redirect((target or "/success") + _fragment(request.http, target))


def success(gateway: Gateway, request: Request[None]) -> HTTPResponse:
    """GET /success: the page after terms are accepted."""
    return page("success", title="Thank you")


def _show_document(
    gateway: Gateway, login: Login, navigation: Navigation, *, terms_id: int = 0, invite: str | None = None
) -> HTTPResponse:
    readable = _find_readable(gateway, login, terms_id=terms_id, invite=invite)
    document = terms.find(gateway.reader, readable.id)
    # A document that is already accepted is shown, not skipped: a service that has not noticed the acceptance yet
    # would send the browser back here, again and again.
    accepted = _format_acceptance(gateway, login, document.id)
    note = "" if accepted or not _is_retired(gateway, document) else "These terms are no longer in force."
    return page_content.document_page(
        gateway, login, document, readable.datasets, navigation, accepted=accepted, note=note
    )


def _format_acceptance(gateway: Gateway, login: Login, terms_id: int) -> str:
    acceptor = login.principal.parent_id or login.principal.id
    when = acceptances.find_date(gateway.reader, terms_id, acceptor, clock.now())
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else ""


def _send_file(gateway: Gateway, login: Login, terms_id: int) -> HTTPResponse:
    """The text of the document, with who accepted it and when."""
    document = terms.find(gateway.reader, _find_readable(gateway, login, terms_id=terms_id).id)
    accepted = _format_acceptance(gateway, login, document.id)
    head = f"{document.name}\n" + (f"Accepted by {login.principal.label} on {accepted}\n" if accepted else "")
    response = HTTPResponse(f"{head}\n{document.text}\n".encode(), 200)
    response.set_header("Content-Type", "text/plain; charset=utf-8")
    response.set_header("Content-Disposition", f'attachment; filename="terms-{document.id}.txt"')
    response.set_header("Cache-Control", "no-store")
    return response


def _find_readable(gateway: Gateway, login: Login, *, terms_id: int = 0, invite: str | None = None) -> Readable:
    """The terms, if this login may read them (`readable_terms.find_readable`).

    Raises:
        NotFound: there are none, or this login may not read them. The message does not say which.
        NotAllowed: the login is of a service account.
    """
    if login.principal.kind != "user":
        raise NotAllowed("a service account needs no terms: terms are for people")
    with gateway.reader.snapshot():
        snapshot = snapshots.read_principal(gateway.reader, login.principal)
        readable = readable_terms.find_readable(gateway.reader, snapshot, clock.now(), terms_id=terms_id, invite=invite)
    if readable is None:
        raise NotFound("there are no such terms, or they are for people with access to another dataset")
    return readable


def _is_retired(gateway: Gateway, document: Terms) -> bool:
    """Whether the terms no longer count. The terms of a dataset itself count whatever their dates."""
    return terms.find_status(gateway.reader, document, clock.now()) is TermsStatus.RETIRED


def _fragment(request: BaseRequest, target: str) -> str:
    """The position of the next document, if the target is a page of terms again."""
    following = number(form(request).get("then") or "", most=_MAX_ID)
    is_terms_page = target.partition("?")[0] in ("/login", "/activate")
    return f"#terms-{following}" if is_terms_page and following else ""
