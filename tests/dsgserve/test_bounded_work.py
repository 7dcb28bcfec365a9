"""What one request may cost, whatever is sent: counted in calls that are made for it, not in seconds.

A call is one of Python's or of a built-in function. Those that are made at all do work that grows with the length of
what they are given, which server.py and wire.py bound.
"""

import json
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from waitress.adjustments import Adjustments

from dsgctl.core import grants, users, versions
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.setting_values import APIS
from dsgserve.gateway import Gateway
from dsgserve.http.routing import make_table
from dsgserve.http.wire import Parser
from dsgserve.server import MAX_HEADER
from tests.dsgserve.conftest import PAGE, Client, Lab
from tests.dsgserve.routes import EVERY_ROUTE, fill_path

MOST_CALLS = 20_000  # some five milliseconds
LONG = MAX_HEADER - 2000  # bytes of one header or of a query


def calls(run: Callable[[], object]) -> int:
    """How many calls are made."""
    number = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal number
        number += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
    return number


def full(piece: str, length: int = LONG) -> str:
    """The piece, over and over."""
    return (piece * (length // len(piece) + 1))[:length]


QUERIES = [
    full("a&"),
    full("&"),
    full("a=b&"),
    full("dsg_token=&"),
    full("dsg_token=x&"),
    full("service=x&"),
    full("%"),
    full("%41"),
    full("redirect=%2525"),
    "redirect=" + full("%25"),
    "redirect=https://cave.example/?" + full("%C3%A9", 4000),
    "redirect=https://cave.example/?" + full("&", 4000),
    "redirect=" + full("/activate?redirect=", 4000),
    "next=/?" + full("%25"),
    "redirect=https://cave.example/" + full("%22", 30_000),
    "next=/" + full("a/"),
    "state=" + full("x"),
    "code=" + full("x"),
    "origin=" + full("https://a."),
    full("origin=https://viewer.example&"),
    "origin=https://" + full("a."),
    "invite=" + full("x"),
    "dataset=" + full(":"),
    "dataset=" + full("x:"),
    "service=" + full("x"),
    "q=" + full("x "),
    "=" + full("="),
    full("+"),
    "token=" + full("."),
    "dsg_token=" + full("."),
    "dsg_token=" + full("%00"),
    "terms=later&form=" + full("."),
]
HEADERS: list[dict[str, str]] = [
    {"cookie": full("dsg_token=x; ")},
    {"cookie": full("dsg_token=; ")},
    {"cookie": full(";")},
    {"cookie": full("a=b;")},
    {"cookie": full("dsg_token=")},
    {"cookie": full(" ;")},
    {"cookie": "dsg_token=" + full("x")},
    {"cookie": full('dsg_token=";')},
    {"cookie": ";".join(f"dsg_token={number}" for number in range(2000))},
    {"cookie": "dsg_token" + full(" ")},
    {"cookie": ";" + full(" ") + "dsg_token=x"},
    {"cookie": ";".join(f"__Host-dsg_login={number}" for number in range(1500))},
    {"cookie": "__Host-dsg_login=" + full(".", 3800)},
    {"cookie": "__Host-dsg_login=" + full("x.", 3800)},
    {"authorization": "Bearer " + full("x")},
    {"authorization": full("Bearer ")},
    {"authorization": "Bearer " + full(" ")},
    {"authorization": "Bearer " + full(".")},
    {"authorization": full(" ")},
    {"accept": full("text/html,")},
    {"accept": full(",;q=")},
    {"origin": full("https://a.")},
    {"origin": "https://" + full("a")},
    {"origin": "https://" + full("a-", 290)},
    {"origin": "https://[" + full(":", 280) + "]"},
    {"sec_purpose": full("prefetc")},
    {"purpose": full("p")},
    {"sec_fetch_dest": full("document")},
    {"x_forwarded_for": full("1.2.3.4, ")},
    {"x_forwarded_for": full(",")},
    {"x_forwarded_for": full("1")},
    {"x_forwarded_for": full("::")},
    {"forwarded": full("for=1;")},
    {"host": full("localhost:")},
    {"x_requested_with": full("x")},
    {"referer": full("x")},
    {"user_agent": full("(")},
]
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
BODIES: list[tuple[str, bytes]] = [
    (kind, body)
    for kind in (FORM, JSON, "text/plain", full(";"), full("application/x-www-form-urlencoded ", 5000))
    for body in (
        full("a&", 60_000).encode(),
        full("a=b&", 16_000).encode(),
        b"form=" + full("%41", 16_000).encode(),
        b"redirect=https://cave.example/" + full("%C3", 15_000).encode(),
        b"terms=" + b"9" * 16_000,
        full("accept-1=x&", 16_000).encode(),
        "&".join(f"accept-{number}=x.y" for number in range(99)).encode(),
        b"[" * 16_000,
        b'{"a":' * 3_000,
        b"9" * 16_000,
        b'{"token": "' + b"." * 15_000 + b'", "bucket": "x"}',
        b'{"token": "x", "bucket": "' + b"." * 15_000 + b'"}',
        json.dumps({str(number): number for number in range(1400)}).encode(),
        b'{"x": ' + b"9" * 5000 + b"}",
        json.dumps({"redirect": "https://cave.example/" + "\u00e9" * 2000}).encode(),
        b"\xff" * 16_000,
        b'{"redirect": "' + b"\\u00e9" * 2600 + b'"}',
        b"[" + b"1e9," * 3_900 + b"1]",
        b'"' + b"\\" * 15_999,
    )
]


@pytest.fixture
def count_calls(client: Client, lab: Lab) -> Iterator[Callable[..., int]]:
    """Counts the calls that a request to a route makes beyond those of a plain one."""

    def paths() -> Iterator[tuple[str, str]]:
        for route in EVERY_ROUTE:
            for method in route.methods:
                yield method, fill_path(route, lab.fly_terms)

    def count(query: str = "", **options: Any) -> int:
        most = 0
        for method, path in paths():
            where = f"{path}?{query}" if query else path
            client.request(method, where, **options)  # what is kept of it is no longer to be made
            most = max(most, calls(lambda m=method, w=where: client.request(m, w, **options)))  # type: ignore[misc]
        return most

    yield count


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_no_query_costs_more(query: str, count_calls: Callable[..., int], lab: Lab) -> None:
    assert count_calls(query) < MOST_CALLS
    assert count_calls(query, cookie=lab.bo, accept=PAGE) < MOST_CALLS


@pytest.mark.parametrize("headers", HEADERS, ids=range(len(HEADERS)))
def test_no_header_costs_more(headers: dict[str, str], count_calls: Callable[..., int]) -> None:
    assert count_calls(**headers) < MOST_CALLS


@pytest.mark.parametrize(("kind", "body"), BODIES, ids=range(len(BODIES)))
def test_no_body_costs_more(kind: str, body: bytes, client: Client, lab: Lab) -> None:
    for path in (
        "/api/v1/authorize",
        "/api/v1/logout",
        "/token",
        "/gcs_token",
        "/activate",
        f"/api/v1/tos/{lab.fly_terms}/accept",
    ):

        def post(path: str = path) -> None:
            client.post(path, body=body, content_type=kind, cookie=lab.bo)

        post()  # what is kept of it is no longer to be made
        assert calls(post) < MOST_CALLS, path


def test_the_number_of_parameters_is_bounded_before_any_is_decoded(client: Client, lab: Lab) -> None:
    """The shortest way too: eight clients with 28 KB of them had made everybody wait."""
    plain = calls(lambda: client.get("/api/v1/user/cache", authorization=f"Bearer {lab.ada}"))
    query = full("a&", 28_000)
    for path in ("/api/v1/user/cache", "/login", "/"):
        reply = client.get(f"{path}?{query}", authorization=f"Bearer {lab.ada}")
        assert reply.status == 400
        assert calls(lambda path=path: client.get(f"{path}?{query}")) < plain + 1000  # type: ignore[misc]


# What is read before there is an environ

ON_THE_WIRE = [
    b"GET /" + full("a/", 30_000).encode() + b" HTTP/1.1\r\n\r\n",
    b"GET /" + full("%41", 30_000).encode() + b" HTTP/1.1\r\n\r\n",
    b"GET /" + full("%41/", 4000).encode() + b" HTTP/1.1\r\n\r\n",
    b"GET /api/v1/service/" + full("%ff", 4000).encode() + b" HTTP/1.1\r\n\r\n",
    b"GET a://" + b"1" * 30_000 + b" X\r\n\r\n",
    b"GET " + b"a" * 30_000 + b" X Y\r\n\r\n",
    b"A" * 30_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 7000 + b"\r\n",
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
    b"GET / HTTP/1.1\r\nX:" + b" " * 30_000 + b"\x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nX:" + b" \t" * 15_000 + b"y\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: y\r\n" + b" \r\n" * 9000 + b"\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"y " * 15_000 + b"\x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nTransfer-Encoding: " + b"chunked," * 3000 + b"\r\n\r\n",
    b"\r\n" * 15_000 + b"GET / HTTP/1.1\r\n\r\n",
    b"GET http://" + b"[" * 30_000 + b"/ HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: " + b"1" * 30_000 + b"\r\n\r\n",
]


def make_parser(adjustments: Adjustments) -> Parser:
    """A parser of a server with every API."""
    parser = Parser(adjustments)
    parser.channel = SimpleNamespace(table=make_table(APIS), unread=b"", stops=False)
    return parser


@pytest.mark.parametrize("sent", ON_THE_WIRE, ids=range(len(ON_THE_WIRE)))
def test_what_is_read_from_a_connection_costs_no_more(sent: bytes, gateway: Gateway) -> None:
    adjustments = Adjustments(max_request_header_size=MAX_HEADER)
    parser = make_parser(adjustments)
    assert calls(lambda: parser.received(sent)) < MOST_CALLS
    assert parser.completed or parser.chunked


def test_long_runs_of_white_space_are_shortened_before_a_pattern_meets_them(gateway: Gateway) -> None:
    """waitress's pattern for a header takes time that grows with their square."""
    parser = make_parser(Adjustments(max_request_header_size=MAX_HEADER))
    parser.received(b"GET / HTTP/1.1\r\nX: a" + b" " * 9000 + b"b\r\nY: c  d\r\n\r\n")
    assert parser.headers == {"X": "a b", "Y": "c  d"}


def add_versions(lab: Lab, numbers: range) -> None:
    """Versions of fish, each with a grant of ada's."""
    with lab.change() as change:
        ada = principal_subject(users.find(change.database, "ada@example.org"))
        for number in numbers:
            versions.add(change, "fish", f"n{number}")
            grants.add(change, ada, Target("fish", "edit", version=f"n{number}"))


def test_the_landing_page_costs_as_much_as_versions_and_grants_together(client: Client, lab: Lab) -> None:
    """Not as much as their product: the second six hundred of both cost what the first did, and not three times it."""
    costs = []
    for numbers in (range(0), range(600), range(600, 1200)):
        add_versions(lab, numbers)
        client.get("/", cookie=lab.ada)
        costs.append(calls(lambda: client.get("/", cookie=lab.ada)))
    assert costs[2] - costs[1] < 1.5 * (costs[1] - costs[0])
