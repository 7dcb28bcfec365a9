"""ngauth, as Neuroglancer speaks it: cookie to user token to Google token. contract.md, "ngauth".

A request without any Origin header comes from a program, not from a page: it may use the two
POSTs too, for what protects a browser's user (CORS) has no meaning for it.
"""

import hashlib
import json
import logging
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import buckets, clock, snapshots, terms, token_checks, validation
from dsgctl.core.errors import Invalid
from dsgctl.core.rules.buckets import BucketDecision, BucketReason, decide_bucket_access
from dsgctl.core.token_checks import TokenError
from dsgctl.store import StoreError
from dsgctl.store.models import Principal
from dsgserve.gateway import Gateway
from dsgserve.http import origins, signing
from dsgserve.http.requests import (
    header,
    is_deliberate,
    json_object,
    present_token,
    query_value,
    query_values,
    wants_page,
)
from dsgserve.http.responses import (
    CHALLENGE,
    another_account,
    json_error,
    json_reply,
    message_page,
    page,
    redirect,
    unauthorized,
)
from dsgserve.http.signing import Purpose
from dsgserve.login import authentication
from dsgserve.login.authentication import Login
from dsgserve.ngauth.token_exchange import GoogleRefused, GoogleUnavailable
from dsgserve.process import logs
from dsgserve.process.outbound import deadline_of
from dsgserve.terms import form_proofs, page_content, pending_terms
from dsgserve.terms.page_content import Navigation

USER_TOKEN_LIFE = timedelta(hours=1)
MAX_AGE = 600  # seconds that a browser may remember a preflight

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


