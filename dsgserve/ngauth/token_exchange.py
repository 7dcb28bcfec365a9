"""Exchanges the gateway's own Google credential for a token that reads some prefixes of one bucket.

The exchange is RFC 8693, with a credential access boundary:
https://cloud.google.com/iam/docs/downscoping-short-lived-credentials
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dsgctl.bounded_http import MALFORMED_RESPONSE, Deadline
from dsgctl.core import clock
from dsgctl.core.rules import boundary as boundary_rules
from dsgctl.gcs.credentials import source_credentials
from dsgctl.gcs.messages import error_code
from dsgserve.process.byte_cache import ByteCache
from dsgserve.process.outbound import Shared

MIN_LIFE = timedelta(minutes=10)  # a token with less left is not handed out again
REFRESH_INTERVAL = timedelta(minutes=1)  # between two refreshes of one credential because Google refused its token
MAX_TOKEN = 16 * 1024  # characters; Google's have one or two thousand
SOURCES_BYTES = 4 * 1024**2  # of credentials
_RETRY_CREDENTIALS = timedelta(seconds=30)  # until missing credentials are looked for again: that takes seconds
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a type, no token

log = logging.getLogger("dsgserve.gcs_tokens")


class GoogleUnavailable(Exception):
    """Google cannot be asked at the moment; the client may try again."""


class GoogleRefused(Exception):
    """Google refuses, its response makes no sense, or no boundary can express the request: trying again is useless."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """What a token may read.

    Attributes:
        credential: the name of the bucket's credential (core/buckets.py, `set_attributes`); None for the machine's own.
        prefixes: ``("",)`` for the whole bucket.
    """

    credential: str | None
    bucket: str
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExchangedToken:
    """A Google token."""

    text: str
    expires: datetime


@dataclass(slots=True)
class _Source:
    """A credential of the gateway.

    Attributes:
        credential: of google.auth, which has no types.
        refreshed: when its token was fetched.
        refused: whether Google has refused that token since.
    """

    credential: Any
    refreshed: datetime | None = None
    refused: bool = False


def build_conditions(bucket: str, prefixes: tuple[str, ...]) -> list[str | None]:
    """One condition for each rule of the boundary; None for the whole bucket.

    Raises:
        GoogleRefused: no boundary can express it. `decide_bucket_access` excludes such prefixes beforehand.
    """
    problem = next(filter(None, (boundary_rules.find_problem(bucket, prefix) for prefix in prefixes)), None)
    conditions = boundary_rules.build_conditions(bucket, prefixes) if prefixes and not problem else None
    if conditions is None:
        raise GoogleRefused(f"no boundary for {len(prefixes)} prefixes of bucket {bucket!r}: {problem or 'how many'}")
    return list(conditions)


class TokenExchange:
    """Exchanges tokens, and refreshes the gateway's own. One per process."""

    def __init__(
        self,
        sts_url: str,
        *,
        find_credentials: Callable[[str | None], Any] | None = None,
        clock: Callable[[], datetime] = clock.now,
    ) -> None:
        """
        Args:
            sts_url: of the token exchange.
            find_credentials: returns the google.auth credential of a name; None for `source_credentials`.
        """
        self._sts_url = sts_url
        self._find_credentials = find_credentials or source_credentials
        self._clock = clock
        self._sources: ByteCache[str | None, _Source] = ByteCache(
            SOURCES_BYTES, lambda name, source: 8000 + len(name or "")
        )
        self._refreshes: Shared[ExchangedToken] = Shared()
        self._missing_until: ByteCache[str | None, datetime] = ByteCache(
            SOURCES_BYTES, lambda name, moment: 300 + len(name or "")
        )

    def exchange(self, boundary: Boundary, deadline: Deadline, *, refresh: bool) -> ExchangedToken:
        """A new token with this boundary.

        Args:
            refresh: refresh the gateway's own token first, unless that was done within `REFRESH_INTERVAL`.

        Raises:
            GoogleUnavailable: Google does not answer, or there is no credential.
            GoogleRefused: Google refuses, or its response is malformed.
            UpstreamUnavailable: another request's refresh of the same credential takes too long.
        """
        # google.auth is big and slow to import; a gateway that issues no Google token never needs it.
        from google.auth import exceptions
        from google.oauth2 import sts

        from dsgctl.gcs.transport import RequestFailed, Transport

        conditions = build_conditions(boundary.bucket, boundary.prefixes)
        transport = Transport(lambda: deadline)
        started = self._clock()
        try:
            source = self._refreshes.run(
                boundary.credential,
                deadline,
                lambda: self._source_token(boundary.credential, transport, refresh=refresh),
            )
            client: Any = sts.Client(self._sts_url)  # type: ignore[no-untyped-call]
            response = client.exchange_token(
                request=transport,
                grant_type=_EXCHANGE,
                subject_token=source.text,
                subject_token_type=_ACCESS_TOKEN,
                requested_token_type=_ACCESS_TOKEN,
                additional_options=_format_boundary(boundary.bucket, conditions),
            )
        except RequestFailed as error:
            raise GoogleUnavailable(str(error)) from None
        except exceptions.TransportError:
            raise GoogleUnavailable("Google does not answer") from None
        except (exceptions.GoogleAuthError, *MALFORMED_RESPONSE) as error:
            if transport.status in (400, 401) and boundary.credential in self._sources:
                self._sources[boundary.credential].refused = True
            # Never the text of the response: it can repeat our own token.
            code = error_code(error) or type(error).__name__
            raise GoogleRefused(f"Google answers {transport.status}: {code}") from None
        finally:
            transport.close()
        return _parse_response(response, started, source.expires)

    def _source_token(self, name: str | None, transport: Any, *, refresh: bool) -> ExchangedToken:
        """The gateway's own token, which a downscoped token does not outlive."""
        now = self._clock()
        source = self._sources.get(name)
        if source is None:
            source = _Source(self._find_source(name))
            self._sources.put(name, source)
        own = source.credential
        may_refresh = source.refreshed is None or now - source.refreshed >= REFRESH_INTERVAL
        expires_soon = own.token is None or _expiry(own, now) - now < 2 * MIN_LIFE
        if expires_soon or ((refresh or source.refused) and may_refresh):
            own.refresh(transport)
            source.refreshed, source.refused = now, False
        return ExchangedToken(str(own.token), _expiry(own, now))

    def _find_source(self, name: str | None) -> Any:
        from google.auth import exceptions

        until = self._missing_until.get(name)
        if until is not None and self._clock() < until:
            raise GoogleUnavailable("there are no such Google credentials")
        try:
            return self._find_credentials(name)
        except exceptions.DefaultCredentialsError as error:
            self._missing_until.put(name, self._clock() + _RETRY_CREDENTIALS)
            log.error("no Google credentials (%s)", name or "the machine's own")
            raise GoogleUnavailable("there are no such Google credentials") from error


