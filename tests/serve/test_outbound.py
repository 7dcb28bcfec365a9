"""Calls to others: one deadline from the arrival of a request, and one call at a time for the same thing."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from bottle import BaseRequest

from dsgctl.calls import TOTAL_SECONDS, Deadline
from dsgserve import routes
from dsgserve.lanes import Lanes
from dsgserve.outbound import ARRIVED, Shared, deadline_of
from tests.serve.test_gcs_tokens import Ticks


def test_a_deadline_counts_from_when_the_request_arrived() -> None:
    assert deadline_of(BaseRequest({ARRIVED: time.monotonic() - TOTAL_SECONDS})).seconds_left() == 0
    assert deadline_of(BaseRequest({})).seconds_left() > 0
    ticks = Ticks()
    deadline = Deadline(3, clock=ticks)
    for now, left in ((0, 3), (1, 2), (3, 0), (9, 0)):
        ticks.now = now
        assert deadline.seconds_left() == left


@pytest.mark.parametrize(("path", "waits"), [("/gcs_token", True), ("/auth/login", True), ("/health", False)])
def test_the_arrival_of_a_request_that_waits_for_others_is_noted_when_it_is_whole(path: str, waits: bool) -> None:
    lanes = Lanes(0)
    parser = SimpleNamespace(target=routes.resolve(path), arrived=None)
    lanes.add_task(SimpleNamespace(requests=[parser]))
    assert (parser.arrived is not None) is waits


def test_a_client_cannot_say_when_its_request_arrived() -> None:
    assert not ARRIVED.upper().startswith("HTTP_"), "a header could be of this name"


def test_whoever_comes_meanwhile_gets_the_same_result_and_whoever_comes_later_another() -> None:
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
