"""What this process has done so far, counted without a lock: each thread adds to numbers of its own."""

import logging
import os
import threading
from collections import Counter
from pathlib import Path

from dsgctl import __version__
from dsgctl.core import clock
from dsgctl.store import process_registry
from dsgctl.store.process_registry import Process

INTERVAL = 10.0  # seconds between two tellings

CLOCK_BEHIND = 60.0  # seconds beyond which it is worth a line each time

log = logging.getLogger("dsgserve.metrics")

# The names: requests; denied: 401 and 403; failed: 500 and above; answers_kept, answers_built: of user/cache;
# logins, logins_failed; gcs_tokens, gcs_tokens_refused: for want of a token, a permission or terms;
# calls: to the provider and Google; calls_refused: there was no place for them


class Metrics:
    """Numbers by name. One per process."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[Counter[str]] = []

    def add(self, name: str) -> None:
        """Count one. Costs a look into a dict."""
        try:
            self._own.counts[name] += 1
        except AttributeError:
            self._own.counts = Counter({name: 1})
            self._all.append(self._own.counts)

    def counts(self) -> dict[str, int]:
        """The sums over all threads; what is being counted meanwhile may be missing."""
        found: Counter[str] = Counter()
        for counts in list(self._all):
            found.update(dict(counts))
        return dict(found)


class StatusReporter:
    """Tells `dsgctl status` now and then what this process has counted (dsgctl/store/process_registry.py)."""

    def __init__(self, database: Path, metrics: Metrics, listening: tuple[str, ...] = ()) -> None:
        self._database = database
        self._listening = listening
        self._metrics = metrics
        self._started = clock.seconds()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        process_registry.forget(self._database, os.getpid())

    def tell(self) -> None:
        """Say it now. What cannot be written is said the next time."""
        behind = clock.behind()
        if behind > CLOCK_BEHIND:
            log.error("this host's clock was set back by %.0f s; going on as if it was not, until a new start", behind)
        counts = self._metrics.counts()
        told = Process(os.getpid(), __version__, self._started, clock.seconds(), counts, self._listening)
        try:
            process_registry.report(self._database, told)
        except OSError as error:
            log.warning("cannot tell how it goes: %s", error)

    def _run(self) -> None:
        self.tell()
        while not self._stop.wait(INTERVAL):
            self.tell()
