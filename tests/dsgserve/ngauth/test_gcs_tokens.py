"""Google tokens: when one is handed out again, when it is renewed, and what the caches hold."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from dsgctl.bounded_http import TOTAL_SECONDS, Deadline
from dsgserve.ngauth.gcs_tokens import RENEWALS, GcsTokenIssuer
from dsgserve.ngauth.token_exchange import GoogleUnavailable
from dsgserve.process.outbound import ConcurrencyLimit, Shared, UpstreamUnavailable
from tests.dsgserve.ngauth.sts import MINUTE, START, Clock, Exchange, Source, Ticks, wait_for


def test_a_token_is_reused_while_it_has_ten_minutes_left(
    gcs_issuer: GcsTokenIssuer, clock: Clock, exchange: Exchange
) -> None:
    assert gcs_issuer.issue("lab", ("",)) == "downscoped-1"
    clock.now = START + 50 * MINUTE
    assert gcs_issuer.issue("lab", ("",)) == "downscoped-1"
    clock.now += timedelta(seconds=1)
    assert gcs_issuer.issue("lab", ("",)) == "downscoped-2"
    assert [request["subject_token"] for request in exchange.requests] == ["source-1", "source-2"]


def test_a_token_is_never_reused_for_another_boundary(gcs_issuer: GcsTokenIssuer, source: Source) -> None:
    boundaries = [("lab", ("",)), ("lab", ("a/",)), ("lab", ("a/", "b/")), ("lab2", ("",))]
    assert len({gcs_issuer.issue(*boundary) for boundary in boundaries}) == 4
    assert source.refreshed == 1


def test_concurrent_requests_for_one_boundary_share_one_exchange(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange
) -> None:
    exchange.hold.clear()
    issued_tokens: list[str] = []
    threads = [threading.Thread(target=lambda: issued_tokens.append(gcs_issuer.issue("lab", ("",)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    # Two places are taken: one asks, one waits for its answer. A third fails at once.
    wait_for(lambda: len(exchange.requests) == 1)
    wait_for(lambda: gcs_issuer._limit._free._value == 0)
    with pytest.raises(GoogleUnavailable):
        gcs_issuer.issue("other", ("",))
    exchange.hold.set()
    for thread in threads:
        thread.join()
    assert issued_tokens == ["downscoped-1", "downscoped-1"]
    assert gcs_issuer.issue("lab", ("",)) == "downscoped-1"


def test_a_second_request_within_a_minute_gets_a_new_token_once(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock, source: Source
) -> None:
    issued_tokens = [gcs_issuer.issue("lab", ("",), client="ada") for _ in range(20)]
    assert issued_tokens == ["downscoped-1", *["downscoped-2"] * 19]
    assert len(exchange.requests) == 2
    assert source.refreshed == 1, "it was a moment old"
    clock.now += 2 * MINUTE  # that was all the time that storage needed
    assert gcs_issuer.issue("lab", ("",), client="ada") == "downscoped-2"
    assert gcs_issuer.issue("lab", ("",), client="ada") == "downscoped-3"
    assert source.refreshed == 2, "what the new one rests on may be what storage does not take"


@pytest.mark.parametrize(
    ("other", "minutes"),
    [({"client": "bo"}, 0), ({"bucket": "lab2"}, 0), ({"prefixes": ("a/",)}, 0), ({"client": None}, 0), ({}, 1)],
)
def test_another_or_later_request_gets_the_cached_token(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock, other: dict[str, Any], minutes: int
) -> None:
    request = {"bucket": "lab", "prefixes": ("",), "client": "ada"}
    assert gcs_issuer.issue(**request) == "downscoped-1"  # type: ignore[arg-type]
    clock.now += minutes * MINUTE
    gcs_issuer.issue(**request | other)  # type: ignore[arg-type]
    gcs_issuer.issue("lab", ("",), client="cy")
    assert gcs_issuer.issue("lab", ("",), client="di") == "downscoped-1"


def test_a_new_token_replaces_the_old_one_for_every_client(gcs_issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    for client in ("ada", "bo", "cy"):
        assert gcs_issuer.issue("lab", ("",), client=client) == "downscoped-1"
    for client in ("ada", "bo", "cy"):
        assert gcs_issuer.issue("lab", ("",), client=client) == "downscoped-2"
    assert len(exchange.requests) == 2


def test_repeated_requests_of_many_clients_cause_few_exchanges(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock
) -> None:
    for number in range(50):
        gcs_issuer.issue("lab", ("",), client=f"user token {number}")
        gcs_issuer.issue("lab", ("",), client=f"user token {number}")
    assert len(exchange.requests) == 1 + RENEWALS
    clock.now += MINUTE
    gcs_issuer.issue("lab", ("",), client="ada")
    assert gcs_issuer.issue("lab", ("",), client="ada") == f"downscoped-{RENEWALS + 2}"


def test_a_request_that_has_waited_too_long_makes_no_exchange(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, source: Source
) -> None:
    ticks = Ticks()
    deadline = Deadline(clock=ticks)
    ticks.now = TOTAL_SECONDS
    with pytest.raises(GoogleUnavailable):
        gcs_issuer.issue("lab", ("",), deadline=deadline)
    assert not exchange.requests


def test_concurrent_requests_for_one_boundary_share_a_failure(gcs_issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    """They do not ask one after the other."""
    exchange.hold.clear()
    exchange.response = (503, b"{}")
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            gcs_issuer.issue("lab", ("",))
        except GoogleUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(exchange.requests) == 1)
    wait_for(lambda: gcs_issuer._limit._free._value == 0)
    exchange.hold.set()
    for thread in threads:
        thread.join()
    assert len(failures) == 2
    assert len(exchange.requests) == 1
    assert not gcs_issuer._exchanges._under_way
    assert not gcs_issuer._exchange._refreshes._under_way


def test_an_exchange_does_not_delay_another_boundary(exchange: Exchange, clock: Clock, source: Source) -> None:
    gcs_issuer = GcsTokenIssuer(ConcurrencyLimit(40), exchange.url, find_credentials=lambda named: source, clock=clock)
    gcs_issuer.issue("warm", ("",))
    exchange.hold.clear()
    threads = [threading.Thread(target=gcs_issuer.issue, args=(f"lab{number}", ("",))) for number in range(30)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(exchange.requests) == 31)  # as many locks as there are boundaries
    exchange.hold.set()
    for thread in threads:
        thread.join()


def test_a_request_that_waits_for_another_keeps_its_own_deadline(exchange: Exchange) -> None:
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


def test_cached_tokens_are_bounded_in_bytes(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcs_issuer._tokens._max_bytes = 20_000
    for number in range(40):
        gcs_issuer.issue(f"lab-{number:02}", ("x" * 900 + "/",))
        assert gcs_issuer._tokens.bytes <= 20_000
    assert 0 < len(gcs_issuer._tokens) < 10
    assert gcs_issuer.issue("lab-39", ("x" * 900 + "/",)) == "downscoped-40"


def test_recorded_clients_are_bounded_in_bytes(gcs_issuer: GcsTokenIssuer) -> None:
    gcs_issuer._last_issues._max_bytes = 5000
    for number in range(100):
        gcs_issuer.issue("lab", ("",), client=f"{number}")
    assert len(gcs_issuer._last_issues) == 10
