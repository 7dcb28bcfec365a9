"""Kills programs that write at random moments, and checks the database after each kill.

A fixed number of kills is a test (test_killed.py); ``make soak SECONDS=7200`` runs for hours.
"""

import io
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import requests

from dsgctl.commands import main
from dsgctl.core import audit_chain, datasets, token_format, users
from dsgctl.core.clock import now
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgctl.store.times import utc_text
from tests.e2e.local import free_port
from tests.e2e.visitor import Visitor

CROWD = 400  # people in one import, which adds all of them or none
WRITERS = 2
ADA = "ada@example.org"
COMMANDS = ("add", "mint", "import")
SPARED = 0.3  # share of the commands that are not killed, so that a slow machine finishes some too
HANG = 300.0  # seconds after which a command that is not killed counts as hung


# Each dsgctl is a process of its own, forked from one that has imported the modules: it is killed while it works, not
# while Python starts.
_FRESH = multiprocessing.get_context("forkserver")
_FRESH.set_forkserver_preload(["dsgctl.commands.users", "dsgctl.commands.tokens", "dsgctl.commands.imports"])


def _dsgctl(words: list[str], path: str, answer: Any) -> None:
    """Run one command in the process; send its exit code and output through ``answer``."""
    os.environ["DATABASE_PATH"] = path
    sys.argv = ["dsgctl", *words]
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            main()
            code: Any = 0
        except SystemExit as error:
            code = error.code
    answer.send((code or 0, printed.getvalue()))


