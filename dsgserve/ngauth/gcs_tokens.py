"""Google tokens that read one bucket, or some prefixes of it, and nothing else (architecture.md, "GCS tokens").

They are the gateway's own credential, exchanged for a token with a credential access boundary:
https://cloud.google.com/iam/docs/downscoping-short-lived-credentials
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dsgctl.bounded_http import NONSENSE, Deadline
from dsgctl.core import clock
from dsgctl.core.rules import boundary
from dsgctl.gcs import error_code, source_credentials
from dsgserve.process.byte_cache import ByteCache
from dsgserve.process.outbound import ConcurrencyLimit, Shared, UpstreamUnavailable

KEEP_LIFE = timedelta(minutes=10)  # a token with less is not handed out again
KEPT_BYTES = 8 * 1024**2  # of tokens, with what they are for
MAX_TOKEN = 16 * 1024  # characters; Google's have one or two thousand
# Who asks again with the same user token so soon has been refused by storage: three tries in all
# (contract.md, "ngauth").
AGAIN = timedelta(minutes=1)
RENEWALS = 5  # of one boundary within that time; each asker causes one
ASKERS_BYTES = 4 * 1024**2  # of who has asked last
SOURCES_BYTES = 4 * 1024**2  # of credentials
_FORGIVE = timedelta(seconds=30)  # until missing credentials are looked for again: looking takes seconds
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a type, no token

log = logging.getLogger("dsgserve.gcs_tokens")

Boundary = tuple[str | None, str, tuple[str, ...]]  # credential, bucket, prefixes


class GoogleUnavailable(Exception):
    """Google cannot be asked for a moment; the client is to try again."""


class GoogleRefused(Exception):
    """Google refuses us or answers nonsense, or could not be asked for this: trying again will not help."""


def conditions(bucket: str, prefixes: tuple[str, ...]) -> list[str | None]:
    """One condition for each rule of the boundary; None for the whole bucket.

    Raises:
        GoogleRefused: a boundary cannot say it. Who asks has decided before what it can (core/rules/buckets.py).
    """
    problem = next(filter(None, (boundary.find_problem(bucket, prefix) for prefix in prefixes)), None)
    built = boundary.build_conditions(bucket, prefixes) if prefixes and not problem else None
    if built is None:
        raise GoogleRefused(f"no boundary for {len(prefixes)} prefixes of bucket {bucket!r}: {problem or 'how many'}")
    return list(built)


@dataclass(frozen=True, slots=True)
class _Token:
    """A token that may be handed out again.

    Attributes:
        renewed: when it took the place of one that storage had refused, and those before it, within `AGAIN`.
    """

    text: str
    expires: datetime
    renewed: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody was given last.

    Attributes:
        token: its hash.
        renewed: when they last caused a renewal.
    """

    at: datetime
    token: int
    renewed: datetime | None = None


@dataclass(slots=True)
class _Source:
    """A credential of the gateway's.

    Attributes:
        refreshed: when its token was asked for; ``doubted``: the exchange has refused that since.
    """

    credential: Any
    refreshed: datetime | None = None
    doubted: bool = False


