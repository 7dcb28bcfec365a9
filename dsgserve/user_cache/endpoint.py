"""GET /api/v1/user/cache: identity and permissions. The hot path."""

from functools import partial

from bottle import BaseRequest, HTTPResponse

from dsgctl.core.token_checks import TokenError
from dsgserve.gateway import Gateway
from dsgserve.http.requests import find_client_address, presented_tokens, query_value
from dsgserve.http.responses import unauthorized

PATH = "/api/v1/user/cache"


def look_up(gateway: Gateway, request: BaseRequest) -> bytes | TokenError | None:
    """The body of the answer, or why there is none; None if no token was sent.

    Raises:
        StoreError: the database does not answer.
        Invalid: the query has too many parameters.
    """
    service = query_value(request, "service")
    find_address = partial(find_client_address, request.environ)
    problem = None
    for token in presented_tokens(request, gateway.config.token_names):
        answer = gateway.response_cache.get(token, service, find_address)
        if answer.problem is None:
            gateway.last_used.note(answer.token_id)
            return answer.body
        problem = problem or answer.problem
    return problem


def reply(found: bytes | TokenError | None) -> HTTPResponse:
    """What `look_up` found, as an answer."""
    if not isinstance(found, bytes):
        return unauthorized(found)
    return HTTPResponse(found, 200, {"Content-Type": "application/json", "Cache-Control": "no-store"})


def show(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    return reply(look_up(gateway, request))