def _format_boundary(bucket: str, conditions: list[str | None]) -> Any:
    """The credential access boundary in Google's JSON."""
    from google.auth import downscoped

    google: Any = downscoped  # without types
    rules = [
        google.AccessBoundaryRule(
            available_resource=f"//storage.googleapis.com/projects/_/buckets/{bucket}",
            available_permissions=["inRole:roles/storage.objectViewer"],
            availability_condition=google.AvailabilityCondition(condition) if condition else None,
        )
        for condition in conditions
    ]
    return google.CredentialAccessBoundary(rules=rules).to_json()


def _expiry(credential: Any, now: datetime) -> datetime:
    """When the token of a google.auth credential ends, which it has in naive UTC; now if it does not say."""
    return credential.expiry.replace(tzinfo=UTC) if credential.expiry else now


def _parse_response(response: object, started: datetime, source_expires: datetime) -> ExchangedToken:
    fields: dict[str, Any] = response if isinstance(response, dict) else {}  # Google's JSON
    token, seconds = fields.get("access_token"), fields.get("expires_in")
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN:
        raise GoogleRefused("Google's response has no token in it")
    # Google omits expires_in if the token lives as long as its source.
    if not isinstance(seconds, int) or not 0 < seconds < 86400:
        return ExchangedToken(token, source_expires)
    expires = started + timedelta(seconds=seconds)
    return ExchangedToken(token, min(expires, source_expires) if source_expires > started else expires)
