"""Caches what is answered to a token, as bytes.

A response is valid while no change of the database concerns its principal, one of their groups, or everybody, and until
the next date at which it differs by itself. Both are checked at every request; there is no time-to-live.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime

from dsgctl.core import clock, services, snapshots, token_checks, token_format
from dsgctl.core.rules import access
from dsgctl.core.snapshots import CacheKey
from dsgctl.core.token_checks import PresentedToken, TokenError, TokenStatus
from dsgctl.store import Database
from dsgctl.store.database import ChangeRecord
from dsgctl.store.migrations import require_latest
from dsgserve.process.byte_cache import ByteCache
from dsgserve.process.metrics import Metrics
from dsgserve.user_cache.question import Content, MustBuild, Question
from dsgserve.user_cache.token_filter import TokenFilter

MAX_BYTES = 32 * 1024**2  # of responses; the oldest are dropped first. Python needs as much again around large ones
MAX_SHARED_BYTES = 16 * 1024**2  # of answers that are the same for every token
MAX_CONCERNED = 10_000  # principals and groups whose changes are remembered; beyond that, all responses are rebuilt


@dataclass(slots=True)
class CachedResponse:
    """The response to one token.

    Attributes:
        problem: why the token is refused; None for a valid token, or for none.
        content: None if there is a problem, or if it takes a token.
        token_id: of the token, to record its use; 0 if there is no such token.
        revision: of the database when the response was built.
        valid_at: the latest revision at which it was checked.
        cache_keys: the principal and groups whose changes can change the response.
        until: when the response differs by itself, in seconds since 1970; None for never.
    """

    problem: TokenError | None
    content: Content | None = None
    token_id: int = 0
    revision: int = 0
    valid_at: int = 0
    cache_keys: tuple[CacheKey, ...] = ()
    until: float | None = None

    @property
    def body(self) -> bytes:
        """The body of its content; empty without any."""
        return self.content.body if self.content is not None else b""


Key = tuple[bytes, Question, bool]  # hash of the token, empty for none; whether the token is in a cookie

_UNKNOWN, _MISTYPED = CachedResponse(TokenError.UNKNOWN), CachedResponse(TokenError.MISTYPED)
_NO_TOKEN = TokenStatus(None)


class _ThreadMarker(threading.local):
    """The change marker that this thread's connection read last. A marker counts on its own connection only."""

    marker: int | None = None


