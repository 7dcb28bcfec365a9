"""Calls of the server to others: few at once, so that slow ones leave threads for everybody else.

What one call may take is bounded in dsgctl/bounded_http.py.
"""

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from bottle import BaseRequest

from dsgctl.bounded_http import Deadline
from dsgserve.http.environ import ARRIVED
from dsgserve.process.metrics import Metrics

Result = TypeVar("Result")


class UpstreamUnavailable(Exception):
    """The other server cannot be asked now, or does not answer in time, or answers nonsense."""


class ConcurrencyLimit:
    """At most so many calls at once, so that slow servers leave threads for everybody else."""

    def __init__(self, number: int, metrics: Metrics | None = None) -> None:
        self._free = threading.BoundedSemaphore(number)
        self._metrics = metrics or Metrics()

    @contextmanager
    def acquire(self, *, wait: float = 0.0) -> Iterator[None]:
        """Hold a place.

        Args:
            wait: seconds to wait for one.

        Raises:
            UpstreamUnavailable: none came free.
        """
        if not self._free.acquire(timeout=wait):
            self._metrics.add("calls_refused")
            raise UpstreamUnavailable("too many calls are under way")
        self._metrics.add("calls")
        try:
            yield
        finally:
            self._free.release()


def deadline_of(request: BaseRequest) -> Deadline:
    """When a request must be answered, whatever it waits for: counted from when it arrived."""
    return Deadline(since=request.environ.get(ARRIVED))


class Shared(Generic[Result]):
    """One call at a time for the same thing: whoever wants it meanwhile waits for that one's result or failure."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[Result]] = {}

    def run(self, key: Hashable, deadline: Deadline, call: Callable[[], Result]) -> Result:
        """What ``call`` returns, here or in another thread.

        Raises:
            UpstreamUnavailable: the other thread's call was not over in time.
            Exception: what the call raised.
        """
        with self._lock:
            future = self._under_way.get(key)
            mine = future is None
            if future is None:
                future = self._under_way[key] = Future()
        if not mine:
            try:
                return future.result(timeout=deadline.seconds_left())
            except TimeoutError:
                raise UpstreamUnavailable("the same call of another request takes too long") from None
        try:
            result = call()
        except BaseException as error:
            self._end(key, future.set_exception, error)
            raise
        self._end(key, future.set_result, result)
        return result

    def _end(self, key: Hashable, tell: Callable[[Any], None], what: Any) -> None:
        with self._lock:  # who comes now makes a call of their own
            del self._under_way[key]
        tell(what)
