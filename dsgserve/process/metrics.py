"""Counters of this process. Counting takes no lock: each thread adds to counters of its own."""

import logging
import os
import threading
from collections import Counter
from pathlib import Path

from dsgctl import __version__
from dsgctl.core import clock
from dsgctl.store import process_registry
from dsgctl.store.process_registry import Process

INTERVAL = 10.0  # seconds between two reports
CLOCK_BEHIND = 60.0  # seconds beyond which each report logs an error

log = logging.getLogger("dsgserve.metrics")

# The counters; dsgctl/operations/status_report.py explains them.
# requests; denied: 401 and 403; failed: 500 and above
# answers_kept, answers_built: responses of user/cache from the cache, and built
# logins, logins_failed
# gcs_tokens, gcs_tokens_refused: the token was not valid, or a permission or accepted terms were missing
# calls, calls_refused: to the provider and Google, and beyond the limit of calls at the same time


class Metrics:
    """Counters by name. One object per process."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[Counter[str]] = []

    def add(self, name: str) -> None:
        """Add one to a counter. The cost is one dictionary look-up."""
        try:
            self._own.counts[name] += 1
        except AttributeError:
            self._own.counts = Counter({name: 1})
            self._all.append(self._own.counts)

    def counts(self) -> dict[str, int]:
        """The sums over all threads. Increments during the call may be missing."""
        total: Counter[str] = Counter()
        for counts in list(self._all):
            total.update(dict(counts))
        return dict(total)


class StatusReporter:
    """Writes the counters of this process for `dsgctl status`, every `INTERVAL` (dsgctl/store/process_registry.py)."""

    def __init__(self, database: Path, metrics: Metrics, listening: tuple[str, ...] = ()) -> None:
        """
        Args:
            listening: the sockets of this process, ``unix:PATH`` or ``HOST:PORT``.
        """
        self._database = database
        self._listening = listening
        self._metrics = metrics
        self._started = clock.seconds()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Report now, and then every `INTERVAL`, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and remove this process from `dsgctl status`."""
        self._stop.set()
        self._thread.join(timeout=5)
        process_registry.forget(self._database, os.getpid())

    def report(self) -> None:
        """Report now. If that fails, nothing is lost: the counters only grow, and the next report has them."""
        behind = clock.behind()
        if behind > CLOCK_BEHIND:
            log.error("this host's clock was set back by %.0f s; the process ignores that until it restarts", behind)
        counts = self._metrics.counts()
        process = Process(os.getpid(), __version__, self._started, clock.seconds(), counts, self._listening)
        try:
            process_registry.report(self._database, process)
        except OSError as error:
            log.warning("cannot report the status of this process: %s", error)

    def _run(self) -> None:
        self.report()
        while not self._stop.wait(INTERVAL):
            self.report()
