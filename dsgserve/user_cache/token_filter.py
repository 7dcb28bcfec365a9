"""Rejects most tokens that do not exist, without a query."""

import threading
from collections.abc import Set

from dsgctl.core import tokens
from dsgctl.store import Database
from dsgserve.user_cache.question import MustBuild

FILTER_BITS = 1 << 23  # 1 MB; 100,000 tokens set about 1 % of them


class TokenFilter:
    """A Bloom filter with one hash, shared by the threads of a process.

    Each token sets the bit that its hash selects, and tokens can share a bit. Bits are never cleared. So a set bit
    proves nothing: the database decides then. A clear bit proves that there is no such token, once the tokens of all
    principals that have changed are read. They are read when somebody presents a token whose bit is clear.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bits = bytearray(FILTER_BITS // 8)
        self._unread: Set[int] | None = None  # the principals whose tokens are to be read; None for all
        self._noting = threading.Lock()  # held for a moment
        self._reading = threading.Lock()  # held while tokens are read

    def note_changes(self, principal_ids: Set[int] | None) -> None:
        """Note principals who may have new tokens; None for all."""
        with self._noting:
            self._unread = None if principal_ids is None or self._unread is None else self._unread | principal_ids

    def may_contain(self, digest: bytes, *, build: bool) -> bool:
        """Whether there may be a token with this hash.

        Raises:
            MustBuild: tokens must be read first, and ``build`` is false.
            StoreError: the database does not answer.
        """
        if self._is_set(digest):
            return True
        # In this order: a thread that reads tokens takes the lock before it empties the set.
        if self._unread is None or self._unread or self._reading.locked():
            if not build:
                raise MustBuild
            self._read()
        return self._is_set(digest)

    def _is_set(self, digest: bytes) -> bool:
        bit = int.from_bytes(digest[:4], "big") % FILTER_BITS
        return bool(self._bits[bit >> 3] & 1 << (bit & 7))

    def _read(self) -> None:
        with self._reading:
            with self._noting:
                principal_ids, self._unread = self._unread, frozenset()
            bits = self._bits
            try:
                for digest in tokens.list_hashes(self._database, principal_ids):
                    bit = int.from_bytes(digest[:4], "big") % FILTER_BITS
                    bits[bit >> 3] |= 1 << (bit & 7)
            except BaseException:
                self.note_changes(principal_ids)
                raise
