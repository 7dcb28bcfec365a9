"""Terms of service: read, accepted, and on to where one was going. contract.md, "Terms pages"."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import clock, snapshots, terms
from dsgctl.core.errors import Invalid, NotAllowed, NotFound
from dsgctl.core.rules import access
from dsgctl.core.terms import Readable
from dsgctl.core.transaction import begin_change
from dsgctl.store.models import Terms
from dsgserve.gateway import Gateway
from dsgserve.http import redirects
from dsgserve.http.ascii_text import number
from dsgserve.http.requests import form, query_value
from dsgserve.http.responses import message_page, page, redirect
from dsgserve.login import authentication
from dsgserve.login.authentication import Login
from dsgserve.terms import pending_terms
from dsgserve.terms.pending_terms import Going

# What a terms page may be asked with; nothing else is carried through a login.
_CARRIED = ("next", "redirect", "service", "dataset", "invite", "token")
_MOST_ID = 999_999_999
_TICKED = "accept-"  # begins the names of the fields of a form that accepts several; the number follows


def activate(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET or POST /activate: all terms that wait for this person, or those that an invitation names.

    ``?service=`` adds that service's terms, ``?dataset=`` leaves out those of others, ``?invite=``
    (or ``token``) shows one document. With nothing to accept it goes straight on to ``next`` or ``redirect``.
    """
    if request.method == "POST":
        return _record_acceptance(gateway, request, _forms(form(request)))
    target = _read_target(gateway, request)
    login = authentication.authenticate_cookie(gateway, request)
    if not isinstance(login, Login):
        return _sign_in_first("/activate", request)
    going = Going(_current_url("/activate", request), target, target or "/")
    if invite := query_value(request, "invite") or query_value(request, "token"):
        return _show_document(gateway, login, going, invite=invite)
    asked = {key: value for key in ("service", "dataset") if (value := query_value(request, key))}
    pending = pending_terms.list_pending(gateway, login.principal, **asked)
    if not pending:
        if target:
            return redirect(target)
        text = "Thank you. No terms wait for you: there is nothing more to accept."
        return message_page(200, "All done", text, go_to_your_datasets="/")
    going = Going(going.here, going.here, going.later)
    lead = "Each dataset named here opens for you once you have accepted its terms."
    return pending_terms.terms_page(gateway, login, pending, going, title="Terms to accept", lead=lead)


def _forms(fields: Mapping[str, str]) -> dict[int, str]:
    """Which terms a form accepts, each with its proof (`pending_terms.form_token`).

    Raises:
        Invalid: it names none.
    """
    sent = (
        {fields["terms"]: fields.get("form", "")}
        if "terms" in fields
        else {name.removeprefix(_TICKED): value for name, value in fields.items() if name.startswith(_TICKED)}
    )
    forms = {number(name, most=_MOST_ID): proof for name, proof in sent.items()}
    if not forms or None in forms:
        raise Invalid("nothing was accepted: tick the terms that you accept, and send the form again")
    return {terms_id: proof for terms_id, proof in forms.items() if terms_id is not None}


def accept(gateway: Gateway, request: BaseRequest, terms_id: int) -> HTTPResponse:
    """GET or POST /api/v1/tos/<id>/accept: one document. ``?save=1`` sends it as a file."""
    if request.method == "POST":
        return _record_acceptance(gateway, request, {terms_id: form(request).get("form") or ""})
    target = _read_target(gateway, request)
    login = authentication.authenticate_cookie(gateway, request)
    if not isinstance(login, Login):
        return _sign_in_first(terms.accept_path(terms_id), request)
    if query_value(request, "save") == "1":
        return _file(gateway, login, terms_id)
    going = Going(_current_url(terms.accept_path(terms_id), request), target, target or "/")
    return _show_document(gateway, login, going, terms_id=terms_id)