class Soak:
    """Runs writers (dsgctl, and sign-ins at a server) and kills them again and again.

    Attributes:
        kills: of each program, how many processes were killed before they finished.
        acknowledged: of each command, how many changes were acknowledged.
        wrong: what the checks found; the run ends with the first.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.path = directory / "dsg.sqlite3"
        self.kills: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._directory = directory
        self._chance = random.Random(seed)
        self._emails: set[str] = set()  # of acknowledged people
        self._tokens: set[bytes] = set()  # hashes of acknowledged tokens
        self._imports: set[str] = set()
        self._number = 0
        self._longest: dict[str, float] = {}  # seconds of the longest run of each command on this machine
        self._lock = threading.Lock()
        self._stop = threading.Event()
        migrate(self.path, now=utc_text(now()))
        database = open_current(self.path)
        with begin_change(database, "os:soak") as change:
            users.add(change, ADA)
            datasets.add(change, "fish2")
        database.close()

    def run(self, enough: Callable[["Soak"], bool], seconds: float = 3600.0) -> None:
        """Write, kill and check until ``enough`` returns true, or for so many seconds."""
        jobs = [self._serve, self._sign_in, self._sign_in, *[self._command] * WRITERS]
        threads = [threading.Thread(target=self._until_stopped, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while not (self._stop.wait(0.1) or enough(self) or time.monotonic() > end):
            pass
        self._stop.set()
        for thread in threads:
            thread.join()
        self.check(everything=True)

    def _until_stopped(self, job: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                job()
            except Exception as error:
                self._report(f"{job.__name__}: {error!r}")

    def _report(self, wrong: str) -> None:
        self.wrong.append(wrong)
        self._stop.set()

    # Writers

    def _start(self, *words: str, **settings: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "DATABASE_PATH": str(self.path), **settings},
        )

    def _command(self) -> None:
        """Run one dsgctl command, and kill it unless it is spared."""
        with self._lock:
            self._number += 1
            number = self._number
            kind = self._chance.choice(COMMANDS)
            # The first run of each command is spared: it shows within which time to kill the next.
            spared = kind not in self._longest or self._chance.random() < SPARED
            lives = HANG if spared else self._chance.uniform(0, self._longest[kind])
        if kind == "add":
            words = [
                "user",
                "add",
                f"p{number}@example.org",
                "--affiliation",
                "HHMI",
                "--affiliation",
                "Janelia",
                "-o",
                "json",
            ]
        elif kind == "mint":
            words = ["token", "mint", "--user", ADA, "-o", "json"]
        else:
            words = ["import", "csv", str(self._crowd(number)), "--dataset", "fish2", "-o", "json"]
        answer, theirs = _FRESH.Pipe(duplex=False)
        process = _FRESH.Process(target=_dsgctl, args=(words, str(self.path), theirs))
        process.start()
        theirs.close()
        started = time.monotonic()
        process.join(lives)
        took = time.monotonic() - started
        process.kill()
        process.join()
        code, out = self._read_result(answer)
        answer.close()
        if code is None and spared:
            self._report(f"dsgctl {' '.join(words)} did not end in {HANG} s")
        elif code is None:
            self.kills["dsgctl"] += 1
            self.check()
        elif code != 0:
            self._report(f"dsgctl {' '.join(words)}: {out}")
        else:
            with self._lock:
                self._longest[kind] = max(took, self._longest.get(kind, 0.0))
            self._acknowledge(kind, out)

    @staticmethod
    def _read_result(answer: Any) -> tuple[int | None, str]:
        """Exit code and output of a dsgctl; None and nothing if it was killed."""
        try:
            code, out = answer.recv()
        except EOFError:
            return None, ""
        return code, out

    def _acknowledge(self, kind: str, out: str) -> None:
        self.acknowledged[kind] += 1
        with self._lock:
            if kind == "mint":
                self._tokens.add(token_format.digest(json.loads(out)["token"]))
            elif kind == "add":
                self._emails.add(json.loads(out)["email"])
            else:
                self._imports.add(Path(json.loads(out)["source"]).stem)

    def _crowd(self, number: int) -> Path:
        path = self._directory / f"i{number}.csv"
        rows = [f"i{number}-{person}@example.org,P,HHMI," for person in range(CROWD)]
        path.write_text("\n".join(["email,name,affiliation,notes", *rows, ""]))
        return path

    def _serve(self) -> None:
        """Run a server, and kill it while people sign in."""
        port = free_port()
        process = self._start(
            "dsgserve", DSG_PORT=str(port), DSG_ORIGIN=f"http://localhost:{port}", DSG_DEV_LOGIN="1", LOG_LEVEL="ERROR"
        )
        self._port = port
        # It is killed while it starts, or after some logins.
        logins = self.acknowledged["login"] + self._chance.randrange(8)
        starting = self._chance.random() < 0.2
        end = time.monotonic() + (self._chance.random() if starting else HANG)
        while time.monotonic() < end and not self._stop.is_set() and (starting or self.acknowledged["login"] <= logins):
            time.sleep(0.01)
        process.kill()
        _, err = process.communicate()
        if process.returncode != -signal.SIGKILL:
            self._report(f"dsgserve ended by itself: {err}")
        self.kills["dsgserve"] += 1
        self.check()

    def _sign_in(self) -> None:
        """Sign in once; it is acknowledged once the browser has the cookie."""
        visitor = Visitor(f"http://localhost:{getattr(self, '_port', 1)}")
        try:
            token = visitor.sign_in(ADA)
        except requests.RequestException:  # no server is running, or it was killed meanwhile
            time.sleep(0.02)
            return
        with self._lock:
            self._tokens.add(token_format.digest(token))
        self.acknowledged["login"] += 1

    # Checks

    def check(self, *, everything: bool = False) -> None:
        """Check that the file is sound, has each acknowledged change and no half of one, and a complete audit log."""
        with self._lock:
            emails, digests, imports = set(self._emails), set(self._tokens), set(self._imports)
        database = SqliteDatabase(self.path)
        try:
            with database.snapshot():
                self._check_rows(database, emails, digests, imports)
                if broken := audit_chain.verify(database):
                    self._report(f"audit record {broken} does not follow from the one before it")
            if problems := database.integrity_problems():
                self._report("; ".join(problems))
        finally:
            database.close()
        if everything:
            open_current(self.path).close()

    def _check_rows(self, database: Database, emails: set[str], digests: set[bytes], imports: set[str]) -> None:
        people = {email for (email,) in database.tuples(m.Principal.select(m.Principal.email))}
        hashes = {bytes(digest) for (digest,) in database.tuples(m.Token.select(m.Token.hash))}
        if lost := [*(emails - people), *(digest.hex() for digest in digests - hashes)]:
            self._report(f"acknowledged and lost: {lost[:3]}")
        crowds = Counter(email.partition("-")[0] for email in people if "-" in email)
        if halves := {name: count for name, count in crowds.items() if count != CROWD}:
            self._report(f"halves of imports: {halves}")
        if lost_imports := imports - crowds.keys():
            self._report(f"acknowledged and lost: {lost_imports}")
        single = sum("-" not in email for email in people) - 1  # without ada, who was added at the start
        imported = len(people) - single - 1
        counts = {
            "affiliations": (database.count(m.Affiliation.select()), 2 * single + imported),
            "memberships": (database.count(m.Membership.select()), imported),
            "grants": (database.count(m.Grant.select()), imported),
            "records of people": (self._records(database, "user.add"), len(people)),
            "records of tokens": (self._records(database, "token.mint"), len(hashes)),
        }
        if uneven := {name: numbers for name, numbers in counts.items() if numbers[0] != numbers[1]}:
            self._report(f"halves of changes: {uneven}")

    @staticmethod
    def _records(database: Database, action: str) -> int:
        return database.count(m.AuditRecord.select().where(m.AuditRecord.action == action))


def run() -> None:
    """Run for the seconds on the command line; print a summary."""
    import tempfile

    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**6)
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(Path(directory), seed)
        soak.run(lambda _: False, seconds)
    print(f"seed {seed}: killed {dict(soak.kills)}, acknowledged {dict(soak.acknowledged)}")
    for wrong in soak.wrong:
        print(f"WRONG: {wrong}")
    sys.exit(bool(soak.wrong))


if __name__ == "__main__":
    run()
