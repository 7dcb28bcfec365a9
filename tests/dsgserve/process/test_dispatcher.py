"""The two thread pools: a route that waits for another server takes no thread of the others."""

import threading
from types import SimpleNamespace

import pytest

from dsgserve.http.route import Route
from dsgserve.process.dispatcher import Dispatcher
from tests.patience import PATIENCE


class Task:
    """A connection with one complete request, which blocks the thread that serves it until it may go on."""

    def __init__(self, route: Route | None, go_on: threading.Event) -> None:
        self.requests = [SimpleNamespace(target=SimpleNamespace(route=route), arrived=None)]
        self.served = threading.Event()
        self._go_on = go_on

    def service(self) -> None:
        self.served.set()
        assert self._go_on.wait(PATIENCE)

    def cancel(self) -> None:
        """A queued task that is dropped at shutdown."""


SLOW = Route("/slow", (), waits=True)


@pytest.mark.parametrize("route", [Route("/quick", ()), None], ids=["a quick route", "no route"])
def test_calls_that_wait_leave_the_threads_of_other_routes_free(route: Route | None) -> None:
    dispatcher, go_on = Dispatcher(1), threading.Event()
    try:
        waiting, queued, quick = Task(SLOW, go_on), Task(SLOW, go_on), Task(route, go_on)
        for task in (waiting, queued, quick):
            dispatcher.pass_on(task)
        assert waiting.served.wait(PATIENCE) and quick.served.wait(PATIENCE)
        assert not queued.served.is_set()
        assert waiting.requests[0].arrived is not None and quick.requests[0].arrived is None
        go_on.set()
        assert queued.served.wait(PATIENCE)
    finally:
        go_on.set()
        dispatcher.shutdown()
