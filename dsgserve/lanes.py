"""Threads for waitress in two lanes, so that requests that wait for other servers hold up no others."""

from collections.abc import Collection
from typing import Any

from waitress.task import ThreadedTaskDispatcher


class Lanes(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress comes without types
    """waitress's own threads, and beside them some for the slow paths: each lane has its own queue."""

    def __init__(self, threads: int, slow_paths: Collection[str]) -> None:
        super().__init__()
        self._slow_paths = frozenset(slow_paths)
        self._slow = ThreadedTaskDispatcher()
        self.set_thread_count(threads)
        self._slow.set_thread_count(threads)

    def add_task(self, task: Any) -> None:
        """Queue a connection whose next request is whole."""
        # One that could not be understood has no path.
        if getattr(task.requests[0], "path", "") in self._slow_paths:
            self._slow.add_task(task)
        else:
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """End the threads of both lanes."""
        self._slow.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))
