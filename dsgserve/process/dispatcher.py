"""Threads for waitress in two lanes: requests that wait for other servers do not delay the others."""

import time
from typing import Any

from waitress.task import ThreadedTaskDispatcher


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress comes without types
    """The fast lane is waitress's own. The slow lane, for routes that declare ``waits``, has its own threads."""

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
        """Stop the threads of both lanes."""
        self.slow.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))
