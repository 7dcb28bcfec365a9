"""Issues Google tokens that read one bucket, or some prefixes of it (architecture.md, "GCS tokens").

A token is handed out again, to everybody who may read the same, while it has enough life left. This module decides
when; token_exchange.py gets new tokens from Google.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dsgctl.bounded_http import Deadline
from dsgctl.core import clock
from dsgserve.ngauth.token_exchange import (
    MIN_LIFE,
    REFRESH_INTERVAL,
    Boundary,
    ExchangedToken,
    GoogleUnavailable,
    TokenExchange,
)
from dsgserve.process.byte_cache import ByteCache
from dsgserve.process.outbound import ConcurrencyLimit, Shared, UpstreamUnavailable

TOKENS_BYTES = 8 * 1024**2  # of issued tokens with their boundaries
# Storage has refused the token of a client that asks again with the same user token within this time. The client tries
# three times in all (contract.md, "ngauth").
REPEAT_INTERVAL = REFRESH_INTERVAL
RENEWALS = 5  # of one boundary within that time; each client causes one at most
CLIENTS_BYTES = 4 * 1024**2  # of the records of what each client got last


@dataclass(frozen=True, slots=True)
class _IssuedToken:
    """A token that may be handed out again.

    Attributes:
        renewals: when this token and earlier ones replaced a token that storage had refused, within `REPEAT_INTERVAL`.
    """

    token: ExchangedToken
    renewals: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class _LastIssue:
    """What a client got last, for one boundary.

    Attributes:
        token: its hash.
        renewed: when this client last caused a renewal.
    """

    at: datetime
    token: int
    renewed: datetime | None = None


class GcsTokenIssuer:
    """Issues tokens and caches them. One per process."""

    def __init__(
        self,
        limit: ConcurrencyLimit,
        sts_url: str,
        *,
        find_credentials: Callable[[str | None], Any] | None = None,
        clock: Callable[[], datetime] = clock.now,
    ) -> None:
        """
        Args:
            limit: of requests that wait for Google.
            sts_url: of the token exchange.
            find_credentials: see `TokenExchange`.
        """
        self._limit = limit
        self._clock = clock
        self._exchange = TokenExchange(sts_url, find_credentials=find_credentials, clock=clock)
        self._exchanges: Shared[_IssuedToken] = Shared()
        self._tokens: ByteCache[Boundary, _IssuedToken] = ByteCache(TOKENS_BYTES, _size)
        self._last_issues: ByteCache[tuple[str, int], _LastIssue] = ByteCache(CLIENTS_BYTES, lambda key, issue: 500)

    def issue(
        self,
        bucket: str,
        prefixes: tuple[str, ...],
        credential: str | None = None,
        *,
        client: str | None = None,
        deadline: Deadline | None = None,
    ) -> str:
        """A token that may read and list these prefixes of a bucket.

        Args:
            prefixes: ``("",)`` for the whole bucket.
            credential: see `Boundary`.
            client: a digest of the user token in the request. If the same client asks for the same again within
                `REPEAT_INTERVAL`, storage has refused its token, and it gets a new one, once.
            deadline: of the whole call; None for one that begins now.

        Raises:
            GoogleUnavailable: the client may try again in a moment.
            GoogleRefused: trying again is useless.
        """
        boundary = Boundary(credential, bucket, prefixes)
        issued = self._find_reusable(boundary)
        refused = issued if issued and client and self._was_refused(client, boundary, issued) else None
        if issued is None or refused is not None:
            issued = self._renew_once(boundary, refused, deadline or Deadline())
        if client is not None:
            self._record_issue(client, boundary, issued, renewed=refused is not None)
        return issued.token.text

    def _find_reusable(self, boundary: Boundary) -> _IssuedToken | None:
        issued = self._tokens.get(boundary)
        return issued if issued and issued.token.expires - self._clock() >= MIN_LIFE else None

    # Tokens that storage refuses

    def _was_refused(self, client: str, boundary: Boundary, issued: _IssuedToken) -> bool:
        last, now = self._last_issues.get((client, hash(boundary))), self._clock()
        if last is None or last.token != hash(issued.token.text) or now - last.at >= REPEAT_INTERVAL:
            return False
        if last.renewed is not None and now - last.renewed < REPEAT_INTERVAL:
            return False
        return sum(now - moment < REPEAT_INTERVAL for moment in issued.renewals) < RENEWALS

    def _record_issue(self, client: str, boundary: Boundary, issued: _IssuedToken, *, renewed: bool) -> None:
        key, now = (client, hash(boundary)), self._clock()
        before = self._last_issues.get(key)
        renewed_at = now if renewed else before.renewed if before else None
        self._last_issues.put(key, _LastIssue(now, hash(issued.token.text), renewed_at))

    # New tokens

    def _renew_once(self, boundary: Boundary, refused: _IssuedToken | None, deadline: Deadline) -> _IssuedToken:
        try:
            with self._limit.acquire(wait=min(0.1, deadline.seconds_left())):
                return self._exchanges.run(boundary, deadline, lambda: self._renew(boundary, refused, deadline))
        except UpstreamUnavailable as error:
            raise GoogleUnavailable(str(error)) from error

    def _renew(self, boundary: Boundary, refused: _IssuedToken | None, deadline: Deadline) -> _IssuedToken:
        issued = self._find_reusable(boundary)
        if issued is not None and issued is not refused:
            return issued  # another thread has renewed it meanwhile
        token = self._exchange.exchange(boundary, deadline, refresh=refused is not None)
        renewals: tuple[datetime, ...] = ()
        if refused is not None:
            now = self._clock()
            renewals = (*(moment for moment in refused.renewals if now - moment < REPEAT_INTERVAL), now)
        issued = _IssuedToken(token, renewals)
        self._tokens.put(boundary, issued)
        return issued


def _size(boundary: Boundary, issued: _IssuedToken) -> int:
    """The bytes of a cache entry, with what Python needs around it."""
    names = len(boundary.credential or "") + len(boundary.bucket)
    return 700 + len(issued.token.text) + names + sum(80 + 4 * len(prefix) for prefix in boundary.prefixes)