class ResponseCache:
    """The responses of one process, shared by its threads."""

    def __init__(self, database: Database, capacity: int | None = None, metrics: Metrics | None = None) -> None:
        self._database = database
        self._metrics = metrics or Metrics()
        self._capacity = capacity
        self._responses = self._make_responses()
        self._services: tuple[int, frozenset[str]] = (-1, frozenset())
        self._lock = threading.Lock()
        self._last_read = _ThreadMarker()
        self._content_number = -1
        self._revision = -1  # all changes up to it are applied
        self._everybody = 0  # the last revision that concerned everybody
        self._concerned: dict[CacheKey, int] = {}  # the last revision that concerned this principal or group
        self._token_filter = TokenFilter(database)
        self._shared: ByteCache[Hashable, tuple[int, Content]] = ByteCache(MAX_SHARED_BYTES, _shared_size)
        # Of the event loop alone: what `is_current` read last, and how often it has seen that somebody had committed.
        self._marker: int | None = None
        self._latest = (0, 0)  # content number and revision
        self._commits = 0

    def _make_responses(self) -> ByteCache[Key, CachedResponse]:
        return ByteCache(MAX_BYTES, _size, max_entries=self._capacity)

    def warm_up(self) -> None:
        """Read what the first request would wait for: the tokens, of which there may be a million.

        Raises:
            StoreError: the database does not answer.
        """
        self._refresh()
        self._token_filter.may_contain(b"", build=True)

    def complete(self, question: Question, content: Content, *, build: bool = True) -> Content:
        """The answer to a valid token, after `get`, from what `get` returned for it.

        Raises:
            MustBuild: it is not cached, and ``build`` is false.
            StoreError: the database does not answer.
        """
        key = question.shared_key()
        if key is None:
            return content
        commits = self._commits  # before the answer is read: if others commit meanwhile, what is cached counts as old
        if not build:
            cached = self._shared.get(key)
            if cached is not None and cached[0] == commits:
                return cached[1]
            raise MustBuild
        answer = question.complete(self._database, content)
        self._shared.put(key, (commits, answer))
        return answer

    def get(
        self,
        token: str | None,
        question: Question,
        find_address: Callable[[], str | None] = lambda: None,
        *,
        in_cookie: bool = False,
        build: bool = True,
    ) -> CachedResponse:
        """The response to a presented token.

        Args:
            token: None for a client without one; ``in_cookie``: whether it is in a cookie.
            find_address: returns the client's address, for the checks of the token. It is called only if no cached
                response is valid, because it takes time to read the address from the headers of a proxy.
            build: false to read only the cache, and no database, after `is_current` has returned true.

        Raises:
            MustBuild: no valid response is cached, and ``build`` is false.
            StoreError: the database does not answer.
        """
        revision = self._refresh() if build else self._revision
        responses = self._responses  # before the response is built; see `_start_anew`
        if question.service is not None and question.service not in self._service_names(build=build):
            question = replace(question, service=None)
        digest = b"" if token is None else token_format.digest(token)
        key = (digest, question, in_cookie)
        cached = responses.get(key)
        if cached is not None and self._is_valid(cached, revision):
            self._metrics.add("answers_kept")
            return cached
        if token is None:
            presented = None
        elif self._token_filter.may_contain(digest, build=build):
            presented = PresentedToken(token, find_address(), question.service, in_cookie)
        else:
            return _MISTYPED if token_format.is_malformed(token) else _UNKNOWN
        if not build:
            raise MustBuild
        self._metrics.add("answers_built")
        response, cacheable = self._build(presented, question)
        if cacheable:
            responses.put(key, response)
        return response

    def is_current(self) -> bool:
        """Whether all changes are applied that were committed before this call.

        For the event loop, which must not wait: it takes no lock and applies no changes. If there are any, the next
        `get` of a worker does.

        Raises:
            StoreError: the database does not answer.
        """
        marker = self._database.change_marker()
        if marker != self._marker:
            require_latest(self._database)
            # Read after the marker, so they count every commit that the marker does.
            self._latest = (self._database.content_number(), self._database.revision())
            self._commits += 1
            self._marker = marker
        content_number, revision = self._latest
        return content_number == self._content_number and revision <= self._revision

    def _refresh(self) -> int:
        """Apply the changes of other connections. Costs microseconds if there are none.

        Returns:
            The revision up to which all changes are applied.
        """
        marker = self._database.change_marker()
        if marker != self._last_read.marker:
            require_latest(self._database)
            with self._lock:
                content_number = self._database.content_number()
                if content_number == self._content_number:
                    self._apply_changes(self._database.changes_since(self._revision))
                else:
                    self._start_anew()
                    self._content_number = content_number  # last, as the revision
            self._last_read.marker = marker
        return self._revision

    def _start_anew(self) -> None:
        """Forget everything: the content was replaced, and revisions may have gone back.

        What other threads are building goes into the cache that they had when they began.
        """
        self._apply_changes(None)
        self._responses = self._make_responses()
        self._services = (-1, frozenset())

    def _apply_changes(self, changes: list[ChangeRecord] | None) -> None:
        if changes is None or len(self._concerned) + len(changes) > MAX_CONCERNED:
            revision = self._everybody = self._database.revision()
            self._concerned = {}  # after _everybody, and not emptied: other threads may be reading it
            self._token_filter.note_changes(None)
        else:
            revision = self._revision
            for revision, *cache_key in changes:
                if cache_key == [None, None]:
                    self._everybody = revision
                else:
                    self._concerned[cache_key[0], cache_key[1]] = revision
            self._token_filter.note_changes(
                {change.principal_id for change in changes if change.principal_id is not None}
            )
        self._revision = revision  # last, because other threads read it without the lock

    def _is_valid(self, response: CachedResponse, revision: int) -> bool:
        if response.until is not None and response.until <= clock.seconds():
            return False
        if response.valid_at != revision:
            built, concerned = response.revision, self._concerned
            if self._everybody > built or any(concerned.get(key, 0) > built for key in response.cache_keys):
                return False
            response.valid_at = revision
        return True

    def _service_names(self, *, build: bool) -> frozenset[str]:
        revision, names = self._services
        if revision != self._everybody:  # a change of services concerns everybody
            if not build:
                raise MustBuild
            revision = self._everybody
            names = frozenset(row["name"] for row in services.list_services(self._database))
            self._services = (revision, names)
        return names

    def _build(self, presented: PresentedToken | None, question: Question) -> tuple[CachedResponse, bool]:
        """A response, and whether it may be cached: whether it is the same for every request with this token.

        A token that does not exist, and no token where it takes one, are not cached: strangers could fill the cache.
        """
        at = clock.now()
        status = _NO_TOKEN
        cache_keys: tuple[CacheKey, ...] = ()
        with self._database.snapshot():
            revision = self._database.revision()
            if presented is not None:
                status = token_checks.check(self._database, presented, at)
                if status.token is None or status.principal is None:
                    return _UNKNOWN, False
                cache_keys = snapshots.list_cache_keys(self._database, status.principal)
            content = None
            if status.problem is None:
                content = question.build_content(self._database, status.principal, at)
        until = _seconds(access.earliest((status.changes_at, content.until if content else None), at))
        token_id = status.token.id if status.token is not None else 0
        response = CachedResponse(status.problem, content, token_id, revision, revision, cache_keys, until)
        cacheable = content.cacheable if content is not None else status.problem is not None
        return response, status.cacheable and cacheable


def _shared_size(key: Hashable, entry: tuple[int, Content]) -> int:
    """The bytes of an entry, with what Python needs around it."""
    return 600 + len(entry[1].body) + len(repr(key))


def _size(key: Key, response: CachedResponse) -> int:
    """The bytes of an entry, with what Python needs around it."""
    headers = response.content.headers if response.content is not None else ()
    texts = (*(text for header in headers for text in header), *vars(key[1]).values())
    return 800 + len(response.body) + sum(len(str(text)) + 50 for text in texts) + 100 * len(response.cache_keys)


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
