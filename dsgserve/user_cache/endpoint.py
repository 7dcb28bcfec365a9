"""GET /api/v1/user/cache: identity and permissions. The hot path."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import snapshots
from dsgctl.core.rules import access
from dsgctl.core.token_checks import TokenError
from dsgctl.store import Database
from dsgctl.store.models import Principal
from dsgctl.wire_contract import build_user_cache
from dsgserve.gateway import Gateway
from dsgserve.http.proxy import find_client_address
from dsgserve.http.requests import presented_tokens, query_value
from dsgserve.http.responses import Refusal, unauthorized
from dsgserve.http.route import Request
from dsgserve.user_cache.response_cache import Answer, Question

PATH = "/api/v1/user/cache"


@dataclass(frozen=True)
class UserCacheQuestion(Question):
    """Who somebody is, and what they may do."""

    def build_answer(self, database: Database, principal: Principal | None, at: datetime) -> Answer:
        assert principal is not None  # noqa: S101  it is asked with a token only
        snapshot = snapshots.read_principal(database, principal, service=self.service)
        body = json.dumps(build_user_cache(snapshot, at), ensure_ascii=False, separators=(",", ":")).encode()
        return Answer(body, access.next_change(snapshot, at))


def look_up(gateway: Gateway, request: BaseRequest) -> bytes | TokenError | None:
    """The body of the response, or the error of the first token; None if no token was sent.

    Raises:
        StoreError: the database does not answer.
        Invalid: the query has too many parameters.
    """
    question = UserCacheQuestion(query_value(request, "service"))
    find_address = partial(find_client_address, request.environ)
    problem = None
    for token in presented_tokens(request, gateway.config.token_names):
        response = gateway.response_cache.get(token, question, find_address)
        if response.problem is None:
            gateway.last_used.note(response.token_id)
            return response.answer.body
        problem = problem or response.problem
    return problem


def admit(gateway: Gateway, request: Request[None]) -> bytes | Refusal:
    """A valid token anywhere on the request, as the body of its response; else 401."""
    body = look_up(gateway, request.http)
    return body if isinstance(body, bytes) else unauthorized(body)


def build_response(body: bytes) -> HTTPResponse:
    return HTTPResponse(body, 200, {"Content-Type": "application/json", "Cache-Control": "no-store"})


def show(gateway: Gateway, request: Request[bytes]) -> HTTPResponse:
    return build_response(request.caller)
