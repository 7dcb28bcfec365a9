"""The lists of the native API: datasets, their versions, members of groups. contract-services.md, "Lists"."""

from bottle import HTTPResponse

from dsgctl.core import clock, groups, visible_datasets
from dsgserve.gateway import Gateway
from dsgserve.http.requests import query_value
from dsgserve.http.responses import NO_STORE, Audience, Refusal, json_reply
from dsgserve.http.route import Request
from dsgserve.login.authentication import Login

_NO_DATASET = Refusal(404, "not_found", "there is no such dataset", Audience.PROGRAMS)
_NO_GROUP = Refusal(404, "not_found", "there is no such group", Audience.PROGRAMS)


def show_datasets(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    """GET /api/dsg/v1/datasets: what the caller may know of."""
    service = query_value(request.http, "service")
    with gateway.reader.snapshot():
        rows = visible_datasets.list_datasets(gateway.reader, request.caller.principal, clock.now(), service=service)
    return json_reply(rows, headers=NO_STORE)


def show_versions(gateway: Gateway, request: Request[Login]) -> HTTPResponse | Refusal:
    """GET /api/dsg/v1/datasets/<dataset>/versions: all versions of a dataset that the caller may know of."""
    service = query_value(request.http, "service")
    with gateway.reader.snapshot():
        rows = visible_datasets.list_versions(
            gateway.reader, request.caller.principal, request.names["dataset"], clock.now(), service=service
        )
    return _NO_DATASET if rows is None else json_reply(rows, headers=NO_STORE)


def show_members(gateway: Gateway, request: Request[Login]) -> HTTPResponse | Refusal:
    """GET /api/dsg/v1/groups/<group>/members, and in its other spelling: emails."""
    with gateway.reader.snapshot():
        emails = groups.list_emails(gateway.reader, request.names["group"], request.caller.principal)
    return _NO_GROUP if emails is None else json_reply(emails, headers=NO_STORE)
