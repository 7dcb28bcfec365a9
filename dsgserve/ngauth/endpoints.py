"""ngauth, as Neuroglancer speaks it: cookie to user token to Google token. contract.md, "ngauth".

A request without any Origin header comes from a program, not from a page: it may use the two
POSTs too, for what protects a browser's user (CORS) has no meaning for it.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import buckets, clock, snapshots, token_checks, validation
from dsgctl.core.errors import Invalid
from dsgctl.core.rules.buckets import BucketDecision, BucketReason, decide_bucket_access
from dsgctl.core.token_checks import TokenError
from dsgctl.store import StoreError
from dsgctl.store.models import Principal
from dsgctl.wire_contract import accept_path
from dsgserve.gateway import Gateway
from dsgserve.http import origins, signing
from dsgserve.http.requests import is_deliberate, json_object, present_token, query_value, query_values, wants_page
from dsgserve.http.responses import CHALLENGE, Audience, Refusal, another_account, json_reply, page, unauthorized
from dsgserve.http.route import Answer, Request
from dsgserve.http.signing import Purpose
from dsgserve.login import authentication
from dsgserve.login.admission import sign_in_first
from dsgserve.login.authentication import Login
from dsgserve.ngauth.token_exchange import GoogleRefused, GoogleUnavailable
from dsgserve.process import logs
from dsgserve.process.outbound import deadline_of
from dsgserve.terms import form_proofs, page_content, pending_terms
from dsgserve.terms.page_content import Navigation

USER_TOKEN_LIFE = timedelta(hours=1)

log = logging.getLogger("dsgserve.ngauth")

_SAID = {
    BucketReason.UNKNOWN_BUCKET: "no dataset of this gateway is stored in this bucket",
    BucketReason.NO_PERMISSION: "you have no permission to view the data in this bucket",
    BucketReason.TOS_REQUIRED: "accept the terms of the dataset first",
    BucketReason.TOO_MANY_PREFIXES: "you may view more folders of this bucket than one Google token can cover; "
    "tell the operators",
    BucketReason.UNUSABLE_LOCATION: "no Google token can be limited to the folder of this dataset; tell the operators",
}


# The popup


@dataclass(frozen=True, slots=True)
class Popup:
    """The window of a viewer.

    Attributes:
        origin: of the viewer, which is allowed.
        login: the login of the cookie.
    """

    origin: str
    login: Login


def admit_to_login(gateway: Gateway, request: Request[None]) -> Popup | Login | TokenError | Answer | None:
    """With ``?origin=``, the window of an allowed viewer, after a sign-in; without it, everybody.

    Raises:
        Invalid: the request also asks for another kind of token.
    """
    values = query_values(request.http, "origin")
    if not values:
        return authentication.authenticate_request(gateway, request.http)
    origin = origins.parse(values[0]) if len(values) == 1 else None
    if origin is None:
        return _INVALID_ORIGIN
    if query_value(request.http, "token") is not None:
        # It asks for another kind of token than the one that is posted here (contract.md, "GET /login").
        raise Invalid("do not send 'token': this page issues one kind of token only")
    if not origins.is_allowed(origin, gateway.config.ngauth_origins):
        text = f"The viewer at {origin} may not open datasets of this site. Ask {gateway.site.helpers} to allow it."
        return _popup_page(origin, "badorigin", "This viewer is not allowed", text)
    login = sign_in_first(gateway, request)
    return Popup(origin, login) if isinstance(login, Login) else login


def login(gateway: Gateway, request: Request[Popup | Login | TokenError | None]) -> HTTPResponse:
    """GET /login: whether one is signed in; with ``?origin=``, the popup of a viewer."""
    popup = request.caller
    if not isinstance(popup, Popup):
        return _status_page(request.http, popup)
    here, login = request.here, popup.login
    pending = pending_terms.list_unpostponed(gateway, login)
    if pending and not _goes_on_without(gateway, request.http, login):
        proof = form_proofs.sign_postponement(gateway, login, pending_terms.terms_ids(pending))
        skip = f"{here}&{urlencode({'terms': 'later', 'form': proof})}"
        viewer = urlsplit(popup.origin).netloc
        return page_content.terms_page(
            gateway,
            login,
            pending,
            Navigation(here, here, skip),
            title="Terms to accept",
            lead=f"{viewer} can open a dataset for you once you accept its terms.",
        )
    token = _build_user_token(gateway, login, clock.now())
    text = "You can close this window, and continue in the viewer."
    return _popup_page(popup.origin, {"token": token}, "You are signed in", text, account=login.principal.label)


def _goes_on_without(gateway: Gateway, request: BaseRequest, found: Login) -> bool:
    """Whether this request goes on without terms: from now on, with what our page gave for it; else this once."""
    if query_value(request, "terms") != "later":
        return False
    presented = query_value(request, "form")
    if not presented or request.environ["REQUEST_METHOD"] != "GET" or not is_deliberate(request, gateway.config.origin):
        return True
    try:
        return pending_terms.postpone(gateway, found, presented)
    except StoreError as error:  # on a full disk nothing is remembered, but people get on
        log.warning("cannot remember that terms are postponed: %s", error.message)
        return True


_INVALID_ORIGIN = Refusal(
    400,
    "invalid_origin",
    "This address is for viewers: it must name the one that opened it, as origin=https://HOST. "
    "Go back to the viewer and open the dataset there again.",
    title="No viewer opened this page",
)


def _popup_page(origin: str, message: Any, title: str, text: str, *, account: str = "") -> HTTPResponse:
    again = another_account("/login?" + urlencode({"origin": origin})) if account else ""
    return page(
        "popup", title=title, text=text, origin=origin, message=json.dumps(message), account=account, another=again
    )


def _status_page(request: BaseRequest, login: Login | TokenError | None) -> HTTPResponse:
    label = login.principal.label if isinstance(login, Login) else None
    if wants_page(request):
        return page("status", title="Sign-in status", account=label, another=another_account("/login"))
    body = {"logged_in": True, "email": label} if label else {"logged_in": False}
    return json_reply(body, headers={"Cache-Control": "no-store"})


# Cookie to user token


def token(gateway: Gateway, request: Request[Login]) -> HTTPResponse | Refusal:
    """POST /token: a short-lived user token for the login of the cookie.

    The cookie may hold a login, an API token or a service account's: contract.md, "POST /token", asks that the
    account and the token are valid, not of which kind they are.

    A viewer shows people nothing but a button that opens our popup, and that only after a 401. So while terms withhold
    something that this person was granted, a page gets a 401, and the popup shows the terms; once they are accepted or
    postponed there, the page gets the token. A program has no such button, and sends no Origin.
    """
    if request.origin is not None and pending_terms.has_blocking_terms(gateway, request.caller):
        details = {"url": f"{gateway.config.origin}/activate"}
        headers = {"WWW-Authenticate": CHALLENGE}
        return Refusal(
            401, "tos_required", "you have terms to accept", Audience.PROGRAMS, headers=headers, details=details
        )
    user_token = _build_user_token(gateway, request.caller, clock.now())
    return HTTPResponse(user_token, 200, {"Content-Type": "text/plain; charset=utf-8"})


def _build_user_token(gateway: Gateway, found: Login, at: datetime) -> str:
    """Names the principal and the token it rests on, so that it ends with them (`_owner`)."""
    expires = min(filter(None, (at + USER_TOKEN_LIFE, found.token.expires)))
    named = {"principal": found.principal.id, "token": found.token.id}
    return signing.sign(gateway.secret_keys, Purpose.USER_TOKEN, named, expires)


def _find_owner(gateway: Gateway, request: BaseRequest, presented: str, at: datetime) -> Principal | TokenError:
    """Whose user token this is, if the account and the login behind it are still good."""
    try:
        named = signing.verify(gateway.secret_keys, Purpose.USER_TOKEN, presented, at)
    except signing.Refused as error:
        return TokenError.EXPIRED if error.expired else TokenError.UNKNOWN
    status = token_checks.check(gateway.reader, present_token(request, named["token"]), at)
    if status.problem is not None:
        return status.problem
    if status.principal is None or status.principal.id != named["principal"]:
        return TokenError.UNKNOWN
    gateway.last_used.note(named["token"])
    logs.annotate(principal=status.principal.id)
    return status.principal


# User token to Google token


@dataclass(frozen=True, slots=True)
class ReadableBucket:
    """A bucket of which the owner of a user token may read something.

    Attributes:
        prefixes: those that may be read; ``("",)`` for the whole bucket.
        credential: the file of the bucket's own credential, if it has one.
        client: the hash of the user token.
    """

    bucket: str
    prefixes: tuple[str, ...]
    credential: str | None
    client: str


def require_user_token(gateway: Gateway, request: Request[None]) -> ReadableBucket | Refusal:
    """A valid user token whose owner may read something of the bucket; else 400, 401 or 403."""
    sent = _read_request(request.http)
    if sent is None:
        text = 'send a JSON object: {"token": TEXT, "bucket": NAME}'
        return Refusal(400, "invalid_request", text, Audience.PROGRAMS)
    presented, bucket = sent
    at = clock.now()
    with gateway.reader.snapshot():
        owner = _find_owner(gateway, request.http, presented, at)
        if isinstance(owner, TokenError):
            gateway.metrics.add("gcs_tokens_refused")
            return unauthorized(owner)
        credential = buckets.find_credential(gateway.reader, bucket)
        decision = decide_bucket_access(
            snapshots.read_principal(gateway.reader, owner), snapshots.read_bucket(gateway.reader, bucket), at
        )
    logs.annotate(bucket=bucket, decision=str(decision.reason))
    if decision.reason is not BucketReason.GRANTED:
        return _refuse_bucket(gateway, decision)
    return ReadableBucket(bucket, decision.prefixes, credential, hashlib.sha256(presented.encode()).hexdigest())


def gcs_token(gateway: Gateway, request: Request[ReadableBucket]) -> HTTPResponse | Refusal:
    """POST /gcs_token: a Google token for what its user may read of a bucket."""
    readable = request.caller
    try:
        google_token = gateway.issuer.issue(
            readable.bucket,
            readable.prefixes,
            readable.credential,
            client=readable.client,
            deadline=deadline_of(request.http),
        )
    except GoogleUnavailable as error:
        log.warning("no token for bucket %s: %s", readable.bucket, error)
        text = "Google cannot be asked for a token now; try again in a moment"
        return Refusal(503, "google_unavailable", text, Audience.PROGRAMS, headers={"Retry-After": "2"})
    except GoogleRefused as error:
        log.error("no token for bucket %s: %s", readable.bucket, error)
        text = "Google gives no token for this bucket; tell the operators"
        return Refusal(502, "google_refused", text, Audience.PROGRAMS)
    gateway.metrics.add("gcs_tokens")
    return json_reply({"token": google_token})


def _read_request(request: BaseRequest) -> tuple[str, str] | None:
    """The user token and the bucket of a body, or None if it is not such a body. Its type is not looked at."""
    try:
        body = json_object(request)
    except Invalid:
        return None
    presented, bucket = body.get("token"), body.get("bucket")
    if not isinstance(presented, str) or not isinstance(bucket, str) or not presented or not _is_bucket(bucket):
        return None
    return presented, bucket


def _is_bucket(text: str) -> bool:
    try:
        return validation.gs_url(f"gs://{text}") == (text, "")
    except Invalid:
        return False


def _refuse_bucket(gateway: Gateway, decision: BucketDecision) -> Refusal:
    gateway.metrics.add("gcs_tokens_refused")
    details: dict[str, object] = {}
    if decision.reason is BucketReason.TOS_REQUIRED:
        paths = [accept_path(one.id) for one in decision.missing]
        details["url"] = gateway.config.origin + (paths[0] if len(paths) == 1 else "/activate")
        details["missing_tos"] = [
            {"tos_id": one.id, "tos_name": one.name, "url": gateway.config.origin + path}
            for one, path in zip(decision.missing, paths, strict=True)
        ]
    return Refusal(403, decision.reason, _SAID[decision.reason], Audience.PROGRAMS, details=details)
