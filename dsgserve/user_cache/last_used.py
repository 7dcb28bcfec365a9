"""When tokens were last used: kept to the minute, written in batches, never in a request."""

import logging
import threading
from datetime import UTC, datetime
from itertools import islice

from dsgctl.core import clock, tokens
from dsgctl.store import Database, StoreError

INTERVAL = 10.0  # seconds between writes
MINUTE = 60
MOST = 100_000  # tokens remembered, some 15 MB; of more than that a use may be written twice, or never

log = logging.getLogger("dsgserve.last_used")


class LastUsed:
    """Notes uses in memory and writes them from a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._minutes: dict[int, int] = {}  # token id -> minute of its latest noted use
        self._unwritten: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="last-used", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and end."""
        self._stop.set()
        self._thread.join(timeout=30)

    def note(self, token_id: int) -> None:
        """Say that a token was used now. Costs a look into a dict."""
        minute = int(clock.seconds()) // MINUTE
        if self._minutes.get(token_id) != minute:
            if len(self._minutes) >= MOST:
                self._minutes.clear()
            self._minutes[token_id] = minute
            self._unwritten[token_id] = minute

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.write()
        self.write()
        self._database.close()

    def write(self) -> None:
        """Write the uses noted since the last time; what cannot be written is kept for the next."""
        uses, self._unwritten = self._unwritten, {}
        # Of earlier minutes nothing need be remembered: the memory is that of one minute's tokens.
        minute = int(clock.seconds()) // MINUTE
        self._minutes = {token_id: noted for token_id, noted in self._minutes.items() if noted == minute}
        if not uses:
            return
        moments = {token_id: datetime.fromtimestamp(noted * MINUTE, UTC) for token_id, noted in uses.items()}
        try:
            tokens.record_uses(self._database, moments)
        except StoreError as error:
            log.warning("cannot write when tokens were last used: %s", error.message)
            unwritten = {**uses, **self._unwritten}
            self._unwritten = dict(islice(unwritten.items(), max(0, len(unwritten) - MOST), None))
