"""The state that all requests of one server process share: settings, database, caches, signing keys."""

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core import clock, token_checks
from dsgctl.core.token_checks import PresentedToken, TokenStatus
from dsgctl.core.transaction import require_clock
from dsgctl.oauth_client import OAuthClient, read_oauth_client
from dsgctl.store import Database
from dsgctl.store.migrations import open_current, require_latest
from dsgserve.http.site import Site
from dsgserve.login.dev_login import DevProvider
from dsgserve.login.login_state import LoginStateStore
from dsgserve.login.oidc import Provider
from dsgserve.ngauth.gcs_tokens import GcsTokenIssuer
from dsgserve.process.metrics import Metrics, StatusReporter
from dsgserve.process.outbound import ConcurrencyLimit
from dsgserve.terms.rendered_documents import Documents
from dsgserve.user_cache.last_used import LastUsed
from dsgserve.user_cache.response_cache import ResponseCache


@dataclass(frozen=True, slots=True)
class Gateway:
    """The state of one server process, shared by its threads.

    Attributes:
        reader: a connection that never writes, so its `Database.change_marker` shows what others write.
        writer: for the few requests that change data: sign-in, logout, accepting terms.
        response_cache: what is answered to tokens on the hot path.
        secret_keys: the first signs, all verify; at least one.
        provider: the OpenID provider; None if none is set up.
        login_states: logins under way, in a signed cookie.
        outbound_limit: limits how many requests wait for other servers at the same time.
        issuer: issues Google tokens.
        documents: terms as HTML.
        site: name, contact, logo and viewer, for pages.
        metrics: counters of this process; ``reporter`` writes them for `dsgctl status`.
    """

    config: Config
    reader: Database
    writer: Database
    response_cache: ResponseCache
    last_used: LastUsed
    secret_keys: tuple[str, ...]
    provider: Provider | DevProvider | None
    login_states: LoginStateStore
    outbound_limit: ConcurrencyLimit
    issuer: GcsTokenIssuer
    documents: Documents
    site: Site
    metrics: Metrics
    reporter: StatusReporter
    # The change marker at which this thread last verified the schema.
    _verified: threading.local = field(default_factory=threading.local)

    @classmethod
    def open(cls, config: Config, *, threads: int = 4, listening: tuple[str, ...] = ()) -> "Gateway":
        """Open the database and start the background threads.

        Args:
            threads: how many requests are answered at the same time.
            listening: the sockets of this process, ``unix:PATH`` or ``HOST:PORT``.

        Raises:
            StoreError: the database is missing, or its schema is of another release.
            Invalid: the OAuth client's file or the logo cannot be read.
            DsgError: the host's clock was set back.
        """
        site = Site.open(config)
        reader, writer = open_current(config.database, read_only=True), open_current(config.database)
        writer.require_writable()
        require_clock(reader, clock.now())
        last_used = LastUsed(writer)
        last_used.start()
        metrics = Metrics()
        reporter = StatusReporter(Path(config.database), metrics, listening)
        reporter.start()
        outbound_limit = ConcurrencyLimit(max(1, threads // 2), metrics)
        keys = config.secret_keys or (secrets.token_urlsafe(32),)
        return cls(
            config=config,
            reader=reader,
            writer=writer,
            response_cache=ResponseCache(reader, metrics=metrics),
            last_used=last_used,
            secret_keys=keys,
            provider=_make_provider(config, reader),
            login_states=LoginStateStore(keys, secure=config.origin.startswith("https:")),
            outbound_limit=outbound_limit,
            issuer=GcsTokenIssuer(outbound_limit, config.sts_url),
            documents=Documents(),
            site=site,
            metrics=metrics,
            reporter=reporter,
        )

    def close(self) -> None:
        self.reporter.stop()
        self.last_used.stop()
        self.reader.close()
        self.writer.close()

    def require_our_schema(self) -> None:
        """Refuse to answer from a database that another release has migrated meanwhile. Costs microseconds.

        Raises:
            StoreError: the schema is of another release.
        """
        marker = self.reader.change_marker()
        if getattr(self._verified, "marker", None) != marker:
            require_latest(self.reader)
            self._verified.marker = marker

    def check(self, presented: PresentedToken) -> TokenStatus:
        """The status of a token now: owner, and error if it is not valid. The use of a valid one is recorded."""
        status = token_checks.check(self.reader, presented, clock.now())
        if status.problem is None and status.token is not None:
            self.last_used.note(status.token.id)
        return status


def _make_provider(config: Config, reader: Database) -> Provider | DevProvider | None:
    if config.dev_login:
        return DevProvider(reader)
    client = _read_client(config)
    return Provider(config.oidc_issuer, client) if client else None


def _read_client(config: Config) -> OAuthClient | None:
    if config.google_client_id and config.google_client_secret:
        return OAuthClient(config.google_client_id, config.google_client_secret)
    return read_oauth_client(config.client_credentials) if config.client_credentials else None
