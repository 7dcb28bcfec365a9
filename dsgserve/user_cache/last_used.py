"""Records when tokens were last used: to the minute, in batches, by a background thread."""

import logging
import threading
from datetime import UTC, datetime
from itertools import islice

from dsgctl.core import clock, tokens
from dsgctl.store import Database, StoreError

INTERVAL = 10.0  # seconds between writes
MINUTE = 60
MAX_TOKENS = 100_000  # in memory, some 15 MB; beyond that, a use can be written twice or not at all

log = logging.getLogger("dsgserve.last_used")


class LastUsed:
    """Collects uses in memory; its thread writes them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._minutes: dict[int, int] = {}  # token id -> the minute of its last use
        self._unwritten: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="last-used", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and end the thread."""
        self._stop.set()
        self._thread.join(timeout=30)

    def note(self, token_id: int) -> None:
        """Record that a token is used now. Costs one look-up in a dict."""
        minute = int(clock.seconds()) // MINUTE
        if self._minutes.get(token_id) != minute:
            if len(self._minutes) >= MAX_TOKENS:
                self._minutes.clear()
            self._minutes[token_id] = minute
            self._unwritten[token_id] = minute

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.write()
        self.write()
        self._database.close()

    def write(self) -> None:
        """Write the uses since the last write; uses that cannot be written are written the next time."""
        uses, self._unwritten = self._unwritten, {}
        # Uses of earlier minutes are forgotten, so memory is needed for the tokens of one minute only.
        this_minute = int(clock.seconds()) // MINUTE
        minutes = self._minutes.copy()  # in one step: other threads add to it
        self._minutes = {token_id: minute for token_id, minute in minutes.items() if minute == this_minute}
        if not uses:
            return
        moments = {token_id: datetime.fromtimestamp(minute * MINUTE, UTC) for token_id, minute in uses.items()}
        try:
            tokens.record_uses(self._database, moments)
        except StoreError as error:
            log.warning("cannot record when tokens were last used: %s", error.message)
            unwritten = {**uses, **self._unwritten}
            self._unwritten = dict(islice(unwritten.items(), max(0, len(unwritten) - MAX_TOKENS), None))