class GcsTokenIssuer:
    """Makes such tokens, and hands out again those that have life left. One per process."""

    def __init__(
        self,
        places: ConcurrencyLimit,
        sts_url: str,
        *,
        find_credentials: Callable[[str | None], Any] | None = None,
        clock: Callable[[], datetime] = clock.now,
    ) -> None:
        """
        Args:
            places: bounds the requests that wait for Google.
            sts_url: of the token exchange.
            find_credentials: makes a google.auth credential of what a bucket names; None for `source_credentials`.
        """
        self._places = places
        self._sts_url = sts_url
        self._find = find_credentials or source_credentials
        self._clock = clock
        self._kept: ByteCache[Boundary, _Token] = ByteCache(KEPT_BYTES, _size)
        self._askers: ByteCache[tuple[str, int], _Asked] = ByteCache(ASKERS_BYTES, lambda key, asked: 500)
        self._exchanges: Shared[_Token] = Shared()
        self._sources: ByteCache[str | None, _Source] = ByteCache(
            SOURCES_BYTES, lambda key, source: 8000 + len(key or "")
        )
        self._refreshes: Shared[tuple[str, datetime]] = Shared()
        self._not_before: ByteCache[str | None, datetime] = ByteCache(
            SOURCES_BYTES, lambda key, moment: 300 + len(key or "")
        )

    def issue(
        self,
        bucket: str,
        prefixes: tuple[str, ...],
        credential: str | None = None,
        *,
        asker: str | None = None,
        deadline: Deadline | None = None,
    ) -> str:
        """A token that may read and list these prefixes of a bucket; ``("",)`` for all of it.

        Args:
            credential: what the bucket names (core/datasets.py, `set_bucket`); None for the machine's own.
            asker: who asks, as a digest of their user token. If the same asks for the same again within a minute,
                storage has refused what it was given, and it gets a new one, once.
            deadline: of the whole call; None for one that begins now.

        Raises:
            GoogleUnavailable: try again in a moment.
            GoogleRefused: it will not work.
        """
        boundary = (credential, bucket, prefixes)
        token = self._reusable(boundary)
        refused = token if token and asker and self._was_refused(asker, boundary, token) else None
        if token is None or refused is not None:
            token = self._exchange_once(boundary, refused, deadline or Deadline())
        if asker is not None:
            self._note_asker(asker, boundary, token, renewed=refused is not None)
        return token.text

    def _reusable(self, boundary: Boundary) -> _Token | None:
        token = self._kept.get(boundary)
        return token if token and token.expires - self._clock() >= KEEP_LIFE else None

    # Tokens that storage no longer takes

    def _was_refused(self, asker: str, boundary: Boundary, token: _Token) -> bool:
        asked, now = self._askers.get((asker, hash(boundary))), self._clock()
        if asked is None or asked.token != hash(token.text) or now - asked.at >= AGAIN:
            return False
        if asked.renewed is not None and now - asked.renewed < AGAIN:
            return False
        return sum(now - moment < AGAIN for moment in token.renewed) < RENEWALS

    def _note_asker(self, asker: str, boundary: Boundary, token: _Token, *, renewed: bool) -> None:
        key, now = (asker, hash(boundary)), self._clock()
        before = self._askers.get(key)
        self._askers.keep(key, _Asked(now, hash(token.text), now if renewed else before.renewed if before else None))

    # The exchange

    def _exchange_once(self, boundary: Boundary, refused: _Token | None, deadline: Deadline) -> _Token:
        try:
            with self._places.acquire(wait=min(0.1, deadline.seconds_left())):
                return self._exchanges.run(boundary, deadline, lambda: self._make(boundary, refused, deadline))
        except UpstreamUnavailable as error:
            raise GoogleUnavailable(str(error)) from error

    def _make(self, boundary: Boundary, refused: _Token | None, deadline: Deadline) -> _Token:
        known = self._reusable(boundary)
        if known is not None and known is not refused:
            return known  # somebody else has made it in the meantime
        token = self._exchange(boundary, deadline, anew=refused is not None)
        if refused is not None:
            now = self._clock()
            recent = tuple(moment for moment in refused.renewed if now - moment < AGAIN)
            token = replace(token, renewed=(*recent, now))
        self._kept.keep(boundary, token)
        return token

    def _exchange(self, boundary: Boundary, deadline: Deadline, *, anew: bool) -> _Token:
        # google.auth is slow to import and big; a gateway that mints nothing never needs it.
        from google.auth import exceptions
        from google.oauth2 import sts

        from dsgctl.gcs.transport import Failed, Transport

        credential, bucket, prefixes = boundary
        rules = conditions(bucket, prefixes)
        transport = Transport(lambda: deadline)
        asked = self._clock()
        try:
            source, source_expires = self._refreshes.run(
                credential, deadline, lambda: self._source_token(credential, transport, anew=anew)
            )
            client: Any = sts.Client(self._sts_url)  # type: ignore[no-untyped-call]
            answer = client.exchange_token(
                request=transport,
                grant_type=_EXCHANGE,
                subject_token=source,
                subject_token_type=_ACCESS_TOKEN,
                requested_token_type=_ACCESS_TOKEN,
                additional_options=_boundary(bucket, rules),
            )
        except Failed as error:
            raise GoogleUnavailable(str(error)) from None
        except exceptions.TransportError:
            raise GoogleUnavailable("Google does not answer") from None
        except (exceptions.GoogleAuthError, *NONSENSE) as error:
            if transport.status in (400, 401) and credential in self._sources:
                self._sources[credential].doubted = True
            # Never the words of the answer: it may repeat our own token.
            code = error_code(error) or type(error).__name__
            raise GoogleRefused(f"Google answers {transport.status}: {code}") from None
        finally:
            transport.close()
        return _read_answer(answer, asked, source_expires)

    def _source_token(self, credential: str | None, transport: Any, *, anew: bool) -> tuple[str, datetime]:
        """The gateway's own token, and until when it lives: a downscoped one lives no longer.

        Args:
            anew: not one that was asked for more than a minute ago.
        """
        now = self._clock()
        source = self._sources.get(credential)
        if source is None:
            source = _Source(self._find_source(credential))
            self._sources.keep(credential, source)
        own = source.credential
        old = source.refreshed is None or now - source.refreshed >= AGAIN
        if own.token is None or _expiry(own, now) - now < 2 * KEEP_LIFE or ((anew or source.doubted) and old):
            own.refresh(transport)
            source.refreshed, source.doubted = now, False
        return str(own.token), _expiry(own, now)

    def _find_source(self, credential: str | None) -> Any:
        from google.auth import exceptions

        until = self._not_before.get(credential)
        if until is not None and self._clock() < until:
            raise GoogleUnavailable("there are no such Google credentials")
        try:
            return self._find(credential)
        except exceptions.DefaultCredentialsError as error:
            self._not_before.keep(credential, self._clock() + _FORGIVE)
            log.error("no Google credentials (%s)", credential or "the machine's own")
            raise GoogleUnavailable("there are no such Google credentials") from error


