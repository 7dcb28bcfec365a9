"""Answers of user/cache, built once and kept as bytes for as long as they are true.

An answer is true while the revision of the facts is the one that it was built from, and
until the next date at which it changes by itself. Both are checked at every request; there
is no time-to-live.
"""

import json
import threading
from dataclasses import dataclass
from datetime import datetime

from dsgctl.core import access, change, facts, services, tokens
from dsgctl.core.tokens import Problem
from dsgctl.store import Database

CAPACITY = 20_000  # answers kept; the oldest go first


@dataclass(frozen=True, slots=True)
class Answer:
    """What a token gets.

    Attributes:
        problem: why it is refused; None for a good one, which has a ``body``.
        token_id: whose use is to be noted.
        until: the first moment at which the answer is another; None for never.
    """

    revision: int
    problem: Problem | None
    body: bytes = b""
    token_id: int = 0
    until: datetime | None = None


class _Seen(threading.local):
    """What this thread's connection saw last. A marker means something on its own connection only."""

    marker: int | None = None
    revision: int = 0


class AnswerCache:
    """The answers of one process, shared by its threads."""

    def __init__(self, database: Database, capacity: int = CAPACITY) -> None:
        self._database = database
        self._capacity = capacity
        self._answers: dict[tuple[bytes, str | None], Answer] = {}
        self._services: tuple[int, frozenset[str]] = (0, frozenset())
        self._lock = threading.Lock()
        self._seen = _Seen()

    def get(self, token: str, service: str | None) -> Answer:
        """The answer for a presented token, and for the service that asks if it is a known one.

        Raises:
            StoreError: the database does not answer.
        """
        if tokens.is_hopeless(token):
            return Answer(0, Problem.MISTYPED)
        revision = self._revision()
        key = (tokens.digest(token), service if service and service in self._known_services(revision) else None)
        known = self._answers.get(key)
        if known is not None and known.revision == revision and (known.until is None or change.now() < known.until):
            return known
        answer = self._build(token, key[1])
        # Refusals are not kept: strangers could fill the memory with them, and push good answers out.
        if answer.problem is None:
            self._keep(key, answer)
        return answer

    def _revision(self) -> int:
        """The revision of the facts now. Costs microseconds unless somebody has written."""
        marker = self._database.change_marker()
        if marker != self._seen.marker:
            self._seen.revision = self._database.revision()
            self._seen.marker = marker
        return self._seen.revision

    def _known_services(self, revision: int) -> frozenset[str]:
        at, names = self._services
        if at != revision:
            names = frozenset(row["name"] for row in services.listed(self._database))
            self._services = (revision, names)
        return names

    def _build(self, token: str, service: str | None) -> Answer:
        at = change.now()
        with self._database.snapshot():
            revision = self._database.revision()
            checked = tokens.check(self._database, token, at)
            if checked.problem is not None or checked.token is None or checked.principal is None:
                return Answer(revision, checked.problem)
            known = facts.of_principal(self._database, checked.principal, service=service)
        body = json.dumps(access.user_cache(known, at), ensure_ascii=False, separators=(",", ":")).encode()
        until = access.earliest((checked.token.expires, access.next_change(known, at)), at)
        return Answer(revision, None, body, checked.token.id, until)

    def _keep(self, key: tuple[bytes, str | None], answer: Answer) -> None:
        with self._lock:
            self._answers.pop(key, None)  # so that it is the youngest again
            while len(self._answers) >= self._capacity:
                del self._answers[next(iter(self._answers))]
            self._answers[key] = answer