def success(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET /success"""
    return page("success", title="Thank you")


def _show_document(
    gateway: Gateway, login: Login, going: Going, *, terms_id: int = 0, invite: str | None = None
) -> HTTPResponse:
    readable = _find_readable(gateway, login, terms_id=terms_id, invite=invite)
    document = terms.find(gateway.reader, readable.id)
    # One that is accepted is shown, and not passed over: a service that has not noticed yet would send the browser
    # back, and so on.
    accepted = _accepted_when(gateway, login, document.id)
    note = "" if accepted or not _has_ended(gateway, document) else "These terms are no longer in force."
    return pending_terms.document_page(gateway, login, document, readable.datasets, going, accepted=accepted, note=note)


def _accepted_when(gateway: Gateway, login: Login, terms_id: int) -> str:
    when = terms.find_acceptance_date(gateway.reader, terms_id, login.principal.parent_id or login.principal.id)
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else ""


def _file(gateway: Gateway, login: Login, terms_id: int) -> HTTPResponse:
    """The document as it was typed, with who has accepted it and when."""
    document = terms.find(gateway.reader, _find_readable(gateway, login, terms_id=terms_id).id)
    accepted = _accepted_when(gateway, login, document.id)
    head = f"{document.name}\n" + (f"Accepted by {login.principal.label} on {accepted}\n" if accepted else "")
    reply = HTTPResponse(f"{head}\n{document.text}\n".encode(), 200)
    reply.set_header("Content-Type", "text/plain; charset=utf-8")
    reply.set_header("Content-Disposition", f'attachment; filename="terms-{document.id}.txt"')
    reply.set_header("Cache-Control", "no-store")
    return reply


def _find_readable(gateway: Gateway, login: Login, *, terms_id: int = 0, invite: str | None = None) -> Readable:
    """The terms, if this login may read them (`terms.readable`).

    Raises:
        NotFound: they are not there, or not for this reader: in the same words.
        NotAllowed: terms are for people.
    """
    if login.principal.kind != "user":
        raise NotAllowed("terms are for people: a service account needs none")
    with gateway.reader.snapshot():
        known = snapshots.read_principal(gateway.reader, login.principal)
        found = terms.find_readable(gateway.reader, known, clock.now(), terms_id=terms_id, invite=invite)
    if found is None:
        raise NotFound("there are no such terms, or they are for people who have access to another dataset")
    return found


def _has_ended(gateway: Gateway, found: Terms) -> bool:
    """Whether they count for nothing any more; a dataset's own count whatever their dates."""
    return access.is_retired(found.retired, clock.now()) and not terms.is_own_of_dataset(gateway.reader, found)


def _record_acceptance(gateway: Gateway, request: BaseRequest, forms: Mapping[int, str]) -> HTTPResponse:
    """Record acceptances that our own page sent, all or none, and go on.

    Args:
        forms: id of the terms -> what proves that the page showed them to this login.
    """
    target = _read_target(gateway, request)
    word = "redirect" if redirects.origin_of(target) else "next"
    page_path = terms.accept_path(next(iter(forms))) if len(forms) == 1 else "/activate"
    again = page_path + (f"?{urlencode({word: target})}" if target else "")
    signed_in = authentication.authenticate_all_cookies(gateway, request)
    if not signed_in:
        # A page, not a redirect: the policy of the page that sent the form forbids leaving for the provider.
        text = "You were signed out meanwhile, so nothing was recorded. Sign in, and accept the terms again."
        return message_page(401, "Sign in again", text, sign_in=f"/auth/login?next={quote(again, safe='')}")
    login = next((login for login in signed_in if pending_terms.are_our_forms(gateway, login, forms)), None)
    if login is None:
        text = "This page was opened too long ago, or with another sign-in, so nothing was recorded."
        return message_page(403, "Please open the terms again", text, open_the_terms=again)
    found = [_find_readable(gateway, login, terms_id=terms_id).id for terms_id in forms]
    with begin_change(gateway.writer, f"user:{login.principal.email}") as opened:
        for terms_id in found:
            terms.accept(opened, terms_id, login.principal.email, address=request.environ.get("REMOTE_ADDR"))
    return redirect((target or "/success") + _position(request, target))


def _position(request: BaseRequest, target: str) -> str:
    """The place on the page that one comes back to, below the document that was accepted."""
    following = number(form(request).get("then") or "", most=_MOST_ID)
    comes_back = target.partition("?")[0] in ("/login", "/activate")
    return f"#terms-{following}" if comes_back and following else ""


def _read_target(gateway: Gateway, request: BaseRequest) -> str:
    """Where to go on to; empty if the request does not say.

    Raises:
        Invalid: it names a place that a browser may not be sent to.
    """
    for name in ("next", "redirect"):
        asked = form(request).get(name) if request.method == "POST" else query_value(request, name)
        if asked:
            return redirects.require_target(gateway.config, asked, name, here=name == "next")
    return ""


def _sign_in_first(path: str, request: BaseRequest) -> HTTPResponse:
    return redirect("/auth/login?" + urlencode({"next": _current_url(path, request)}))


def _current_url(path: str, request: BaseRequest) -> str:
    """This page with what it was asked with, to come back to."""
    carried = {key: value for key in _CARRIED if (value := query_value(request, key))}
    return f"{path}?{urlencode(carried)}" if carried else path
