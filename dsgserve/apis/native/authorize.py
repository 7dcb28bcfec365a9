"""POST /api/dsg/v1/authorize: what a caller may do with datasets and versions. contract-services.md, "Authorize"."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bottle import HTTPResponse

from dsgctl.core import clock, reference_decisions
from dsgctl.core.errors import Invalid
from dsgctl.core.rules import levels
from dsgctl.core.rules.reference_access import MALFORMED, ReferenceDecision
from dsgctl.core.rules.references import Reference
from dsgserve.gateway import Gateway
from dsgserve.http.redirects import TargetRefused, require_target
from dsgserve.http.requests import content_type, json_object
from dsgserve.http.responses import NO_STORE, Audience, Refusal, json_reply
from dsgserve.http.route import Request
from dsgserve.login.authentication import Login

MAX_ENTRIES = 1000
MAX_BODY = 256 * 1024  # bytes
_ECHOED = ("name", "version", "branch")

_NOT_JSON = Refusal(415, "unsupported_media_type", "send the body as application/json", Audience.PROGRAMS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a request.

    Attributes:
        echo: what the answer repeats of it.
        reference: None for a malformed one.
    """

    echo: Mapping[str, object]
    reference: Reference | None
    permission: str = levels.VIEW


def answer(gateway: Gateway, request: Request[Login | None]) -> HTTPResponse | Refusal:
    """Decide about each entry, in order.

    Raises:
        Invalid: the body is not a JSON object with a list of entries, is too long, or has too many entries.
    """
    if content_type(request.http) != "application/json":
        return _NOT_JSON
    body = json_object(request.http)
    entries = _read_entries(body.get("entries"))
    service = body.get("service")
    asking = service if isinstance(service, str) else None
    principal = request.caller.principal if request.caller is not None else None
    requests = [(entry.reference, entry.permission) for entry in entries if entry.reference is not None]
    with gateway.reader.snapshot():
        answers = reference_decisions.decide_all(gateway.reader, principal, requests, clock.now(), service=asking)
    decisions = iter(answers.decisions)
    build_url = _UrlBuilder(gateway, answers.catalogue.service, body.get("return_url"))
    rows = [
        {**entry.echo, **_describe(MALFORMED if entry.reference is None else next(decisions), build_url)}
        for entry in entries
    ]
    return json_reply({"entries": rows}, headers=NO_STORE)


def _read_entries(entries: object) -> list[Entry]:
    if not isinstance(entries, list):
        raise Invalid("'entries' is not a list")
    if len(entries) > MAX_ENTRIES:
        raise Invalid(f"there are more than {MAX_ENTRIES} entries; send them in several requests")
    return [_read_entry(entry) for entry in entries]


def _read_entry(entry: object) -> Entry:
    if not isinstance(entry, dict):
        return Entry({}, None)
    echo = {key: entry[key] for key in _ECHOED if key in entry}
    name, version, branch = (entry.get(key) for key in _ECHOED)
    permission = entry.get("permission", levels.VIEW)
    if not isinstance(name, str) or not isinstance(version, str | None) or not isinstance(branch, str | None):
        return Entry(echo, None)
    if not isinstance(permission, str) or not permission:
        return Entry(echo, None)
    return Entry(echo, Reference(name, version, branch), permission)


class _UrlBuilder:
    """Builds the addresses at which terms are accepted.

    Args:
        service: that asks, if it is a known one.
        return_url: where to go afterwards; dropped unless it is text and an address to which this server may lead.
    """

    def __init__(self, gateway: Gateway, service: str | None, return_url: object) -> None:
        self._page = f"{gateway.config.origin}/activate"
        self._parameters = {"service": service} if service is not None else {}
        if isinstance(return_url, str) and return_url:
            with suppress(TargetRefused):  # the person stays here: the answer about the data does not depend on it
                self._parameters["redirect"] = require_target(gateway.config, return_url, "return_url")

    def __call__(self, decision: ReferenceDecision) -> str:
        versions = {terms.version for terms in decision.missing if terms.version is not None}
        name = ":".join((decision.dataset, *versions))  # one at most
        return f"{self._page}?{urlencode({'dataset': name, **self._parameters})}"


def _describe(decision: ReferenceDecision, build_url: _UrlBuilder) -> dict[str, Any]:
    """A decision, as the answer has it."""
    row: dict[str, Any] = {"roles": list(decision.roles), "decision": str(decision.verdict)}
    if decision.missing:
        row["tos_url"] = build_url(decision)
    if decision.anchors:
        row["anchors"] = [
            {"branch": anchor.branch, "version": anchor.ordinal, "roles": list(anchor.roles)}
            for anchor in decision.anchors
        ]
    return row
