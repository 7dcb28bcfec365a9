"""Google tokens that read one bucket, or some prefixes of it, and nothing else (design.md, "GCS tokens").

They are the gateway's own credential, exchanged for a token with a credential access boundary:
https://cloud.google.com/iam/docs/downscoping-short-lived-credentials
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dsgctl.calls import NONSENSE, bounded
from dsgctl.core import boundary, clock
from dsgctl.gcs import source_credentials
from dsgserve.outbound import Places, Unavailable

KEEP_LIFE = timedelta(minutes=10)  # a token with less is not handed out again
CAPACITY = 5000  # tokens kept; the oldest go first
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
        GoogleRefused: a boundary cannot say it. Who asks has decided before what it can (core/buckets.py).
    """
    problem = next(filter(None, (boundary.find_problem(bucket, prefix) for prefix in prefixes)), None)
    built = boundary.build_conditions(bucket, prefixes) if prefixes and not problem else None
    if built is None:
        raise GoogleRefused(f"no boundary for {len(prefixes)} prefixes of bucket {bucket!r}: {problem or 'how many'}")
    return list(built)


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str
    expires: datetime


class Minter:
    """Makes such tokens, and hands out again those that have life left. One per process."""

    def __init__(
        self,
        places: Places,
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
        self._kept: dict[Boundary, _Kept] = {}
        self._keeping = threading.Lock()
        # Two of the same boundary always meet at the same lock: one exchange at a time for it.
        self._exchanging = [threading.Lock() for _ in range(16)]
        self._sources: dict[str | None, Any] = {}
        self._sourcing = threading.Lock()
        self._not_before: dict[str | None, datetime] = {}

    def mint(self, bucket: str, prefixes: tuple[str, ...], credential: str | None = None) -> str:
        """A token that may read and list these prefixes of a bucket; ``("",)`` for all of it.

        Args:
            credential: what the bucket names (core/datasets.py, `set_bucket`); None for the machine's own.

        Raises:
            GoogleUnavailable: try again in a moment.
            GoogleRefused: it will not work.
        """
        boundary = (credential, bucket, prefixes)
        rules = conditions(bucket, prefixes)
        if token := self._reusable(boundary):
            return token
        try:
            with self._places.one(wait=0.1), self._exchanging[hash(boundary) % len(self._exchanging)]:
                # Somebody else may have made it while we waited.
                return self._reusable(boundary) or self._make(boundary, rules)
        except Unavailable as error:
            raise GoogleUnavailable(str(error)) from error

    def _reusable(self, boundary: Boundary) -> str | None:
        kept = self._kept.get(boundary)
        return kept.token if kept and kept.expires - self._clock() >= KEEP_LIFE else None

    def _make(self, boundary: Boundary, rules: list[str | None]) -> str:
        credential, bucket, _ = boundary
        made = self._exchange(credential, bucket, rules)
        with self._keeping:
            self._kept.pop(boundary, None)
            while len(self._kept) >= CAPACITY:
                del self._kept[next(iter(self._kept))]
            self._kept[boundary] = made
        return made.token

    def _exchange(self, credential: str | None, bucket: str, rules: list[str | None]) -> _Kept:
        # google.auth is slow to import and big; a gateway that mints nothing never needs it.
        from google.auth import exceptions
        from google.oauth2 import sts

        transport = _Transport()
        asked = self._clock()
        try:
            source, source_expires = self._source_token(credential, transport)
            client: Any = sts.Client(self._sts_url)  # type: ignore[no-untyped-call]
            answer = client.exchange_token(
                request=transport,
                grant_type=_EXCHANGE,
                subject_token=source,
                subject_token_type=_ACCESS_TOKEN,
                requested_token_type=_ACCESS_TOKEN,
                additional_options=_boundary(bucket, rules),
            )
        except exceptions.TransportError as error:
            raise GoogleUnavailable("Google does not answer") from error
        except (exceptions.GoogleAuthError, *NONSENSE) as error:
            if transport.status == 429 or transport.status >= 500:
                raise GoogleUnavailable(f"Google answers {transport.status}") from error
            raise GoogleRefused(f"Google answers {transport.status}: {error}") from error
        finally:
            transport.close()
        return _kept(answer, asked, source_expires)

    def _source_token(self, credential: str | None, transport: "_Transport") -> tuple[str, datetime]:
        """The gateway's own token, and until when it lives: a downscoped one lives no longer."""
        with self._sourcing:
            if credential not in self._sources:
                self._sources[credential] = self._found(credential)
            source = self._sources[credential]
            if source.token is None or _expiry(source, self._clock()) - self._clock() < 2 * KEEP_LIFE:
                source.refresh(transport)
            return str(source.token), _expiry(source, self._clock())

    def _found(self, credential: str | None) -> Any:
        from google.auth import exceptions

        if credential in self._not_before and self._clock() < self._not_before[credential]:
            raise GoogleUnavailable("there are no such Google credentials")
        try:
            return self._find(credential)
        except exceptions.DefaultCredentialsError as error:
            self._not_before[credential] = self._clock() + _FORGIVE
            log.error("no Google credentials (%s): %s", credential or "the machine's own", error)
            raise GoogleUnavailable("there are no such Google credentials") from error


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


def _kept(answer: Any, asked: datetime, source_expires: datetime) -> _Kept:
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        raise GoogleRefused("Google's answer has no token in it")
    seconds = answer.get("expires_in")  # left out where the token lives as long as its source
    lives = asked + timedelta(seconds=seconds) if isinstance(seconds, int) and 0 < seconds < 86400 else source_expires
    return _Kept(token, min(lives, source_expires) if source_expires > asked else lives)


class _Transport:
    """How google.auth sends requests here: bounded in time and size. Remembers the last status."""

    def __init__(self) -> None:
        import requests
        from google.auth.transport.requests import Request

        self.status = 0
        self._session = bounded(requests.Session())
        self._send = Request(session=self._session)

    def __call__(self, url: str, *arguments: Any, **options: Any) -> Any:
        reply = self._send(url, *arguments, **options)
        self.status = int(reply.status)
        return reply

    def close(self) -> None:
        self._session.close()
