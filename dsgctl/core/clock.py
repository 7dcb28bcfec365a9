"""The present time, in UTC. In one process it never goes back, so that what has ended stays ended."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """The host's clock. If somebody sets it back, this clock goes on from its latest time.

    Args:
        wall, steady: the host's clock and one that nobody can set, in seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._latest = (wall(), steady())

    def seconds(self) -> float:
        """The time in seconds since 1970."""
        wall, steady = self._wall(), self._steady()
        latest_wall, latest_steady = self._latest
        at_least = latest_wall + (steady - latest_steady)
        if wall < at_least:
            return at_least
        self._latest = (wall, steady)  # in one step: other threads read both
        return wall

    def behind(self) -> float:
        """The seconds by which the host's clock was set back since this process started."""
        return self.seconds() - self._wall()


_clock = Clock()
seconds, behind = _clock.seconds, _clock.behind


def now() -> datetime:
    """The present time, as an aware datetime."""
    return datetime.fromtimestamp(_clock.seconds(), UTC)
