"""What comes in over a socket, in bytes: which threads take it, and what every answer carries."""

import json
import re
import shutil
import socket
import ssl
from functools import partial
from pathlib import Path

import pytest

from dsgserve.http.wire import MAX_HEADERS
from tests.dsgserve.conftest import Lab
from tests.dsgserve.http.test_routing import TARGETS, resolve
from tests.dsgserve.routes import EVERY_ROUTE, fill_path
from tests.dsgserve.wire import HEAD, SECONDS, Wire, assert_secure, parse
from tests.e2e.local import make_certificate, wait_until
from tests.e2e.proxy import HOST, run_nginx


def on_the_wire(target: str) -> bytes | None:
    """A target as bytes, if a request line can have it."""
    try:
        raw = target.encode("latin-1")
    except UnicodeEncodeError:
        return None
    return raw if raw and b"\n" not in raw and len(raw) < 9000 else None


# Who takes a request


def test_the_slow_lane_takes_only_requests_to_routes_that_call_upstreams(wire: Wire) -> None:
    for target, path in TARGETS.items():
        raw = on_the_wire(target)
        if raw is None:
            continue
        wire.dispatcher.took.clear()
        status, _, _ = wire.ask(b"GET " + raw + HEAD + b"\r\n")
        route = resolve(target).route
        assert (path is None) == (status in (400, 404, 414)), (target, status)
        assert wire.dispatcher.took == {"all": 1, **({"slow": 1} if route and route.waits else {})}, target


RATIONED = {route.path for route in EVERY_ROUTE if route.limited}


@pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")
def test_through_nginx_the_same_route_is_taken_and_counted_whenever_it_is_rationed(wire: Wire, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, HOST)
    with run_nginx(tmp_path, certificate, f"127.0.0.1:{wire.address[1]}") as port:
        context, log = ssl.create_default_context(cafile=str(certificate)), tmp_path / "dsg.access.log"
        for number, raw in enumerate(filter(None, map(on_the_wire, TARGETS)), 1):
            wire.dispatcher.took.clear()
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=HOST) as client:
                client.settimeout(SECONDS)
                client.sendall(b"GET " + raw + HEAD + b"\r\n")
                status = int(client.recv(65536).split(b" ")[1])
            wait_until(partial(_has_lines, log, number), event="the line")
            if not wire.dispatcher.took:
                assert status in (400, 404, 405, 414), raw  # nginx's own answer
                continue
            # nginx sends on in origin-form what came in absolute-form, of whatever scheme.
            route = resolve(raw.decode("latin-1").removeprefix("ftp://h")).route
            assert (route is None) == (status in (400, 404, 414)), (raw, status)
            assert wire.dispatcher.took == {"all": 1, **({"slow": 1} if route and route.waits else {})}, raw
            counted = "limit=PASSED" in log.read_text().splitlines()[-1]
            assert counted or route is None or route.path not in RATIONED, raw
        bearer = HEAD + b"Authorization: Bearer t\r\n"
        for head, counted in (
            (b"GET /sticky_auth/api/v1/authorize" + HEAD, True),
            (b"POST /api/dsg/v1/authorize" + HEAD, True),
            (b"POST /api/dsg/v1/authorize" + bearer, False),  # a service that asks for its users
        ):
            number += 1
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=HOST) as client:
                client.sendall(head + b"\r\n")
                client.recv(65536)
            wait_until(partial(_has_lines, log, number), event="the line")
            assert ("limit=PASSED" in log.read_text().splitlines()[-1]) == counted, head


# Path as a client sends it -> the path and the prefix that the server gets.
PREFIXED = {
    "/auth/api/v1/username?id=1": ("/api/v1/username?id=1", "/auth"),
    "/sticky_auth/api/v1/username": ("/api/v1/username", "/sticky_auth"),
    "/sticky_auth/settings/tokens": ("/settings/tokens", "/sticky_auth"),
    "/auth/api/v1/service/a%2Fb/table/c%20d/dataset": ("/api/v1/service/a%2Fb/table/c%20d/dataset", "/auth"),
    "/auth/api/v1//user": ("/api/v1//user", "/auth"),
    "/auth/api/v1/a+b/./c/../d?next=/auth/api/v1/": ("/api/v1/a+b/./c/../d?next=/auth/api/v1/", "/auth"),
    "/auth/api/v1/": ("/api/v1/", "/auth"),
    "/auth/auth/api/v1/user": ("/auth/auth/api/v1/user", ""),
    "/auth/login": ("/auth/login", ""),
    "/auth/login?next=/auth/api/v1/user": ("/auth/login?next=/auth/api/v1/user", ""),
    "/auth_info": ("/auth_info", ""),
    "/auth/api/v2/user": ("/auth/api/v2/user", ""),
    "/auth/settings": ("/auth/settings", ""),
    "/%61uth/api/v1/user": ("/%61uth/api/v1/user", ""),
    "//auth/api/v1/user": ("//auth/api/v1/user", ""),
    "/api/v1/user": ("/api/v1/user", ""),
}


@pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")
def test_nginx_takes_the_prefixes_of_cave_away_and_nothing_else(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, HOST)
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(SECONDS)
        with run_nginx(tmp_path, certificate, f"127.0.0.1:{upstream.getsockname()[1]}") as port:
            context = ssl.create_default_context(cafile=str(certificate))
            for sent, expected in PREFIXED.items():
                with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=HOST) as client:
                    client.sendall(b"GET " + sent.encode() + HEAD + b"X-Forwarded-Prefix: /evil\r\n\r\n")
                    connection, _ = upstream.accept()
                    with connection:
                        head = connection.recv(65536).decode()
                        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                prefixes = re.findall(r"^X-Forwarded-Prefix: (.*)\r$", head, re.MULTILINE | re.IGNORECASE)
                assert (head.split(" ")[1], "".join(prefixes)) == expected, sent


def _has_lines(log: Path, number: int) -> bool:
    return len(log.read_text().splitlines()) == number


def test_nginx_limits_the_routes_that_declare_it_and_no_others() -> None:
    conf = (Path(__file__).parents[3] / "nginx" / "dsg.conf").read_text()
    assert set(re.findall(r"^ +(/\S+)\s+\$(?:binary_remote_addr|dsg_without_token);$", conf, re.MULTILINE)) == RATIONED


