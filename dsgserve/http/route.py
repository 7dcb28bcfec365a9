"""What a route declares: who may ask, how forged requests are refused, and what its handler gets.

The table of routes is in routing.py, and that of an API in its module in dsgserve/apis/. app.py enforces what each
route declares.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from bottle import BaseRequest, HTTPResponse

from dsgserve.gateway import Gateway
from dsgserve.http.requests import MAX_BODY, HasEnviron, query_value
from dsgserve.http.responses import Refusal
from dsgserve.user_cache.question import Question

Caller = TypeVar("Caller")
Answer = HTTPResponse | Refusal


@dataclass(frozen=True, slots=True)
class Request(Generic[Caller]):
    """A request that has passed everything that its route declares.

    Attributes:
        http: headers, parameters and body, to be read with the functions of requests.py, which bound the work.
        path: the path of the route, with its numbers and names filled in.
        numbers: the numbers in the path, by name.
        names: the names in the path, by name.
        origin: the allowed origin of the page that sent the request; None for a program, and on routes without CORS.
        target: the validated address to go to afterwards; empty if the request names none.
        may_change: whether the guard lets this request change anything.
        caller: what the admission of the route returned.
        carries: as the endpoint declares them.
        prefix: what stood before the path when the client asked, and stands there in our links too.
    """

    http: BaseRequest
    path: str
    caller: Caller
    numbers: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None
    target: str = ""
    may_change: bool = False
    carries: tuple[str, ...] = ()
    prefix: str = ""

    @property
    def here(self) -> str:
        """This address with the parameters that survive a sign-in, to come back to."""
        parameters = {name: value for name in self.carries if (value := query_value(self.http, name))}
        path = f"{self.prefix}{self.path}"
        return f"{path}?{urlencode(parameters)}" if parameters else path


Admission = Callable[[Gateway, Request[None]], Caller | Answer]
Handler = Callable[[Gateway, Request[Caller]], Answer]


class Guard(Enum):
    """How a request that a page of another site makes a browser send (CSRF) is kept from doing harm."""

    HARMLESS = "it changes nothing that belongs to anybody"
    LINK = "it changes something only if it is deliberate, and with a proof of our page or an answer remembered from it"
    DELIBERATE = "it is a person's own navigation, comes from our own page, or has a token in a header"
    FORM = "it carries a proof, which the admission verifies, that our page showed the form to this login"
    ORIGIN = "its Origin is allowed, or it has none, as from a program"


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[Caller]):
    """One method of a route. Without an admission and a guard there is no endpoint.

    Attributes:
        admits: decides who may ask; returns the caller for the handler, or an answer in its place.
        guard: against forged requests.
        reads_body: whether the handler gets the body, if it is not too long; else it gets none.
        max_body: bytes of the longest body.
        targets: parameters that name where to go afterwards; the first one that is sent counts, and is validated
            (redirects.py).
        carries: parameters of the query that survive a sign-in on the way (`Request.here`).
    """

    method: str
    handler: Handler[Caller]
    admits: Admission[Caller]
    guard: Guard
    reads_body: bool = False
    max_body: int = MAX_BODY
    targets: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether it acts at once, so that a HEAD, a prefetch or a frame must not reach it."""
        return self.guard is Guard.DELIBERATE


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table.

    Attributes:
        path: with ``<name:int>`` where a number stands, and ``<name>`` where any other name does.
        popup: on the way of the ngauth popup, whose window must not be isolated.
        cors: pages of allowed viewers send requests and read the responses, errors included. OPTIONS is answered.
        waits: may have to wait for another server, so a thread of the slow pool answers it.
        often: programs send requests all the time, so they are logged at DEBUG only.
        limited: nginx limits how often one client may ask (nginx/dsg.conf); tests/dsgserve/http/test_wire.py compares.
        any_method: its endpoint answers every method.
        question: reads what a request asks of the response cache, if that answers it (hot_path.py); short_cut.py
            uses it.

    Raises:
        ValueError: ``cors`` and the guards contradict each other, or a method occurs twice.
    """

    path: str
    endpoints: tuple[Endpoint[Any], ...]
    popup: bool = False
    cors: bool = False
    waits: bool = False
    often: bool = False
    limited: bool = False
    any_method: bool = False
    question: Callable[[Gateway, HasEnviron], Question] | None = None

    def __post_init__(self) -> None:
        if any((endpoint.guard is Guard.ORIGIN) != self.cors for endpoint in self.endpoints):
            raise ValueError(f"{self.path}: a route has CORS if and only if each endpoint is guarded by the origin")
        if len({endpoint.method for endpoint in self.endpoints}) != len(self.endpoints):
            raise ValueError(f"{self.path}: two endpoints have the same method")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in the table of contract.md, "Routes"."""
        return (*(endpoint.method for endpoint in self.endpoints), *(("OPTIONS",) if self.cors else ()))

    def allows(self, method: str) -> bool:
        """Whether the route answers a method."""
        return self.any_method or method in self.allowed_methods()

    def allowed_methods(self) -> list[str]:
        """The methods that the route answers; HEAD wherever a GET changes nothing."""
        return [*self.methods, "HEAD"] if self.find_endpoint("HEAD") else list(self.methods)

    def find_endpoint(self, method: str) -> Endpoint[Any] | None:
        """The endpoint that answers a method; None for OPTIONS, which the pipeline answers itself."""
        if self.any_method:
            return self.endpoints[0]
        for endpoint in self.endpoints:
            if endpoint.method == method or (method == "HEAD" and endpoint.method == "GET" and not endpoint.changes):
                return endpoint
        return None
