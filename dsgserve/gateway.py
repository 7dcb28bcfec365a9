"""What the handlers of one server process share: settings, database, answers, signing keys."""

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core import clock, tokens
from dsgctl.core.change import require_clock
from dsgctl.core.tokens import TokenStatus
from dsgctl.oauth_client import Client, read_client
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
    """One per process.

    Attributes:
        facts: reads only, so that it notices what others write (`Database.change_marker`).
        writer: for the few requests that change a fact: logout, accepting terms.
        secret_keys: the first signs, all verify; at least one.
        provider: who signs people in; None if that is not set up.
        slow: places for requests that wait for other servers; the other threads are free of them.
        minter: makes Google tokens.
        documents: terms as HTML.
        site: what pages say of the site itself.
        metrics: what this process has done so far; ``reporter`` tells `dsgctl status`.
    """

    config: Config
    facts: Database
    writer: Database
    answers: ResponseCache
    last_used: LastUsed
    secret_keys: tuple[str, ...]
    provider: Provider | DevProvider | None
    pending: LoginStateStore
    slow: ConcurrencyLimit
    issuer: GcsTokenIssuer
    documents: Documents
    site: Site
    metrics: Metrics
    reporter: StatusReporter
    _seen: threading.local = field(default_factory=threading.local)  # the marker up to which the schema was ours

    @classmethod
    def open(cls, config: Config, *, threads: int = 4, listening: tuple[str, ...] = ()) -> "Gateway":
        """
        Args:
            listening: the sockets of this process, ``unix:PATH`` or ``HOST:PORT``.

        Raises:
        StoreError: the database is missing, or its schema is not ours.
        Invalid: the OAuth client's file or the logo cannot be read.
        DsgError: the host's clock was set back.
        """
        site = Site.open(config)
        facts, writer = open_current(config.database, read_only=True), open_current(config.database)
        writer.require_writable()
        require_clock(facts, clock.now())
        last_used = LastUsed(writer)
        last_used.start()
        metrics = Metrics()
        reporter = StatusReporter(Path(config.database), metrics, listening)
        reporter.start()
        slow = ConcurrencyLimit(max(1, threads // 2), metrics)
        keys = config.secret_keys or (secrets.token_urlsafe(32),)
        return cls(
            config=config,
            facts=facts,
            writer=writer,
            answers=ResponseCache(facts, metrics=metrics),
            last_used=last_used,
            secret_keys=keys,
            provider=_provider(config, facts),
            pending=LoginStateStore(keys, secure=config.origin.startswith("https:")),
            slow=slow,
            issuer=GcsTokenIssuer(slow, config.sts_url),
            documents=Documents(),
            site=site,
            metrics=metrics,
            reporter=reporter,
        )

    def close(self) -> None:
        self.reporter.stop()
        self.last_used.stop()
        self.facts.close()
        self.writer.close()

    def require_our_schema(self) -> None:
        """Answer nothing from a database that another release has migrated meanwhile. Costs microseconds.

        Raises:
            StoreError: it has.
        """
        marker = self.facts.change_marker()
        if getattr(self._seen, "marker", None) != marker:
            require_latest(self.facts)
            self._seen.marker = marker

    def check(self, token: str) -> TokenStatus:
        """Whose token this is, and whether it counts now; its use is noted."""
        checked = tokens.check(self.facts, token, clock.now())
        if checked.problem is None and checked.token is not None:
            self.last_used.note(checked.token.id)
        return checked


def _provider(config: Config, facts: Database) -> Provider | DevProvider | None:
    if config.dev_login:
        return DevProvider(facts)
    client = _client(config)
    return Provider(config.oidc_issuer, client) if client else None


def _client(config: Config) -> Client | None:
    if config.google_client_id and config.google_client_secret:
        return Client(config.google_client_id, config.google_client_secret)
    return read_client(config.client_credentials) if config.client_credentials else None
