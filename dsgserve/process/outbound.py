"""Limits how many outbound calls run at the same time, and shares one call between requests for the same thing.

dsgctl/bounded_http.py bounds the time and the size of each call.
"""

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

from bottle import BaseRequest

from dsgctl.bounded_http import Deadline
from dsgserve.http.environ import ARRIVED
from dsgserve.process.metrics import Metrics

Result = TypeVar("Result")
Outcome = TypeVar("Outcome")


class UpstreamUnavailable(Exception):
    """The other server does not answer in time, its response is malformed, or too many calls are under way."""


class ConcurrencyLimit:
    """Limits how many calls run at the same time, so that slow servers leave threads for other requests."""

    def __init__(self, number: int, metrics: Metrics | None = None) -> None:
        self._free = threading.BoundedSemaphore(number)
        self._metrics = metrics or Metrics()

    @contextmanager
    def acquire(self, *, wait: float = 0.0) -> Iterator[None]:
        """Count one call as running while the context lasts.

        Args:
            wait: seconds to wait for another call to end, if the limit is reached.

        Raises:
            UpstreamUnavailable: no other call ended in time.
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
    """The deadline of a request, counted from its arrival: time in the queue of the slow thread pool counts too."""
    return Deadline(since=request.environ.get(ARRIVED))


class Shared(Generic[Result]):
    """One call at a time for the same key. Other requests for it wait for the result or failure of that call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[Result]] = {}

    def run(self, key: Hashable, deadline: Deadline, call: Callable[[], Result]) -> Result:
        """The result of ``call``, run here or in another thread that runs it already.

        Raises:
            UpstreamUnavailable: the call of the other thread does not end before the deadline.
            Exception: whatever the call raises.
        """
        with self._lock:
            future = self._under_way.get(key)
            is_first = future is None
            if future is None:
                future = self._under_way[key] = Future()
        if not is_first:
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

    def _end(self, key: Hashable, set_outcome: Callable[[Outcome], None], outcome: Outcome) -> None:
        with self._lock:  # from now on, a request for this key begins another call
            del self._under_way[key]
        set_outcome(outcome)
