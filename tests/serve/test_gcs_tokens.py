"""Google tokens, from a stand-in for Google's token exchange on a loopback socket."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

from dsgserve.gcs_tokens import GoogleRefused, GoogleUnavailable, Minter, conditions
from dsgserve.outbound import Places

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Exchange(ThreadingHTTPServer):
    """Answers each exchange with a new token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, str]] = []
        self.answer: tuple[int, bytes] | None = None  # instead of a token
        self.expires_in: int | None = 3600
        self.hold = threading.Event()
        self.hold.set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/token"


class _Handler(BaseHTTPRequestHandler):
    server: Exchange

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.server.lock:
            self.server.asked.append({name: values[0] for name, values in parse_qs(body).items()})
            number = len(self.server.asked)
        self.server.hold.wait(10)
        made = {"access_token": f"downscoped-{number}", "token_type": "Bearer"}
        if self.server.expires_in is not None:
            made["expires_in"] = self.server.expires_in  # type: ignore[assignment]
        status, answer = self.server.answer or (200, json.dumps(made).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    server = Exchange()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Source:
    """The gateway's own credential, as google.auth has them: ``expiry`` in naive UTC."""

    def __init__(self, clock: "Clock") -> None:
        self.clock = clock
        self.token: str | None = None
        self.expiry: datetime | None = None
        self.refreshed = 0
        self.raises: Exception | None = None

    def refresh(self, request: Any) -> None:
        if self.raises:
            raise self.raises
        self.refreshed += 1
        self.token = f"source-{self.refreshed}"
        self.expiry = (self.clock.now + 60 * MINUTE).replace(tzinfo=None)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clock: Clock) -> Source:
    return Source(clock)


@pytest.fixture
def minter(exchange: Exchange, clock: Clock, source: Source) -> Minter:
    return Minter(Places(2), exchange.url, find_credentials=lambda named: source, clock=clock)


