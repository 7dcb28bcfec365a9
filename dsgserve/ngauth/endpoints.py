"""Neuroglancer's requests: a cookie for a user token, and that for a Google token. contract.md, "ngauth".

A request without an Origin comes from a program, not from a page. It may use both routes too: CORS protects the user of
a browser, and has no meaning for a program.
"""

import hashlib
import logging
from dataclasses import dataclass

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import buckets, clock, snapshots, validation
from dsgctl.core.errors import Invalid
from dsgctl.core.rules.buckets import BucketDecision, BucketReason, decide_bucket_access
from dsgctl.core.token_checks import TokenError
from dsgserve.gateway import Gateway
from dsgserve.http.requests import json_object
from dsgserve.http.responses import CHALLENGE, Audience, Refusal, json_reply, unauthorized
from dsgserve.http.route import Request
from dsgserve.login.authentication import Login
from dsgserve.ngauth.token_exchange import GoogleRefused, GoogleUnavailable
from dsgserve.ngauth.user_tokens import find_owner, sign_user_token
from dsgserve.process import logs
from dsgserve.process.outbound import deadline_of
from dsgserve.terms import pending_terms
from dsgserve.terms.missing_terms import describe_missing

log = logging.getLogger("dsgserve.ngauth")

_MESSAGES = {
    BucketReason.UNKNOWN_BUCKET: "no dataset of this gateway is stored in this bucket",
    BucketReason.NO_PERMISSION: "you have no permission to view the data in this bucket",
    BucketReason.TOS_REQUIRED: "accept the terms of the dataset first",
    BucketReason.TOO_MANY_PREFIXES: "you may view more folders of this bucket than one Google token can cover; "
    "tell the operators",
    BucketReason.UNUSABLE_LOCATION: "no Google token can be limited to the folder of this dataset; tell the operators",
}


def token(gateway: Gateway, request: Request[Login]) -> HTTPResponse | Refusal:
    """POST /token: a user token for the token in the cookie, which can be a login, an API token or a service account's.

    A viewer shows people only a button that opens our window, and only after a 401. So while terms withhold something
    that this person was granted, a page gets 401, and the window shows the terms. Once they are accepted or postponed
    there, the page gets the token. A program, which sends no Origin, has no such button.
    """
    if request.origin is not None and pending_terms.has_blocking_terms(gateway, request.caller):
        return Refusal(
            401,
            "tos_required",
            "you have terms to accept",
            Audience.PROGRAMS,
            headers={"WWW-Authenticate": CHALLENGE},
            details={"url": f"{gateway.config.origin}/activate"},
        )
    user_token = sign_user_token(gateway, request.caller, clock.now())
    return HTTPResponse(user_token, 200, {"Content-Type": "text/plain; charset=utf-8"})


@dataclass(frozen=True, slots=True)
class ReadableBucket:
    """A bucket of which the owner of a user token may read something.

    Attributes:
        prefixes: those that may be read; ``("",)`` for the whole bucket.
        credential: the name of the bucket's own credential, if it has one.
        client: the hash of the user token.
    """

    bucket: str
    prefixes: tuple[str, ...]
    credential: str | None
    client: str


def require_user_token(gateway: Gateway, request: Request[None]) -> ReadableBucket | Refusal:
    """A valid user token whose owner may read something of the bucket; else 400, 401 or 403."""
    fields = _read_body(request.http)
    if fields is None:
        text = 'send a JSON object: {"token": TEXT, "bucket": NAME}'
        return Refusal(400, "invalid_request", text, Audience.PROGRAMS)
    user_token, bucket = fields
    at = clock.now()
    with gateway.reader.snapshot():
        owner = find_owner(gateway, request.http, user_token, at)
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
    return ReadableBucket(bucket, decision.prefixes, credential, hashlib.sha256(user_token.encode()).hexdigest())


def gcs_token(gateway: Gateway, request: Request[ReadableBucket]) -> HTTPResponse | Refusal:
    """POST /gcs_token: a Google token for what the owner of the user token may read of a bucket."""
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
        text = "Google issues no token for this bucket; tell the operators"
        return Refusal(502, "google_refused", text, Audience.PROGRAMS)
    gateway.metrics.add("gcs_tokens")
    return json_reply({"token": google_token})


def _read_body(request: BaseRequest) -> tuple[str, str] | None:
    """The user token and the bucket; None if the body has another form. The content type does not matter."""
    try:
        body = json_object(request)
    except Invalid:
        return None
    user_token, bucket = body.get("token"), body.get("bucket")
    if not isinstance(user_token, str) or not isinstance(bucket, str) or not user_token or not _is_bucket(bucket):
        return None
    return user_token, bucket


def _is_bucket(text: str) -> bool:
    try:
        return validation.gs_url(f"gs://{text}") == (text, "")
    except Invalid:
        return False


def _refuse_bucket(gateway: Gateway, decision: BucketDecision) -> Refusal:
    gateway.metrics.add("gcs_tokens_refused")
    is_about_terms = decision.reason is BucketReason.TOS_REQUIRED
    details = describe_missing(gateway.config.origin, decision.missing) if is_about_terms else {}
    return Refusal(403, decision.reason, _MESSAGES[decision.reason], Audience.PROGRAMS, details=details)
