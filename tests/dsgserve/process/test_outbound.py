"""Calls to others: one deadline from the arrival of a request, and one call at a time for the same thing."""

import hashlib
import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from bottle import BaseRequest

from dsgctl.bounded_http import TOTAL_SECONDS, Deadline
from dsgserve.gateway import Gateway
from dsgserve.http.environ import ARRIVED
from dsgserve.http.routing import make_table
from dsgserve.process import dispatcher
from dsgserve.process.dispatcher import Dispatcher
from dsgserve.process.outbound import Shared, deadline_of
from tests.dsgserve.conftest import Client, FakeIssuer, Lab
from tests.dsgserve.ngauth.sts import Ticks
from tests.dsgserve.ngauth.viewer import request_user_token
from tests.dsgserve.wire import listening


def test_a_deadline_counts_from_when_the_request_arrived() -> None:
    assert deadline_of(BaseRequest({ARRIVED: time.monotonic() - TOTAL_SECONDS})).seconds_left() == 0
    assert deadline_of(BaseRequest({})).seconds_left() > 0
    ticks = Ticks()
    deadline = Deadline(3, clock=ticks)
    for now, left in ((0, 3), (1, 2), (3, 0), (9, 0)):
        ticks.now = now
        assert deadline.seconds_left() == left


@pytest.mark.parametrize(("path", "waits"), [("/gcs_token", True), ("/auth/login", True), ("/health", False)])
def test_the_arrival_of_a_request_that_calls_upstreams_is_recorded_when_it_is_complete(path: str, waits: bool) -> None:
    parser = SimpleNamespace(target=make_table(()).resolve(path), arrived=None)
    Dispatcher(0).pass_on(SimpleNamespace(requests=[parser]))
    assert (parser.arrived is not None) is waits


@pytest.mark.parametrize("ago", [0.0, TOTAL_SECONDS])
def test_a_request_that_arrived_too_long_ago_has_no_time_left(
    gateway: Gateway, client: Client, lab: Lab, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch, ago: float
) -> None:
    """On a socket: from when the request was whole, whatever it waited for a thread."""
    presented = request_user_token(client, lab.robot)
    body = json.dumps({"token": presented, "bucket": "fish-bucket"})
    monkeypatch.setattr(dispatcher, "time", SimpleNamespace(monotonic=lambda: time.monotonic() - ago))
    with listening(gateway) as wire:
        head = f"POST /gcs_token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        forged = "dsgserve.arrived: 9e9\r\nDsgserve-Arrived: 9e9\r\n"
        answer = wire.ask(f"{head}{forged}\r\n{body}".encode())
    assert answer[0] == 200, answer
    (about,) = issuer.options
    assert (about["deadline"].seconds_left() == 0) is (ago > 0)
    assert about["client"] == hashlib.sha256(presented.encode()).hexdigest()


def test_concurrent_calls_share_one_result_and_later_calls_get_another() -> None:
    shared: Shared[int] = Shared()
    calls: list[int] = []
    go_on = threading.Event()

    def call() -> int:
        calls.append(len(calls))
        go_on.wait(30)
        return len(calls)

    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(shared.run("key", Deadline(), call))) for _ in range(10)]
    for thread in threads:
        thread.start()
    while len(shared._under_way) != 1:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(results) == 10
    assert len(calls) == len(set(results)), "as many results as calls"
    assert not shared._under_way
    with pytest.raises(ZeroDivisionError):
        shared.run("key", Deadline(), lambda: 1 // 0)
    assert shared.run("key", Deadline(), lambda: 7) == 7
