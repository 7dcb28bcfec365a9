"""What a process keeps to be quick, bounded in bytes: whatever clients send, and however much there is."""

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(dict[K, V]):
    """A dict that holds so many bytes; the oldest entries go first. Reading takes no lock."""

    def __init__(self, most_bytes: int, size: Callable[[K, V], int], *, most: int | None = None) -> None:
        """
        Args:
            size: the bytes that an entry holds, always the same of one entry.
            most: entries at most.
        """
        super().__init__()
        self.bytes = 0
        self._most_bytes, self._most, self._size = most_bytes, most, size
        self._lock = threading.Lock()

    def keep(self, key: K, value: V) -> None:
        """Add an entry, or put another in its place, as the youngest. One that is too large by itself is not kept."""
        size = self._size(key, value)
        with self._lock:
            if key in self:
                self.bytes -= self._size(key, self.pop(key))
            if size > self._most_bytes:
                return
            while self and (self.bytes + size > self._most_bytes or len(self) == self._most):
                oldest = next(iter(self))
                self.bytes -= self._size(oldest, self.pop(oldest))
            self[key] = value
            self.bytes += size
