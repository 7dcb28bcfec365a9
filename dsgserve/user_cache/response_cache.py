"""Answers of user/cache, built once and kept as bytes for as long as they are true.

An answer is true while no change of the facts has concerned its principal, a group that it was
in, or everybody, and until the next date at which it changes by itself. Both are checked at every
request; there is no time-to-live.
"""

import json
import threading
from dataclasses import dataclass
from datetime import datetime

from dsgctl.core import clock, services, snapshots, tokens
from dsgctl.core.rules import access
from dsgctl.core.snapshots import CacheKey
from dsgctl.core.tokens import TokenError
from dsgctl.store import Database
from dsgctl.store.database import ChangeRecord
from dsgctl.store.migrations import require_latest
from dsgserve.process.byte_cache import ByteCache
from dsgserve.process.metrics import Metrics

KEPT_BYTES = 64 * 1024**2  # of answers; the oldest go first
EXISTING_BITS = 1 << 23  # 1 MB; of a database of 100,000 tokens, 1 % of the places
REMEMBERED = 10_000  # principals and groups that changes concerned; beyond that all answers are built anew


@dataclass(slots=True)
class CachedResponse:
    """What a token gets.

    Attributes:
        problem: why it is refused; None for a good one, which has a ``body``.
        token_id: whose use is to be noted; 0 if there is no such token.
        revision: of the facts that it was built from; ``true_at``: the latest at which it was found true.
        concerns: the changes that may make another answer of it.
        until: the first moment at which the answer is another, in seconds since 1970; None for never.
    """

    problem: TokenError | None
    body: bytes = b""
    token_id: int = 0
    revision: int = 0
    true_at: int = 0
    concerns: tuple[CacheKey, ...] = ()
    until: float | None = None


Key = tuple[bytes, str | None]  # hash of the token, and the service that asks

_UNKNOWN, _MISTYPED = CachedResponse(TokenError.UNKNOWN), CachedResponse(TokenError.MISTYPED)


class _TokenFilter:
    """Tells of nearly every token that does not exist that it does not, without asking the database.

    A bit for each token, at a place that its hash says; a place may be another's too. Bits are never
    taken away: the database has the last word of those that are set.
    """

    def __init__(self) -> None:
        self._bits = bytearray(EXISTING_BITS // 8)

    def add(self, digest: bytes) -> None:
        at = int.from_bytes(digest[:4], "big") % EXISTING_BITS
        self._bits[at >> 3] |= 1 << (at & 7)

    def may_have(self, digest: bytes) -> bool:
        at = int.from_bytes(digest[:4], "big") % EXISTING_BITS
        return bool(self._bits[at >> 3] & 1 << (at & 7))


class _ThreadMarker(threading.local):
    """What this thread's connection saw last. A marker means something on its own connection only."""

    marker: int | None = None


class ResponseCache:
    """The answers of one process, shared by its threads."""

    def __init__(self, database: Database, capacity: int | None = None, metrics: Metrics | None = None) -> None:
        self._database = database
        self._metrics = metrics or Metrics()
        self._answers: ByteCache[Key, CachedResponse] = ByteCache(KEPT_BYTES, _size, most=capacity)
        self._services: tuple[int, frozenset[str]] = (-1, frozenset())
        self._lock = threading.Lock()
        self._seen = _ThreadMarker()
        # The changes up to a revision: when they concerned everybody last, and whom since when.
        self._revision = 0
        self._everybody = 0
        self._concerned: dict[CacheKey, int] = {}
        self._existing = _TokenFilter()

    def get(self, token: str, service: str | None) -> CachedResponse:
        """The answer for a presented token, and for the service that asks if it is a known one.

        Raises:
            StoreError: the database does not answer.
        """
        revision = self._refresh()
        digest = tokens.digest(token)
        key = (digest, service if service and service in self._known_services() else None)
        known = self._answers.get(key)
        if known is not None and self._is_true(known, revision):
            self._metrics.add("answers_kept")
            return known
        if not self._existing.may_have(digest):
            return _MISTYPED if tokens.is_malformed(token) else _UNKNOWN
        self._metrics.add("answers_built")
        answer = self._build(token, key[1])
        # Only of tokens that exist: strangers could fill the memory with others, and push good answers out.
        if answer.token_id:
            self._answers.keep(key, answer)
        return answer

    def _refresh(self) -> int:
        """Take note of what others have changed. Costs microseconds unless somebody has written.

        Returns:
            The revision up to which that is done.
        """
        marker = self._database.change_marker()
        if marker != self._seen.marker:
            require_latest(self._database)
            with self._lock:
                self._apply_changes(self._database.changes_since(self._revision))
            self._seen.marker = marker
        return self._revision

    def _apply_changes(self, changes: list[ChangeRecord] | None) -> None:
        if changes is None or len(self._concerned) + len(changes) > REMEMBERED:
            revision = self._everybody = self._database.revision()
            self._concerned.clear()
            owners = None
        else:
            revision = self._revision
            for revision, *whom in changes:
                if whom == [None, None]:
                    self._everybody = revision
                else:
                    self._concerned[whom[0], whom[1]] = revision
            owners = {change.principal_id for change in changes if change.principal_id is not None}
        for digest in tokens.list_hashes(self._database, owners):
            self._existing.add(digest)
        self._revision = revision  # last, for others read it without the lock

    def _is_true(self, answer: CachedResponse, revision: int) -> bool:
        if answer.until is not None and answer.until <= clock.seconds():
            return False
        if answer.true_at != revision:
            since = answer.revision
            if self._everybody > since or any(self._concerned.get(whom, 0) > since for whom in answer.concerns):
                return False
            answer.true_at = revision
        return True

    def _known_services(self) -> frozenset[str]:
        at, names = self._services
        if at != self._everybody:  # a change of services concerns everybody
            at = self._everybody
            names = frozenset(row["name"] for row in services.list_services(self._database))
            self._services = (at, names)
        return names

    def _build(self, token: str, service: str | None) -> CachedResponse:
        at = clock.now()
        with self._database.snapshot():
            checked = tokens.check(self._database, token, at)
            if checked.token is None or checked.principal is None:
                return _UNKNOWN
            revision = self._database.revision()
            concerns = snapshots.list_cache_keys(self._database, checked.principal)
            if checked.problem is not None:
                expires = _seconds(access.earliest((checked.token.expires,), at))
                return CachedResponse(checked.problem, b"", checked.token.id, revision, revision, concerns, expires)
            known = snapshots.read_principal(self._database, checked.principal, service=service)
        body = json.dumps(access.build_user_cache(known, at), ensure_ascii=False, separators=(",", ":")).encode()
        until = _seconds(access.earliest((checked.token.expires, access.next_change(known, at)), at))
        return CachedResponse(None, body, checked.token.id, revision, revision, concerns, until)


def _size(key: Key, answer: CachedResponse) -> int:
    """The bytes that an answer holds, with what Python needs around it."""
    return 800 + len(answer.body) + len(key[1] or "") + 100 * len(answer.concerns)


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
