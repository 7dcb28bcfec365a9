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
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth import crypt
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from google.oauth2 import service_account

from dsgctl.bounded_http import TOTAL_SECONDS, Deadline
from dsgserve.ngauth.gcs_tokens import RENEWALS, GcsTokenIssuer
from dsgserve.ngauth.token_exchange import GoogleRefused, GoogleUnavailable, build_conditions
from dsgserve.process.outbound import ConcurrencyLimit, Shared, UpstreamUnavailable

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)


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
def issuer(exchange: Exchange, clock: Clock, source: Source) -> GcsTokenIssuer:
    return GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=lambda named: source, clock=clock)


def rules(asked: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(unquote(asked["options"]))["accessBoundary"]["accessBoundaryRules"]
    return found


def test_a_token_for_the_whole_bucket(issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    assert issuer.issue("lab", ("",)) == "downscoped-1"
    (asked,) = exchange.asked
    assert asked["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
    assert asked["subject_token"] == "source-1"
    assert rules(asked) == [
        {
            "availableResource": "//storage.googleapis.com/projects/_/buckets/lab",
            "availablePermissions": ["inRole:roles/storage.objectViewer"],
        }
    ]


def test_reading_and_listing_are_limited_to_the_prefixes(issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    issuer.issue("lab", ("a/", "b c/"))
    (rule,) = rules(exchange.asked[0])
    assert rule["availabilityCondition"]["expression"] == (
        "resource.name.startsWith('projects/_/buckets/lab/objects/a/') || "
        "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('a/') || "
        "resource.name.startsWith('projects/_/buckets/lab/objects/b c/') || "
        "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('b c/')"
    )


def test_a_boundary_takes_sixty_prefixes_and_no_more() -> None:
    prefixes = tuple(f"p{number}/" for number in range(61))
    made = build_conditions("lab", prefixes[:60])
    assert len(made) == 10
    for expression in made:
        assert expression
        assert expression.count("||") <= 12
    with pytest.raises(GoogleRefused):
        build_conditions("lab", prefixes)


@pytest.mark.parametrize(
    ("bucket", "prefix"),
    [
        ("lab", "a'/"),
        ("lab", 'a"/'),
        ("lab", "a\\/"),
        ("lab", "a\n/"),
        ("lab", "a"),
        ("lab", "') || true || ('/"),
        ("lab", "a`/"),
        ("lab", "a\x00/"),
        ("lab", "a{}/"),
        ("lab", "a\u2028/"),
        ("l'ab", ""),
        ("lab/x", "a/"),
        ("LAB", "a/"),
        ("", ""),
        ("lab\n", ""),
    ],
)
def test_a_name_that_could_say_something_in_a_condition_is_refused(
    issuer: GcsTokenIssuer, exchange: Exchange, bucket: str, prefix: str
) -> None:
    with pytest.raises(GoogleRefused):
        issuer.issue(bucket, (prefix,))
    assert not exchange.asked


def test_no_prefix_is_no_token(issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    with pytest.raises(GoogleRefused):
        issuer.issue("lab", ())
    assert not exchange.asked


def test_a_token_is_handed_out_again_while_it_has_ten_minutes(
    issuer: GcsTokenIssuer, clock: Clock, exchange: Exchange
) -> None:
    assert issuer.issue("lab", ("",)) == "downscoped-1"
    clock.now = START + 50 * MINUTE
    assert issuer.issue("lab", ("",)) == "downscoped-1"
    clock.now += timedelta(seconds=1)
    assert issuer.issue("lab", ("",)) == "downscoped-2"
    assert [asked["subject_token"] for asked in exchange.asked] == ["source-1", "source-2"]


def test_never_for_another_boundary(issuer: GcsTokenIssuer, source: Source) -> None:
    boundaries = [("lab", ("",)), ("lab", ("a/",)), ("lab", ("a/", "b/")), ("lab2", ("",))]
    assert len({issuer.issue(*boundary) for boundary in boundaries}) == 4
    assert source.refreshed == 1


def test_a_token_lives_as_long_as_its_source_where_google_does_not_say(
    issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock
) -> None:
    exchange.expires_in = None
    issuer.issue("lab", ("",))
    clock.now = START + 51 * MINUTE
    assert issuer.issue("lab", ("",)) == "downscoped-2"


def test_one_exchange_at_a_time_for_one_boundary(issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    exchange.hold.clear()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(issuer.issue("lab", ("",)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    # Two places are taken: one asks, one waits for its answer. A third fails at once.
    _until(lambda: len(exchange.asked) == 1)
    _until(lambda: issuer._limit._free._value == 0)
    with pytest.raises(GoogleUnavailable):
        issuer.issue("other", ("",))
    exchange.hold.set()
    for thread in threads:
        thread.join()
    assert found == ["downscoped-1", "downscoped-1"]
    assert issuer.issue("lab", ("",)) == "downscoped-1"


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
def test_a_refusal_or_nonsense(issuer: GcsTokenIssuer, exchange: Exchange, status: int, body: bytes) -> None:
    exchange.answer = (status, body)
    with pytest.raises(GoogleRefused):
        issuer.issue("lab", ("",))
    exchange.answer = None
    assert issuer.issue("lab", ("",)).startswith("downscoped-")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_google_in_trouble(issuer: GcsTokenIssuer, exchange: Exchange, status: int) -> None:
    exchange.answer = (status, b'{"error": "later"}')
    with pytest.raises(GoogleUnavailable):
        issuer.issue("lab", ("",))


def test_nobody_there(exchange: Exchange, clock: Clock, source: Source) -> None:
    issuer = GcsTokenIssuer(
        ConcurrencyLimit(2), "http://127.0.0.1:1/v1/token", find_credentials=lambda named: source, clock=clock
    )
    with pytest.raises(GoogleUnavailable):
        issuer.issue("lab", ("",))


def test_a_source_that_cannot_be_refreshed(issuer: GcsTokenIssuer, source: Source) -> None:
    source.raises = TransportError("x")
    with pytest.raises(GoogleUnavailable):
        issuer.issue("lab", ("",))
    source.raises = RefreshError("revoked")
    with pytest.raises(GoogleRefused):
        issuer.issue("lab", ("",))


def test_without_credentials_they_are_looked_for_now_and_then(exchange: Exchange, clock: Clock, source: Source) -> None:
    looked: list[datetime] = []

    def find(named: str | None) -> Source:
        looked.append(clock.now)
        if clock.now < START + MINUTE:
            raise DefaultCredentialsError("none")
        return source

    issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=find, clock=clock)
    for _ in range(3):
        with pytest.raises(GoogleUnavailable):
            issuer.issue("lab", ("",))
    clock.now = START + MINUTE
    assert issuer.issue("lab", ("",)) == "downscoped-1"
    assert len(looked) == 2


def test_a_bucket_is_asked_for_with_the_credential_that_it_names(exchange: Exchange, clock: Clock) -> None:
    asked_for: list[str | None] = []

    def find(named: str | None) -> Source:
        asked_for.append(named)
        return Source(clock)

    issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=find, clock=clock)
    first = issuer.issue("lab", ("",))
    assert issuer.issue("lab", ("",), "/etc/dsg/key.json") != first, "a token of another credential was handed out"
    assert issuer.issue("lab", ("",)) == first
    issuer.issue("other", ("",), "/etc/dsg/key.json")
    assert asked_for == [None, "/etc/dsg/key.json"], "a credential was looked for twice"


def test_a_credential_file_that_is_not_there_is_unavailable_and_others_work(
    exchange: Exchange, clock: Clock, tmp_path: Path
) -> None:
    issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, clock=clock)
    with pytest.raises(GoogleUnavailable):
        issuer.issue("lab", ("",), str(tmp_path / "nowhere.json"))


def test_the_real_clock_does_not_make_credentials_missing(exchange: Exchange, clock: Clock) -> None:
    """It moves on between two looks at it, unlike that of the other tests."""
    issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=lambda named: Source(Clock()))
    assert issuer.issue("lab", ("",)).startswith("downscoped-")


# A token that storage stops taking


def test_who_asks_again_within_a_minute_gets_a_new_token_once(
    issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock, source: Source
) -> None:
    given = [issuer.issue("lab", ("",), client="ada") for _ in range(20)]
    assert given == ["downscoped-1", *["downscoped-2"] * 19]
    assert len(exchange.asked) == 2
    assert source.refreshed == 1, "it was a moment old"
    clock.now += 2 * MINUTE  # that was all the time that storage needed
    assert issuer.issue("lab", ("",), client="ada") == "downscoped-2"
    assert issuer.issue("lab", ("",), client="ada") == "downscoped-3"
    assert source.refreshed == 2, "what the new one rests on may be what storage does not take"


@pytest.mark.parametrize(
    ("other", "minutes"),
    [({"client": "bo"}, 0), ({"bucket": "lab2"}, 0), ({"prefixes": ("a/",)}, 0), ({"client": None}, 0), ({}, 1)],
)
def test_another_or_later_request_is_no_complaint(
    issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock, other: dict[str, Any], minutes: int
) -> None:
    request = {"bucket": "lab", "prefixes": ("",), "client": "ada"}
    assert issuer.issue(**request) == "downscoped-1"  # type: ignore[arg-type]
    clock.now += minutes * MINUTE
    issuer.issue(**request | other)  # type: ignore[arg-type]
    issuer.issue("lab", ("",), client="cy")
    assert issuer.issue("lab", ("",), client="di") == "downscoped-1"


def test_a_new_token_serves_all_who_had_the_old_one(issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    for client in ("ada", "bo", "cy"):
        assert issuer.issue("lab", ("",), client=client) == "downscoped-1"
    for client in ("ada", "bo", "cy"):
        assert issuer.issue("lab", ("",), client=client) == "downscoped-2"
    assert len(exchange.asked) == 2


def test_many_who_complain_cause_few_exchanges(issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock) -> None:
    for number in range(50):
        issuer.issue("lab", ("",), client=f"user token {number}")
        issuer.issue("lab", ("",), client=f"user token {number}")
    assert len(exchange.asked) == 1 + RENEWALS
    clock.now += MINUTE
    issuer.issue("lab", ("",), client="ada")
    assert issuer.issue("lab", ("",), client="ada") == f"downscoped-{RENEWALS + 2}"


def test_a_source_that_the_exchange_refuses_is_asked_for_anew(
    issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock, source: Source
) -> None:
    issuer.issue("lab", ("",))
    clock.now += 2 * MINUTE
    exchange.answer = (400, b'{"error": "invalid_grant"}')
    for _ in range(5):
        with pytest.raises(GoogleRefused):
            issuer.issue("other", ("",))
    assert source.refreshed == 2, "once in a minute"
    exchange.answer = None
    assert issuer.issue("other", ("",)).startswith("downscoped-")


# One deadline


class Ticks:
    """A clock of seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_has_waited_too_long_asks_nobody(issuer: GcsTokenIssuer, exchange: Exchange, source: Source) -> None:
    ticks = Ticks()
    deadline = Deadline(clock=ticks)
    ticks.now = TOTAL_SECONDS
    with pytest.raises(GoogleUnavailable):
        issuer.issue("lab", ("",), deadline=deadline)
    assert not exchange.asked


def test_the_time_of_the_source_is_the_exchanges_too(
    exchange: Exchange, clock: Clock, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source's token takes all of it: the exchange is not begun."""
    ticks = Ticks()
    refresh = source.refresh
    monkeypatch.setattr(source, "refresh", lambda request: (refresh(request), setattr(ticks, "now", 10.0)))
    issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=lambda named: source, clock=clock)
    with pytest.raises(GoogleUnavailable):
        issuer.issue("lab", ("",), deadline=Deadline(clock=ticks))
    assert not exchange.asked
    assert issuer.issue("lab", ("",), deadline=Deadline(clock=ticks)) == "downscoped-1"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_google_in_trouble_is_asked_once_for_a_source(exchange: Exchange, clock: Clock, status: int) -> None:
    """google.auth by itself asks three times, and waits in between."""
    exchange.answer = (status, b'{"error": "internal_failure", "error_description": "again"}')
    google_accounts: Any = service_account.Credentials
    credential = google_accounts(
        crypt.RSASigner.from_string(_KEY), "gateway@lab.iam.gserviceaccount.com", exchange.url, scopes=["x"]
    )
    issuer = GcsTokenIssuer(
        ConcurrencyLimit(2), "http://127.0.0.1:1/", find_credentials=lambda named: credential, clock=clock
    )
    with pytest.raises(GoogleUnavailable, match=str(status)):
        issuer.issue("lab", ("",))
    assert len(exchange.asked) == 1


def test_those_who_wait_for_the_same_share_its_failure(issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    """They do not ask one after the other."""
    exchange.hold.clear()
    exchange.answer = (503, b"{}")
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            issuer.issue("lab", ("",))
        except GoogleUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    _until(lambda: len(exchange.asked) == 1)
    _until(lambda: issuer._limit._free._value == 0)
    exchange.hold.set()
    for thread in threads:
        thread.join()
    assert len(failures) == 2
    assert len(exchange.asked) == 1
    assert not issuer._exchanges._under_way
    assert not issuer._exchange._refreshes._under_way


def test_another_boundary_does_not_wait_for_it(exchange: Exchange, clock: Clock, source: Source) -> None:
    issuer = GcsTokenIssuer(ConcurrencyLimit(40), exchange.url, find_credentials=lambda named: source, clock=clock)
    issuer.issue("warm", ("",))
    exchange.hold.clear()
    threads = [threading.Thread(target=issuer.issue, args=(f"lab{number}", ("",))) for number in range(30)]
    for thread in threads:
        thread.start()
    _until(lambda: len(exchange.asked) == 31)  # as many locks as there are boundaries
    exchange.hold.set()
    for thread in threads:
        thread.join()


def test_who_waits_for_another_has_their_own_deadline(exchange: Exchange) -> None:
    shared: Shared[str] = Shared()
    begun, go_on = threading.Event(), threading.Event()

    def call() -> str:
        begun.set()
        go_on.wait(30)
        return "done"

    leader = threading.Thread(target=shared.run, args=("key", Deadline(), call))
    leader.start()
    begun.wait(30)
    with pytest.raises(UpstreamUnavailable):
        shared.run("key", Deadline(0), call)
    go_on.set()
    leader.join()
    assert shared.run("key", Deadline(), lambda: "mine") == "mine"


# Bytes


def test_kept_tokens_are_bounded_in_bytes(
    issuer: GcsTokenIssuer, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer._tokens._max_bytes = 20_000
    for number in range(40):
        issuer.issue(f"lab-{number:02}", ("x" * 900 + "/",))
        assert issuer._tokens.bytes <= 20_000
    assert 0 < len(issuer._tokens) < 10
    assert issuer.issue("lab-39", ("x" * 900 + "/",)) == "downscoped-40"


def test_a_token_without_end_is_refused(issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    exchange.answer = (200, json.dumps({"access_token": "x" * 100_000}).encode())
    with pytest.raises(GoogleRefused):
        issuer.issue("lab", ("",))


def test_who_has_asked_is_bounded_in_bytes(issuer: GcsTokenIssuer) -> None:
    issuer._last_issues._max_bytes = 5000
    for number in range(100):
        issuer.issue("lab", ("",), client=f"{number}")
    assert len(issuer._last_issues) == 10


# What Google says


@pytest.mark.parametrize("status", [400, 401, 403, 418])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"error": "invalid_grant", "error_description": "TOKEN"}', "invalid_grant"),
        ('{"error": "TOKEN"}', "OAuthError"),
        ('{"error": {"status": "PERMISSION_DENIED", "message": "TOKEN"}}', "PERMISSION_DENIED"),
        ('{"error": {"status": "TOKEN", "errors": [{"reason": "TOKEN"}, {"reason": "forbidden"}]}}', "forbidden"),
        ('{"error": ["TOKEN"]}', "OAuthError"),
        ("TOKEN", "OAuthError"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_nothing_of_googles_answer_is_repeated_but_its_code(
    issuer: GcsTokenIssuer, exchange: Exchange, status: int, body: str, code: str
) -> None:
    exchange.answer = (status, body.replace("TOKEN", "source-1").encode())
    with pytest.raises(GoogleRefused) as refused:
        issuer.issue("lab", ("",))
    assert str(refused.value) == f"Google answers {status}: {code}"
    assert refused.value.__cause__ is None
