"""The clock: the present moment, in UTC. In one process it never goes back, so that what has ended stays ended."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """The host's clock, unless somebody has set it back: then it goes on from where it was."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._latest = (wall(), steady())

    def seconds(self) -> float:
        """Since 1970."""
        wall, steady = self._wall(), self._steady()
        then, since = self._latest
        at_least = then + (steady - since)
        if wall < at_least:
            return at_least
        self._latest = (wall, steady)  # in one step: other threads read both
        return wall

    def behind(self) -> float:
        """By how many seconds the host's clock was set back since this process knows it."""
        return self.seconds() - self._wall()


_clock = Clock()
seconds, behind = _clock.seconds, _clock.behind


def now() -> datetime:
    return datetime.fromtimestamp(_clock.seconds(), UTC)
