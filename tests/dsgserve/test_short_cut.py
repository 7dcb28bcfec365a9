"""The short cut answers as the pipeline does, byte for byte, whatever is sent; and only what is current."""

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from dsgserve.gateway import Gateway
from dsgserve.http.route import Route
from dsgserve.http.wire import Parser
from dsgserve.short_cut import make_short_cut
from tests.dsgserve.conftest import Lab
from tests.dsgserve.routes import EVERY_ROUTE, NAMES, fill_path
from tests.dsgserve.wire import HEAD, Wire, listening, parse

SERVICE, TABLE, ROOT = (NAMES[name] for name in ("service", "table", "root"))
CACHE = "/api/v1/user/cache"
TARGETS = (
    CACHE,
    f"{CACHE}?service=clio",
    f"{CACHE}?service=a&service=b",
    f"{CACHE}?service=%66ish&x=1",
    f"{CACHE}?service={'s' * 5000}",
    f"{CACHE}?" + "&".join(f"a{number}=1" for number in range(200)),
    f"{CACHE}?dsg_token=TOKEN",
    f"{CACHE}?dsg_token=",
    f"{CACHE}/",
    "/api/v1/user/%63ache",
    f"http://elsewhere.example{CACHE}",
    f"/{CACHE}",
    "/api/dsg/v1/user",
    "/api/v1/gate?dataset=fish",
    "/api/v1/gate?dataset=fly",
    "/api/v1/gate?dataset=fish&permission=edit&version=v2",
    "/api/v1/gate?dataset=fish&dataset=fly",
    "/api/v1/gate",
    f"/api/v1/service/{SERVICE}/table/{TABLE}/dataset",
    f"/api/v1/service/{SERVICE}/table/none/dataset",
    f"/api/v1/table/{TABLE}/has_public",
    f"/api/v1/table/{TABLE}/root/{ROOT}/is_public",
    f"/api/v1/table/{TABLE}/root/word/is_public",
)
HEADS = (  # what follows the request line; TOKEN is the token
    "Host: h\r\nAuthorization: Bearer TOKEN",
    "Host: h\r\nauthorization:\tbearer   TOKEN \t",
    "Host: h\r\nAuthorization: Basic TOKEN",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nAuthorization: Bearer TOKEN",
    "Host: h\r\nAuthorization: Bearer \x85TOKEN\xa0",
    "Host: h\r\nAuthorization: Bearer TOKEN\x85",
    "Host: h\r\nAuthorization: Bearer \xff",
    "Host: h\r\nCookie: dsg_token=TOKEN",
    "Host: h\r\nCookie: a=b; dsg_token=stale; dsg_token=TOKEN; c",
    "Host: h\r\nCookie: a=b\r\nCookie: dsg_token=TOKEN",
    'Host: h\r\nCookie: dsg_token="TOKEN"\r\nAuthorization: Bearer other',
    "Host: h\r\nCookie: dsg_token=",
    "Host: h",
    "",
    "Host: h\r\nAccept: text/html\r\nCookie: dsg_token=TOKEN",
    "Host: h\r\nAccept: text/html",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 3\r\n\r\nabc",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nExpect: 100-continue",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nConnection: keep-alive",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nConnection: close",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nConnection: Upgrade\r\nUpgrade: websocket",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nX-Forwarded-For: 192.0.2.1, 198.51.100.7\r\nForwarded: for=x",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nOrigin: https://viewer.example\r\nX-Forwarded-Prefix: /auth",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nX_Authorization: Bearer other\r\nRemote-User: root",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\n folded: line",
    "Host: h\r\nAuthorization : Bearer TOKEN",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nContent-Length: x",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
    "Host: h\r\nAuthorization: Bearer TOKEN\r\n" + "\r\n".join(f"X-{number}: y" for number in range(120)),
)
LINES = ("GET {} HTTP/1.1", "GET {} HTTP/1.0", "HEAD {} HTTP/1.1", "POST {} HTTP/1.1", "get {} HTTP/1.1", "GET {}")
LAST = b"GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"  # so that the server closes the connection


