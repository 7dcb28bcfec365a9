"""Terms of service: read, accepted, and on to where one was going. contract.md: /activate, /api/v1/tos/<id>/accept."""

from urllib.parse import quote, urlencode

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import access, change, clock, facts, terms
from dsgctl.core.access import Facts, Waiting
from dsgctl.core.errors import Invalid, NotAllowed, NotFound
from dsgctl.store.models import Terms
from dsgserve import redirects, session, waiting
from dsgserve.ascii_text import number
from dsgserve.gateway import Gateway
from dsgserve.replies import message_page, page, redirect
from dsgserve.requests import form, query_value
from dsgserve.session import Login

# What a terms page may be asked with; nothing else is carried through a login.
_CARRIED = ("next", "redirect", "service", "dataset", "invite", "token")


def activate(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET or POST /activate: all terms that wait for this person, or those that an invitation names.

    ``?service=`` adds that service's terms, ``?dataset=`` leaves out those of others, ``?invite=``
    (or ``token``) shows one document. With nothing to accept it goes straight on to ``next`` or ``redirect``.
    """
    if request.method == "POST":
        terms_id = number(form(request).get("terms") or "", most=999_999_999)
        if terms_id is None:
            raise Invalid("the form does not say which terms")
        return _accepted(gateway, request, terms_id)
    target = _target(gateway, request)
    login = session.of_cookie(gateway, request)
    if not isinstance(login, Login):
        return _sign_in_first("/activate", request)
    if invite := query_value(request, "invite") or query_value(request, "token"):
        invited = terms.by_invite(gateway.facts, invite)
        if invited is None:
            raise _not_there()
        return _one_page(gateway, login, invited.id, target)
    asked = {key: value for key in ("service", "dataset") if (value := query_value(request, key))}
    pending = waiting.of(gateway, login.principal, **asked)
    if not pending:
        if target:
            return redirect(target)
        return message_page(200, "Nothing to accept", "No terms wait for you.", to_the_start="/")
    return waiting.terms_page(
        gateway, login, pending, target=_here("/activate", request), later=target or "/",
        title="Terms to accept", lead="What these terms are for is open to you once you have accepted them.",
    )  # fmt: skip


def accept(gateway: Gateway, request: BaseRequest, terms_id: int) -> HTTPResponse:
    """GET or POST /api/v1/tos/<id>/accept: one document."""
    if request.method == "POST":
        return _accepted(gateway, request, terms_id)
    target = _target(gateway, request)
    login = session.of_cookie(gateway, request)
    if not isinstance(login, Login):
        return _sign_in_first(terms.accept_path(terms_id), request)
    return _one_page(gateway, login, terms_id, target)


def success(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET /success"""
    return page("success", title="Accepted")


def _one_page(gateway: Gateway, login: Login, terms_id: int, target: str) -> HTTPResponse:
    found, known, names = _readable(gateway, login, terms_id)
    if found.id in known.accepted:
        # Not straight on: a service that has not noticed yet would send the browser back, and so on.
        return message_page(200, "Already accepted", f"You have accepted “{found.name}”.", go_on=target or "/")
    if _has_ended(gateway, found):
        return message_page(200, "No longer in force", f"“{found.name}” need not be accepted.", go_on=target or "/")
    document = access.Terms(found.id, found.name, found.effective, found.retired)
    pending = tuple(Waiting(document, name) for name in names) or (Waiting(document, ""),)
    return waiting.terms_page(gateway, login, pending, target=target, later=target or "/", title=found.name)


def _readable(gateway: Gateway, login: Login, terms_id: int) -> tuple[Terms, Facts, list[str]]:
    """The terms, the reader's facts, and the names of the datasets concerned that the reader may know of.

    A closed dataset's terms are shown only to those whom a grant on it reaches. To others they are
    not there, in the same words as for an id that nobody has.

    Raises:
        NotFound: they are not there, or not for this reader.
        NotAllowed: terms are for people.
    """
    if login.principal.kind != "user":
        raise NotAllowed("terms are for people: a service account needs none")
    with gateway.facts.snapshot():
        known = facts.of_principal(gateway.facts, login.principal)
        try:
            found = terms.find(gateway.facts, terms_id)
        except NotFound:
            raise _not_there() from None
        concerned = terms.datasets_of(gateway.facts, found.id)
    at = clock.now()
    names = [name for name in concerned if access.may_know_of(known, name, at)]
    if concerned and not names:
        raise _not_there()
    return found, known, names


def _not_there() -> NotFound:
    return NotFound("there are no such terms, or they are not for you")


def _has_ended(gateway: Gateway, found: Terms) -> bool:
    """Whether they count for nothing any more; a dataset's own count whatever their dates."""
    return found.retired is not None and found.retired <= clock.now() and not terms.are_own(gateway.facts, found)


def _accepted(gateway: Gateway, request: BaseRequest, terms_id: int) -> HTTPResponse:
    """Record an acceptance that our own page sent, and go on."""
    target = _target(gateway, request)
    word = "redirect" if redirects.origin_of(target) else "next"
    again = terms.accept_path(terms_id) + (f"?{urlencode({word: target})}" if target else "")
    logins = session.all_of_cookies(gateway, request)
    if not logins:
        # A page, not a redirect: the policy of the page that sent the form forbids leaving for the provider.
        text = "Your sign-in has ended, and nothing was recorded."
        return message_page(401, "Sign in again", text, sign_in=f"/auth/login?next={quote(again, safe='')}")
    proof = form(request).get("form") or ""
    login = next((login for login in logins if waiting.is_our_form(gateway, login, terms_id, proof)), None)
    if login is None:
        text = "This form is too old, or it was not made by this page. Nothing was recorded."
        return message_page(403, "Please open the terms again", text, open_the_terms=again)
    found, _, _ = _readable(gateway, login, terms_id)
    with change.change(gateway.writer, f"user:{login.principal.email}") as opened:
        terms.accept(opened, found.id, login.principal.email, address=request.environ.get("REMOTE_ADDR"))
    return redirect(target or "/success")


def _target(gateway: Gateway, request: BaseRequest) -> str:
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
    return redirect("/auth/login?" + urlencode({"next": _here(path, request)}))


def _here(path: str, request: BaseRequest) -> str:
    """This page with what it was asked with, to come back to."""
    carried = {key: value for key in _CARRIED if (value := query_value(request, key))}
    return f"{path}?{urlencode(carried)}" if carried else path