def test_the_lane_is_chosen_for_each_request_of_a_connection(wire: Wire) -> None:
    targets = [b"/auth/login", b"//auth/login", b"/health", b"/gcs_token", b"/%67cs_token", b"///gcs_token"]
    requests = b"".join(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n" for target in targets)
    answer = wire.send(requests + b"GET /health" + HEAD + b"\r\n")
    assert answer.count(b"HTTP/1.1 ") == 7
    assert wire.dispatcher.took == {"all": 7, "slow": 3}


# What every answer carries

METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW")


def test_every_method_on_every_route(wire: Wire, lab: Lab) -> None:
    for route in EVERY_ROUTE:
        path = fill_path(route, lab.fly_terms).encode()
        for method in METHODS:
            for accept in (b"text/html", b"*/*"):
                sent = method.encode() + b" " + path + HEAD + b"Accept: " + accept + b"\r\nContent-Length: 0\r\n\r\n"
                status, headers, body = wire.ask(sent)
                where = (method, path, status)
                if "x-request-id" not in headers:  # the short cut
                    assert method == "GET"
                    assert route.question is not None
                    headers["x-request-id"] = "0" * 16
                assert_secure(headers, popup=route.popup, where=where)
                assert (status == 405) == (not route.allows(method)), where
                if status == 405:
                    assert headers["allow"] == ", ".join(route.allowed_methods()), where
                assert (not body) if method == "HEAD" or status == 204 else len(body) == int(headers["content-length"])


def test_head_is_answered_as_get_is_without_the_body(wire: Wire, lab: Lab) -> None:
    for path in (b"/", b"/health", b"/login", b"/nothing", b"/api/v1/user/cache", b"/success", b"/activate"):
        cookie = b"Cookie: dsg_token=" + lab.ada.encode() + b"\r\n\r\n"
        got, headers, body = wire.ask(b"GET " + path + HEAD + cookie)
        head, its_headers, nothing = wire.ask(b"HEAD " + path + HEAD + cookie)
        assert (head, nothing) == (got, b""), path
        assert abs(int(its_headers["content-length"]) - len(body)) <= 2, path
        assert {name for name in headers if name not in ("x-request-id",)} <= its_headers.keys(), path


_CHUNKS = b"\r\n0\r\n\r\n"
# Request line, headers, body: where the request ends for one reader, another is still within it (RFC 9112, 6.1).
UNCLEAR = [
    (b"POST /logout HTTP/1.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"transfer-encoding: chunked\r\ncontent-length: 5\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Transfer-Encoding: chunked, chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Transfer-Encoding: ,chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Transfer-Encoding: chunked,\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Transfer-Encoding:\r\n", b"\r\n"),
    (b"POST /logout HTTP/1.1", b"Transfer-Encoding:\r\nContent-Length: 5\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Transfer-Encoding: , ,\r\nContent-Length: 5\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Transfer-Encoding:\r\n chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.0", b"Transfer-Encoding: chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.0", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.2", b"Transfer-Encoding: chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/2.0", b"Transfer-Encoding: chunked\r\n", _CHUNKS),
    (b"POST /logout", b"Transfer-Encoding: chunked\r\n", _CHUNKS),
    (b"POST /logout HTTP/1.1", b"Content-Length: 0\r\nContent-Length: 0\r\n", b"\r\n"),
    (b"POST /logout HTTP/1.1", b"Content-Length: 0, 0\r\n", b"\r\n"),
    (b"POST /logout HTTP/1.1", b"Content-Length: +0\r\n", b"\r\n"),
    (b"POST /logout HTTP/1.1", b"Content-Length:\r\n", b"\r\n"),
    (b"POST /logout HTTP/1.1", b"Content-Length : 0\r\n", b"\r\n"),
    (b"GET /health HTTP/1.1", b"Transfer-Encoding: \x0bchunked\r\n", _CHUNKS),
]
NOT_READ: dict[str, tuple[bytes, int]] = {
    "no request line": (b"GET\r\n\r\n", 400),
    "a method in small letters": (b"get / HTTP/1.1\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n\r\n", 400),
    "binary": (b"\x16\x03\x01\r\n\r\n", 400),
    "no version that there is": (b"GET / HTTP/1.x\r\n\r\n", 400),
    "a header without a name": (b"GET /" + HEAD + b": x\r\n\r\n", 400),
    "a header with a null": (b"GET /" + HEAD + b"X: a\0b\r\n\r\n", 400),
    "a bare line feed": (b"GET /" + HEAD + b"X: a\nb\r\n\r\n", 400),
    "a length that is none": (b"POST /token" + HEAD + b"Content-Length: x\r\n\r\n", 400),
    "a length in Arabic digits": (b"POST /token" + HEAD + "Content-Length: \u0663\r\n\r\n".encode(), 400),
    "a length of 5,000 digits": (b"POST /token" + HEAD + b"Content-Length: " + b"0" * 5000 + b"\r\n\r\n", 400),
    "an address in brackets that is none": (b"GET http://[x/ HTTP/1.1\r\n\r\n", 400),
    "a body that is too long": (b"POST /activate" + HEAD + b"Content-Length: 300000\r\n\r\n", 413),
    "chunks that are too long": (
        b"POST /token" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"fffff\r\n" + b"x" * 300_000,
        413,
    ),
    "a chunk that is none": (b"POST /token" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    "another coding": (b"POST /login" + HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    **{
        f"a body whose end is not clear: {number}": (line + b"\r\nConnection: keep-alive\r\n" + headers + body, 400)
        for number, (line, headers, body) in enumerate(UNCLEAR)
    },
    "headers that are too long": (b"GET /login" + HEAD + b"Cookie: a=" + b"x" * 40_000 + b"\r\n\r\n", 431),
    "too many headers": (b"GET /login" + HEAD + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431),
    "a path that is too long": (b"GET /login" + b"x" * 9000 + HEAD + b"\r\n", 414),
    "a request line that is too long": (b"GET /login?" + b"x" * 40_000 + HEAD + b"\r\n", 431),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_a_request_that_cannot_be_parsed_is_answered_with_the_usual_headers(name: str, wire: Wire) -> None:
    request, expected = NOT_READ[name]
    status, headers, body = wire.ask(request)
    assert status == expected
    target = request.split(b" ")[1].decode("latin-1") if request.count(b" ") > 1 else ""
    route = resolve(target).route
    assert_secure(headers, popup=bool(route and route.popup), where=name)
    assert headers["connection"] == "close"
    assert json.loads(body).keys() == {"error", "message"}
    assert b"waitress" not in body


@pytest.mark.parametrize("number", range(len(UNCLEAR)))
def test_bytes_after_a_body_of_unclear_length_are_not_a_request(number: int, wire: Wire) -> None:
    line, headers, body = UNCLEAR[number]
    following = b"GET /health" + HEAD + b"\r\n"
    answer = wire.send(line + b"\r\nConnection: keep-alive\r\n" + headers + body + following)
    assert answer.count(b"HTTP/1.") == 1, answer


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"\tCHUNKED "])
def test_chunks_are_read(coding: bytes, wire: Wire, lab: Lab) -> None:
    body = b'{"token": "x", "bucket": "fish-bucket"}'
    sent = b"Transfer-Encoding: " + coding + b"\r\n\r\n" + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    assert json.loads(wire.ask(b"POST /gcs_token" + HEAD + sent)[2])["error"] == "invalid_token"


# A request that has no body to wait for, or is refused already -> its status.
EXPECTING = {
    b"GET /api/v1/user/cache HTTP/1.1\r\n": 200,
    b"HEAD /health HTTP/1.1\r\n": 200,
    b"POST /token HTTP/1.1\r\nContent-Length: 0\r\n": 200,
    b"POST /token HTTP/1.1\r\nContent-Length: x\r\n": 400,
    b"POST /token HTTP/1.1\r\nContent-Length: 300000\r\n": 413,
    b"POST /token HTTP/1.1\r\n" + b"X: y\r\n" * MAX_HEADERS: 431,
}


@pytest.mark.parametrize("beginning", EXPECTING)
def test_no_request_gets_the_headers_of_the_one_before(beginning: bytes, wire: Wire, lab: Lab) -> None:
    """A request that expects "100 Continue" had been left open, and the next one read into it, with its cookie."""
    expected = EXPECTING[beginning]
    cookie = b"Expect: 100-continue\r\nCookie: dsg_token=" + lab.ada.encode() + b"\r\n\r\n"
    answer = wire.send(beginning + cookie + b"GET /api/v1/user/cache" + HEAD + b"\r\n")
    assert parse(answer)[0] == expected
    assert answer.count(b"HTTP/1.") == (2 if expected == 200 else 1)
    assert expected != 200 or b"missing_token" in answer


def test_a_client_that_expects_100_continue_gets_it(wire: Wire, lab: Lab) -> None:
    with socket.create_connection(wire.address) as client:
        client.settimeout(SECONDS)
        client.sendall(b"POST /gcs_token" + HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_a_thousand_requests_at_once_are_each_answered(wire: Wire) -> None:
    sent = b"GET /health HTTP/1.1\r\n\r\n" * 999 + b"GET /health" + HEAD + b"\r\n"
    assert wire.send(sent).count(b"HTTP/1.1 200 OK") == 1000


def test_a_refused_body_to_an_ngauth_route_can_be_read_by_the_page_that_sent_it(wire: Wire) -> None:
    sent = b"POST /token" + HEAD + b"Origin: https://viewer.example\r\nContent-Length: 300000\r\n\r\n"
    status, headers, _ = wire.ask(sent)
    assert (status, headers["access-control-allow-origin"]) == (413, "https://viewer.example")


@pytest.mark.parametrize("length", [17_000, 65_535])
def test_a_body_that_a_route_does_not_read_may_be_as_long_as_the_server_receives(
    length: int, wire: Wire, lab: Lab
) -> None:
    cookie = b"Cookie: dsg_token=" + lab.ada.encode() + b"\r\n"
    sent = cookie + b"Content-Length: %d\r\n\r\n" % length + b"x" * length
    assert wire.ask(b"POST /token" + HEAD + sent)[0] == 200
    status, _, body = wire.ask(b"POST /gcs_token" + HEAD + sent)
    assert (status, json.loads(body)["error"]) == (400, "invalid_request")
    assert wire.ask(b"POST /logout" + HEAD + sent)[0] == 200


def test_a_head_that_cannot_be_read_has_no_body(wire: Wire) -> None:
    status, headers, body = wire.ask(b"HEAD /login" + HEAD + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n")
    assert (status, body) == (431, b"") and int(headers["content-length"]) > 0


def test_the_parser_of_responses_reads_one_answer() -> None:
    assert parse(b"HTTP/1.1 200 OK\r\nA-B: c: d\r\n\r\nbody") == (200, {"a-b": "c: d"}, b"body")