class _Nothing:
    """No short cut: the pipeline answers everything."""

    def begin(self) -> None:
        """Nothing to check."""

    def answer(self, request: Parser, *, build: bool) -> bytes | None:
        return None


class _Counting:
    """The gateway's short cut, with a count of the answers of the event loop and of workers."""

    def __init__(self, gateway: Gateway) -> None:
        self._inner = make_short_cut(gateway)
        self.begin = self._inner.begin
        self.answers = {False: 0, True: 0}

    def answer(self, request: Parser, *, build: bool) -> bytes | None:
        response = self._inner.answer(request, build=build)
        self.answers[build] += response is not None
        return response


@pytest.fixture
def short_cut(gateway: Gateway) -> _Counting:
    return _Counting(gateway)


@pytest.fixture
def quick(gateway: Gateway, short_cut: _Counting) -> Iterator[Wire]:
    with listening(gateway, short_cut=short_cut) as wire:
        yield wire


@pytest.fixture
def plain(gateway: Gateway) -> Iterator[Wire]:
    with listening(gateway, short_cut=_Nothing()) as wire:
        yield wire


def _comparable(answer: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers on a connection, without what differs from one request to the next."""
    answers = []
    for text in re.split(rb"(?=HTTP/1\.[01] [1-5])", answer)[1:]:
        # Pages of errors have these in their text too.
        ids = [id_ or nonce for id_, nonce in re.findall(rb"X-Request-Id: (\w+)|script-src 'nonce-([\w-]+)", text)]
        status, headers, body = parse(re.sub(b"|".join(ids) or b"$^", b"...", text))
        answers.append((status, {n: v for n, v in headers.items() if n not in ("date", "x-request-id")}, body))
    return answers


def test_the_same_bytes_get_the_same_answer_both_ways(quick: Wire, plain: Wire, short_cut: _Counting, lab: Lab) -> None:
    """Well-formed, odd and hostile requests; each twice, so that it is built once and cached once."""
    tokens = (lab.ada, lab.robot, lab.gone, lab.ada[:-1] + "!", "x" * 5000)
    for token in tokens:
        for line in LINES:
            for target in TARGETS if line is LINES[0] or token == lab.ada else TARGETS[:1]:
                for head in HEADS if target in (TARGETS[0], "/api/v1/gate?dataset=fly") else HEADS[:8:7]:
                    text = f"{line.format(target)}\r\n{head}\r\n\r\n".replace("TOKEN", token)
                    sent = text.encode("latin-1") + LAST
                    expected = _comparable(plain.send(sent))
                    assert expected, text
                    for _ in range(2):
                        assert _comparable(quick.send(sent)) == expected, text
    assert short_cut.answers[False] > 500 and short_cut.answers[True] > 50


QUESTIONS = [route for route in EVERY_ROUTE if route.question is not None]


@pytest.mark.parametrize("route", QUESTIONS, ids=[route.path for route in QUESTIONS])
def test_every_question_is_answered_by_the_event_loop_once_it_is_cached(
    route: Route, quick: Wire, short_cut: _Counting, lab: Lab
) -> None:
    query = "?dataset=fish" if "gate" in route.path else ""
    line = f"GET {fill_path(route, lab.fly_terms)}{query} HTTP/1.1\r\nHost: h\r\n"
    for head in (f"Authorization: Bearer {lab.ada}", f"Cookie: dsg_token={lab.ada}", "Authorization: Bearer nobody"):
        before = dict(short_cut.answers)
        for _ in range(3):
            quick.send(f"{line}{head}\r\n\r\n".encode() + LAST)
        assert short_cut.answers[True] - before[True] <= 1, head
        assert short_cut.answers[False] - before[False] >= 2, head


def test_requests_in_pieces_get_the_same_answer(quick: Wire, lab: Lab) -> None:
    request = f"GET {CACHE} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {lab.ada}\r\n\r\n".encode()
    expected = _comparable(quick.send(request + LAST))
    for cut in range(1, len(request), 7):
        with socket.create_connection(quick.address) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(request[:cut])
            client.sendall(request[cut:] + LAST)
            answer = b""
            while part := client.recv(65536):
                answer += part
        assert _comparable(answer) == expected


def test_many_requests_sent_at_once_are_answered_in_their_order(quick: Wire, short_cut: _Counting, lab: Lab) -> None:
    """Cached answers, those that are built, and those of the pipeline, on one connection."""
    targets = [f"{CACHE}?n={n % 3}&service=s{n}" if n % 2 else ("/nothing" if n % 4 else CACHE) for n in range(60)]
    sent = "".join(f"GET {t} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {lab.ada}\r\n\r\n" for t in targets).encode()
    statuses = [status for status, _, _ in _comparable(quick.send(sent + LAST))]
    assert statuses == [404 if target == "/nothing" else 200 for target in targets] + [404]
    assert short_cut.answers[False] > 0


def test_nothing_is_answered_from_the_cache_until_a_change_is_applied(
    short_cut: _Counting, quick: Wire, lab: Lab
) -> None:
    request = f"GET {CACHE} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {lab.ada}\r\n\r\n".encode()
    quick.send(request + LAST)
    for number in range(20):
        name = f"Ada {number}"
        lab.database.script(f"UPDATE principals SET display_name = '{name}' WHERE email = 'ada@example.org'")
        for built in (1, 0):  # by a worker, then by the event loop
            before = dict(short_cut.answers)
            assert name.encode() in quick.send(request + LAST)
            assert short_cut.answers[True] - before[True] == built
            assert short_cut.answers[False] - before[False] == 1 - built


def test_a_worker_that_is_applying_changes_does_not_make_the_loop_wait(gateway: Gateway, quick: Wire, lab: Lab) -> None:
    """The lock of the cache is held; requests for other things are answered, though every thread but one may wait."""
    cache = gateway.response_cache
    quick.send(f"GET {CACHE} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {lab.ada}\r\n\r\n".encode() + LAST)
    with cache._lock:
        lab.database.script("UPDATE principals SET display_name = 'X' WHERE email = 'ada@example.org'")
        waiting = socket.create_connection(quick.address)
        waiting.sendall(f"GET {CACHE} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {lab.ada}\r\n\r\n".encode() + LAST)
        assert quick.send(LAST).startswith(b"HTTP/1.1 404")
    answer = b""
    while part := waiting.recv(65536):
        answer += part
    waiting.close()
    assert b'"X"' in answer


def test_a_database_that_somebody_has_damaged_does_not_end_the_server(quick: Wire, lab: Lab) -> None:
    """Workers report it; the event loop goes on."""
    request = f"GET {CACHE} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {lab.ada}\r\n\r\n".encode()
    quick.send(request + LAST)
    lab.database.script("ALTER TABLE changes RENAME TO others")
    for _ in range(3):
        quick.send(request + LAST)
    assert quick.ask(b"GET /nothing" + HEAD + b"\r\n")[0] == 404


def test_a_database_that_the_shell_has_restored_is_read_anew(
    short_cut: _Counting, quick: Wire, lab: Lab, tmp_path: Path
) -> None:
    """Its revision goes back, and may be the former one again before anybody asks."""
    request = f"GET {CACHE} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {lab.ada}\r\n\r\n".encode()
    rename = "UPDATE principals SET display_name = '{}' WHERE email = 'ada@example.org'"
    copy = tmp_path / "copy"
    lab.database.copy_to(copy)
    for changes_after in (0, 1):
        lab.database.script(rename.format("Later"))
        for _ in range(2):
            assert b"Later" in quick.send(request + LAST)
        with closing(apsw.Connection(lab.database.path)) as live, closing(apsw.Connection(str(copy))) as source:
            live.backup("main", source, "main").step()  # as ".restore" of the shell does
        expected = b"Ada Example"
        if changes_after:
            lab.database.script(rename.format("Another"))
            expected = b"Another"
        before = dict(short_cut.answers)
        for _ in range(2):
            assert expected in quick.send(request + LAST)
        assert short_cut.answers == {True: before[True] + 1, False: before[False] + 1}
