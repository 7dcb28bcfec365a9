"""The workers: two thread pools of waitress, so that requests that wait for other servers do not delay the others."""

import time
from collections import deque
from typing import Any

from waitress.task import ThreadedTaskDispatcher


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress comes without types
    """The fast pool is waitress's own. Routes that declare ``waits`` are answered by the threads of the slow pool.

    Attributes:
        arrived: the connections (`wire.Channel`) whose next request is complete, for the event loop.
        finished: those whose request a worker has answered, for the event loop to send what is left to be sent.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.arrived: deque[Any] = deque()
        self.finished: deque[Any] = deque()
        self.slow = ThreadedTaskDispatcher()
        self.set_thread_count(threads)
        self.slow.set_thread_count(threads)

    def add_task(self, task: Any) -> None:
        """Note a connection whose next request is complete; waitress calls it in the thread of the event loop."""
        self.arrived.append(task)

    def pass_on(self, task: Any) -> None:
        """Pass a connection to a worker."""
        route = task.requests[0].target.route
        if route is not None and route.waits:
            task.requests[0].arrived = time.monotonic()
            self.slow.add_task(task)
        else:
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Stop the threads of both pools."""
        self.slow.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))
