"""Calls of the server to others: few at once, so that slow ones leave threads for everybody else.

What one call may take is bounded in dsgctl/calls.py.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dsgserve.tally import Tally


class Unavailable(Exception):
    """The other server cannot be asked now, or does not answer in time, or answers nonsense."""


class Places:
    """At most so many calls at once, so that slow servers leave threads for everybody else."""

    def __init__(self, number: int, tally: Tally | None = None) -> None:
        self._free = threading.BoundedSemaphore(number)
        self._tally = tally or Tally()

    @contextmanager
    def one(self, *, wait: float = 0.0) -> Iterator[None]:
        """Hold a place.

        Args:
            wait: seconds to wait for one.

        Raises:
            Unavailable: none came free.
        """
        if not self._free.acquire(timeout=wait):
            self._tally.add("calls_refused")
            raise Unavailable("too many calls are under way")
        self._tally.add("calls")
        try:
            yield
        finally:
            self._free.release()