def login(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """GET /login: whether one is signed in; with ``?origin=``, the popup of a viewer."""
    given = query_values(request, "origin")
    if not given:
        return _status_page(gateway, request)
    origin = origins.parse(given[0]) if len(given) == 1 else None
    if origin is None:
        return _refuse_origin(request)
    if query_value(request, "token") is not None:
        # It asks for another kind of token than the one that is posted here (contract.md, "GET /login").
        raise Invalid("do not send 'token': this page issues one kind of token only")
    if not origins.allowed(origin, gateway.config.ngauth_origins):
        text = f"The viewer at {origin} may not open datasets of this site. Ask {gateway.site.helpers} to allow it."
        return _popup_page(origin, "badorigin", "This viewer is not allowed", text)
    here = "/login?" + urlencode({"origin": origin})
    found = authentication.authenticate_cookie(gateway, request)
    if not isinstance(found, Login):
        return redirect("/auth/login?" + urlencode({"next": here}))
    pending = pending_terms.list_unpostponed(gateway, found)
    if pending and not _goes_on_without(gateway, request, found):
        proof = form_proofs.sign_postponement(gateway, found, pending_terms.terms_ids(pending))
        skip = f"{here}&{urlencode({'terms': 'later', 'form': proof})}"
        return page_content.terms_page(
            gateway,
            found,
            pending,
            Navigation(here, here, skip),
            title="Terms to accept",
            lead=f"{urlsplit(origin).netloc} can open a dataset for you once you accept its terms.",
        )
    token = _build_user_token(gateway, found, clock.now())
    text = "You can close this window, and continue in the viewer."
    return _popup_page(origin, {"token": token}, "You are signed in", text, account=found.principal.label)


def _goes_on_without(gateway: Gateway, request: BaseRequest, found: Login) -> bool:
    """Whether this request goes on without terms: from now on, with what our page gave for it; else this once."""
    if query_value(request, "terms") != "later":
        return False
    presented = query_value(request, "form")
    if not presented or request.method != "GET" or not is_deliberate(request, gateway.config.origin):
        return True
    try:
        return pending_terms.postpone(gateway, found, presented)
    except StoreError as error:  # on a full disk nothing is remembered, but people get on
        log.warning("cannot remember that terms are postponed: %s", error.message)
        return True


def _refuse_origin(request: BaseRequest) -> HTTPResponse:
    text = (
        "This address is for viewers: it must name the one that opened it, as origin=https://HOST. "
        "Go back to the viewer and open the dataset there again."
    )
    if wants_page(request):
        return message_page(400, "No viewer opened this page", text, go_to_your_datasets="/")
    return json_error(400, "invalid_origin", text)


def _popup_page(origin: str, message: Any, title: str, text: str, *, account: str = "") -> HTTPResponse:
    again = another_account("/login?" + urlencode({"origin": origin})) if account else ""
    return page(
        "popup", title=title, text=text, origin=origin, message=json.dumps(message), account=account, another=again
    )


def _status_page(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    found = authentication.authenticate_request(gateway, request)
    label = found.principal.label if isinstance(found, Login) else None
    if wants_page(request):
        return page("status", title="Sign-in status", account=label, another=another_account("/login"))
    body = {"logged_in": True, "email": label} if label else {"logged_in": False}
    return json_reply(body, headers={"Cache-Control": "no-store"})


# Cookie to user token


def token(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """POST /token: a short-lived user token for whoever the cookie names.

    The cookie alone counts. It may hold a login, an API token or a service account's: contract.md, "POST /token",
    asks that the account and the token are good, not of what kind they are.

    A viewer shows people nothing but a button that opens our popup, and that only after a 401. So while terms wait
    that hold back what this person was granted, a page gets one, and the popup shows the terms; once they are
    accepted or postponed there, it gets the token. A program has no such button, and no Origin.
    """
    if request.method == "OPTIONS":
        return _preflight(gateway, request)
    if refused := _check_origin(gateway, request):
        return refused
    found = authentication.authenticate_cookie(gateway, request)
    if not isinstance(found, Login):
        return unauthorized(found)
    if "Origin" in request.headers and pending_terms.has_blocking_terms(gateway, found):
        reply = json_error(401, "tos_required", "you have terms to accept", url=f"{gateway.config.origin}/activate")
        reply.set_header("WWW-Authenticate", CHALLENGE)
        return reply
    return HTTPResponse(
        _build_user_token(gateway, found, clock.now()), 200, {"Content-Type": "text/plain; charset=utf-8"}
    )


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
    logs.about(principal=status.principal.id)
    return status.principal


# User token to Google token


def gcs_token(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """POST /gcs_token: a Google token for what its user may read of a bucket."""
    if request.method == "OPTIONS":
        return _preflight(gateway, request)
    if refused := _check_origin(gateway, request):
        return refused
    asked = _read_request(request)
    if asked is None:
        return json_error(400, "invalid_request", 'send a JSON object: {"token": TEXT, "bucket": NAME}')
    presented, bucket = asked
    at = clock.now()
    with gateway.reader.snapshot():
        owner = _find_owner(gateway, request, presented, at)
        if isinstance(owner, TokenError):
            gateway.metrics.add("gcs_tokens_refused")
            return unauthorized(owner)
        credential = buckets.find_credential(gateway.reader, bucket)
        decision = decide_bucket_access(
            snapshots.read_principal(gateway.reader, owner), snapshots.read_bucket(gateway.reader, bucket), at
        )
    logs.about(bucket=bucket, decision=str(decision.reason))
    if decision.reason is not BucketReason.GRANTED:
        return _refuse_bucket(gateway, decision)
    client = hashlib.sha256(presented.encode()).hexdigest()
    try:
        token = gateway.issuer.issue(
            bucket, decision.prefixes, credential, client=client, deadline=deadline_of(request)
        )
    except GoogleUnavailable as error:
        log.warning("no token for bucket %s: %s", bucket, error)
        reply = json_error(503, "google_unavailable", "Google cannot be asked for a token now; try again in a moment")
        reply.set_header("Retry-After", "2")
        return reply
    except GoogleRefused as error:
        log.error("no token for bucket %s: %s", bucket, error)
        return json_error(502, "google_refused", "Google gives no token for this bucket; tell the operators")
    gateway.metrics.add("gcs_tokens")
    return json_reply({"token": token})


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


def _refuse_bucket(gateway: Gateway, decision: BucketDecision) -> HTTPResponse:
    gateway.metrics.add("gcs_tokens_refused")
    more: dict[str, Any] = {}
    if decision.reason is BucketReason.TOS_REQUIRED:
        paths = [terms.accept_path(one.id) for one in decision.missing]
        more["url"] = gateway.config.origin + (paths[0] if len(paths) == 1 else "/activate")
        more["missing_tos"] = [
            {"tos_id": one.id, "tos_name": one.name, "url": gateway.config.origin + path}
            for one, path in zip(decision.missing, paths, strict=True)
        ]
    return json_error(403, decision.reason, _SAID[decision.reason], **more)


# Origins


def cors(gateway: Gateway, request: BaseRequest, reply: HTTPResponse) -> None:
    """What every answer to an ngauth POST or preflight carries, errors included (app.py sees to it).

    A valid origin that is not allowed may read that it is not; without these headers its page
    would see a network error instead.
    """
    reply.set_header("Vary", "Origin")
    reply.set_header("Cache-Control", "no-store")
    origin = origins.parse(header(request, "Origin"))
    if origin is None:
        return
    if request.method == "OPTIONS" and not origins.allowed(origin, gateway.config.ngauth_origins):
        return
    reply.set_header("Access-Control-Allow-Origin", origin)
    reply.set_header("Access-Control-Allow-Credentials", "true")


def _check_origin(gateway: Gateway, request: BaseRequest) -> HTTPResponse | None:
    if "HTTP_ORIGIN" not in request.environ:
        return None
    origin = origins.parse(header(request, "Origin"))  # WSGI joins two of them with a comma: not an origin
    if origin is None:
        return json_error(400, "invalid_origin", "the Origin header is not an origin")
    if not origins.allowed(origin, gateway.config.ngauth_origins):
        return json_error(403, "origin_not_allowed", f"{origin} may not use this gateway")
    return None


def _preflight(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """Permission to POST for an allowed origin; for any other the same answer without it."""
    reply = HTTPResponse(b"", 204)
    origin = origins.parse(header(request, "Origin"))
    if origin is not None and origins.allowed(origin, gateway.config.ngauth_origins):
        reply.set_header("Access-Control-Allow-Methods", "POST")
        reply.set_header("Access-Control-Allow-Headers", "Content-Type")
        reply.set_header("Access-Control-Max-Age", str(MAX_AGE))
    return reply
