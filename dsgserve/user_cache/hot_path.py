"""Answers requests from the response cache by their token: in the pipeline, and on the short cut (short_cut.py)."""

from collections.abc import Callable
from functools import partial

from bottle import HTTPResponse

from dsgctl.core.errors import Invalid
from dsgctl.core.token_checks import TokenError
from dsgserve.gateway import Gateway
from dsgserve.http.proxy import find_client_address
from dsgserve.http.requests import HasEnviron, presented_tokens
from dsgserve.http.responses import Audience, Refusal, unauthorized
from dsgserve.http.route import Request
from dsgserve.user_cache.question import Content, Question

ReadQuestion = Callable[[Gateway, HasEnviron], Question]


def look_up(
    gateway: Gateway, http: HasEnviron, read: ReadQuestion, *, build: bool = True
) -> Content | TokenError | None:
    """The answer to the question of a request, or the error of its first token; None if it needs a token.

    Args:
        build: whether an answer that is not cached is built.

    Raises:
        MustBuild: the answer must be built, and ``build`` is false.
        StoreError: the database does not answer.
        Invalid: the request asks no question.
    """
    question = read(gateway, http)
    sent = presented_tokens(http, gateway.config.token_names)
    cache = gateway.response_cache
    if not sent.tokens:
        return cache.get(None, question, build=build).content if question.public else None
    find_address = partial(find_client_address, http.environ)
    problem = None
    for token in sent.tokens:
        response = cache.get(token, question, find_address, in_cookie=sent.in_cookie, build=build)
        if response.problem is None:
            content = response.content and cache.complete(question, response.content, build=build)
            gateway.last_used.note(response.token_id)
            return content
        problem = problem or response.problem
    return problem


def admit(gateway: Gateway, request: Request[None], read: ReadQuestion) -> Content | Refusal:
    """The answer to the question of a request with a valid token anywhere on it; else 401."""
    try:
        content = look_up(gateway, request.http, read)
    except Invalid as error:
        return Refusal(error.http_status, error.code, error.message, Audience.PROGRAMS)
    return content if isinstance(content, Content) else unauthorized(content)


def show(gateway: Gateway, request: Request[Content]) -> HTTPResponse:
    content = request.caller
    return HTTPResponse(content.body, content.status, dict(content.headers))