def _size(boundary: Boundary, token: _Token) -> int:
    credential, bucket, prefixes = boundary
    return 600 + len(token.text) + len(credential or "") + len(bucket) + sum(80 + 4 * len(one) for one in prefixes)


def _boundary(bucket: str, rules: list[str | None]) -> Any:
    """The credential access boundary as Google's JSON has it."""
    from google.auth import downscoped

    google: Any = downscoped  # without types
    available = [
        google.AccessBoundaryRule(
            available_resource=f"//storage.googleapis.com/projects/_/buckets/{bucket}",
            available_permissions=["inRole:roles/storage.objectViewer"],
            availability_condition=google.AvailabilityCondition(rule) if rule else None,
        )
        for rule in rules
    ]
    return google.CredentialAccessBoundary(rules=available).to_json()


def _expiry(source: Any, now: datetime) -> datetime:
    """When a google.auth credential's token ends; it keeps naive UTC. Unknown is taken for soon."""
    return source.expiry.replace(tzinfo=UTC) if source.expiry else now


def _read_answer(answer: Any, asked: datetime, source_expires: datetime) -> _Token:
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN:
        raise GoogleRefused("Google's answer has no token in it")
    seconds = answer.get("expires_in")  # left out where the token lives as long as its source
    lives = asked + timedelta(seconds=seconds) if isinstance(seconds, int) and 0 < seconds < 86400 else source_expires
    return _Token(token, min(lives, source_expires) if source_expires > asked else lives)
