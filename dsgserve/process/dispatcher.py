"""Two thread pools for waitress, so that requests that wait for other servers do not delay the others."""

import time
from typing import Any

from waitress.task import ThreadedTaskDispatcher


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress comes without types
    """The fast pool is waitress's own. Routes that declare ``waits`` are answered by the threads of the slow pool."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.slow = ThreadedTaskDispatcher()
        self.set_thread_count(threads)
        self.slow.set_thread_count(threads)

    def add_task(self, task: Any) -> None:
        """Queue a connection (`wire.Channel`) whose next request is complete."""
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