def rules(asked: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(unquote(asked["options"]))["accessBoundary"]["accessBoundaryRules"]
    return found


def test_a_token_for_the_whole_bucket(minter: Minter, exchange: Exchange) -> None:
    assert minter.mint("lab", ("",)) == "downscoped-1"
    (asked,) = exchange.asked
    assert asked["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
    assert asked["subject_token"] == "source-1"
    assert rules(asked) == [
        {
            "availableResource": "//storage.googleapis.com/projects/_/buckets/lab",
            "availablePermissions": ["inRole:roles/storage.objectViewer"],
        }
    ]


def test_reading_and_listing_are_limited_to_the_prefixes(minter: Minter, exchange: Exchange) -> None:
    minter.mint("lab", ("a/", "b c/"))
    (rule,) = rules(exchange.asked[0])
    assert rule["availabilityCondition"]["expression"] == (
        "resource.name.startsWith('projects/_/buckets/lab/objects/a/') || "
        "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('a/') || "
        "resource.name.startsWith('projects/_/buckets/lab/objects/b c/') || "
        "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('b c/')"
    )


def test_a_boundary_takes_sixty_prefixes_and_no_more() -> None:
    prefixes = tuple(f"p{number}/" for number in range(61))
    made = conditions("lab", prefixes[:60])
    assert len(made) == 10
    for expression in made:
        assert expression
        assert expression.count("||") <= 12
    with pytest.raises(GoogleRefused):
        conditions("lab", prefixes)


@pytest.mark.parametrize(
    ("bucket", "prefix"),
    [("lab", "a'/"), ("lab", 'a"/'), ("lab", "a\\/"), ("lab", "a\n/"), ("lab", "a"), ("lab", "') || true || ('/"),
     ("lab", "a`/"), ("lab", "a\x00/"), ("lab", "a{}/"), ("lab", "a\u2028/"), ("l'ab", ""), ("lab/x", "a/"),
     ("LAB", "a/"), ("", ""), ("lab\n", "")],
)  # fmt: skip
def test_a_name_that_could_say_something_in_a_condition_is_refused(
    minter: Minter, exchange: Exchange, bucket: str, prefix: str
) -> None:
    with pytest.raises(GoogleRefused):
        minter.mint(bucket, (prefix,))
    assert not exchange.asked


def test_no_prefix_is_no_token(minter: Minter, exchange: Exchange) -> None:
    with pytest.raises(GoogleRefused):
        minter.mint("lab", ())
    assert not exchange.asked


def test_a_token_is_handed_out_again_while_it_has_ten_minutes(minter: Minter, clock: Clock, exchange: Exchange) -> None:
    assert minter.mint("lab", ("",)) == "downscoped-1"
    clock.now = START + 50 * MINUTE
    assert minter.mint("lab", ("",)) == "downscoped-1"
    clock.now += timedelta(seconds=1)
    assert minter.mint("lab", ("",)) == "downscoped-2"
    assert [asked["subject_token"] for asked in exchange.asked] == ["source-1", "source-2"]


def test_never_for_another_boundary(minter: Minter, source: Source) -> None:
    boundaries = [("lab", ("",)), ("lab", ("a/",)), ("lab", ("a/", "b/")), ("lab2", ("",))]
    assert len({minter.mint(*boundary) for boundary in boundaries}) == 4
    assert source.refreshed == 1


def test_a_token_lives_as_long_as_its_source_where_google_does_not_say(
    minter: Minter, exchange: Exchange, clock: Clock
) -> None:
    exchange.expires_in = None
    minter.mint("lab", ("",))
    clock.now = START + 51 * MINUTE
    assert minter.mint("lab", ("",)) == "downscoped-2"


def test_one_exchange_at_a_time_for_one_boundary(minter: Minter, exchange: Exchange) -> None:
    exchange.hold.clear()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(minter.mint("lab", ("",)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    # Two places are taken: one asks, one waits for its answer. A third fails at once.
    _until(lambda: len(exchange.asked) == 1)
    _until(lambda: minter._places._free._value == 0)
    with pytest.raises(GoogleUnavailable):
        minter.mint("other", ("",))
    exchange.hold.set()
    for thread in threads:
        thread.join()
    assert found == ["downscoped-1", "downscoped-1"]
    assert minter.mint("lab", ("",)) == "downscoped-1"


def _until(ready: Any) -> None:
    end = threading.Event()
    for _ in range(1000):
        if ready():
            return
        end.wait(0.005)
    raise AssertionError("it did not come about")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error": "invalid_grant"}'),
        (403, b"no"),
        (404, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"access_token": ""}'),
        (200, b'{"access_token": 7}'),
        (302, b""),
    ],
)
def test_a_refusal_or_nonsense(minter: Minter, exchange: Exchange, status: int, body: bytes) -> None:
    exchange.answer = (status, body)
    with pytest.raises(GoogleRefused):
        minter.mint("lab", ("",))
    exchange.answer = None
    assert minter.mint("lab", ("",)).startswith("downscoped-")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_google_in_trouble(minter: Minter, exchange: Exchange, status: int) -> None:
    exchange.answer = (status, b'{"error": "later"}')
    with pytest.raises(GoogleUnavailable):
        minter.mint("lab", ("",))


def test_nobody_there(exchange: Exchange, clock: Clock, source: Source) -> None:
    minter = Minter(Places(2), "http://127.0.0.1:1/v1/token", find_credentials=lambda named: source, clock=clock)
    with pytest.raises(GoogleUnavailable):
        minter.mint("lab", ("",))


def test_a_source_that_cannot_be_refreshed(minter: Minter, source: Source) -> None:
    source.raises = TransportError("x")
    with pytest.raises(GoogleUnavailable):
        minter.mint("lab", ("",))
    source.raises = RefreshError("revoked")
    with pytest.raises(GoogleRefused):
        minter.mint("lab", ("",))


def test_without_credentials_they_are_looked_for_now_and_then(exchange: Exchange, clock: Clock, source: Source) -> None:
    looked: list[datetime] = []

    def find(named: str | None) -> Source:
        looked.append(clock.now)
        if clock.now < START + MINUTE:
            raise DefaultCredentialsError("none")
        return source

    minter = Minter(Places(2), exchange.url, find_credentials=find, clock=clock)
    for _ in range(3):
        with pytest.raises(GoogleUnavailable):
            minter.mint("lab", ("",))
    clock.now = START + MINUTE
    assert minter.mint("lab", ("",)) == "downscoped-1"
    assert len(looked) == 2


def test_a_bucket_is_asked_for_with_the_credential_that_it_names(exchange: Exchange, clock: Clock) -> None:
    asked_for: list[str | None] = []

    def find(named: str | None) -> Source:
        asked_for.append(named)
        return Source(clock)

    minter = Minter(Places(2), exchange.url, find_credentials=find, clock=clock)
    first = minter.mint("lab", ("",))
    assert minter.mint("lab", ("",), "/etc/dsg/key.json") != first, "a token of another credential was handed out"
    assert minter.mint("lab", ("",)) == first
    minter.mint("other", ("",), "/etc/dsg/key.json")
    assert asked_for == [None, "/etc/dsg/key.json"], "a credential was looked for twice"


def test_a_credential_file_that_is_not_there_is_unavailable_and_others_work(
    exchange: Exchange, clock: Clock, tmp_path: Path
) -> None:
    minter = Minter(Places(2), exchange.url, clock=clock)
    with pytest.raises(GoogleUnavailable):
        minter.mint("lab", ("",), str(tmp_path / "nowhere.json"))


def test_the_real_clock_does_not_make_credentials_missing(exchange: Exchange, clock: Clock) -> None:
    """It moves on between two looks at it, unlike that of the other tests."""
    minter = Minter(Places(2), exchange.url, find_credentials=lambda named: Source(Clock()))
    assert minter.mint("lab", ("",)).startswith("downscoped-")
