"""A cache bounded in bytes, so that memory stays bounded whatever clients send and however large the database is."""

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(dict[K, V]):
    """A dict with a limit in bytes; the oldest entries are dropped first. Reading takes no lock.

    Attributes:
        bytes: the size of all entries.
    """

    def __init__(self, max_bytes: int, size: Callable[[K, V], int], *, max_entries: int | None = None) -> None:
        """
        Args:
            size: returns the size of an entry in bytes, always the same for one entry.
        """
        super().__init__()
        self.bytes = 0
        self._max_bytes, self._max_entries, self._size = max_bytes, max_entries, size
        self._lock = threading.Lock()

    def put(self, key: K, value: V) -> None:
        """Add or replace an entry, as the newest. An entry larger than the whole cache is not stored."""
        size = self._size(key, value)
        with self._lock:
            if key in self:
                self.bytes -= self._size(key, self.pop(key))
            if size > self._max_bytes:
                return
            while self and (self.bytes + size > self._max_bytes or len(self) == self._max_entries):
                oldest = next(iter(self))
                self.bytes -= self._size(oldest, self.pop(oldest))
            self[key] = value
            self.bytes += size
