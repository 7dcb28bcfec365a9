"""GET /api/v1/user/cache: identity and permissions. The hot path."""

from bottle import HTTPResponse, LocalRequest

from dsgserve.gateway import Gateway
from dsgserve.replies import unauthorized
from dsgserve.requests import presented_token


def show(gateway: Gateway, request: LocalRequest) -> HTTPResponse:
    token = presented_token(request, gateway.config.token_names)
    if token is None:
        return unauthorized(None)
    answer = gateway.answers.get(token, request.query.get("service"))
    if answer.problem is not None:
        return unauthorized(answer.problem)
    gateway.last_used.note(answer.token_id)
    return HTTPResponse(answer.body, 200, {"Content-Type": "application/json", "Cache-Control": "no-store"})
