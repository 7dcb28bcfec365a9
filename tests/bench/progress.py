"""Shows on stderr what is measured now: one line that changes on a terminal, a line for each measurement elsewhere."""

import sys
import time


class Progress:
    """What runs now, which of how many it is, and the time since the start.

    Args:
        count: of the measurements.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._number = 0
        self._name = ""
        self._start = time.monotonic()
        self._on_terminal = sys.stderr.isatty()

    def begin(self, name: str) -> None:
        """Show that the next measurement begins."""
        self._number += 1
        self._name = name
        self._show("" if self._on_terminal else "\n")

    def step(self, text: str) -> None:
        """Show a step of the measurement, on a terminal."""
        if self._on_terminal:
            self._show("", f": {text}")

    def clear(self) -> None:
        """Make room for a line of the result on the same terminal."""
        if self._on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _show(self, end: str, step: str = "") -> None:
        self.clear()
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        line = f"{self._number} of {self._count}, after {minutes}:{seconds:02}: {self._name}{step}"
        print(line, end=end, file=sys.stderr, flush=True)
