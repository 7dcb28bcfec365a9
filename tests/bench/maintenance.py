"""Measures long commands of an operator, each over a script that does the same with sqlite3 and hashlib alone."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from dsgctl.core import datasets
from dsgctl.core.clock import now
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.times import utc_text
from tests.bench.bench import HUGE, LARGE, PYTHON, SMALL, Bench, Row, median, read_memory

# SOURCE TARGET: inserts the rows of a database, computed already, into the same tables of one that has few.
_INSERTS = """
import sqlite3, sys
source, target = (sqlite3.connect(path, isolation_level=None) for path in sys.argv[1:])
target.execute("PRAGMA foreign_keys = 1")
target.execute("PRAGMA synchronous = full")
((last,),) = target.execute("SELECT max(id) FROM audit")
target.execute("BEGIN IMMEDIATE")
for table in ("groups", "principals", "affiliations", "memberships", "grants", "audit"):
    rows = source.execute(f"SELECT * FROM {table}" + (f" WHERE id > {last}" if table == "audit" else ""))
    target.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows.description))})", rows)
target.execute("COMMIT")
"""
# Prints the last id and hash, as audit verify does.
_CHAIN = """
import hashlib, json, sqlite3, sys
columns = "at, actor, action, target, before, after, imported_from, hash, id"
previous = bytes(32)
for *fields, stored, number in sqlite3.connect(sys.argv[1]).execute(f"SELECT {columns} FROM audit ORDER BY id"):
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    previous = hashlib.sha256(previous + text.encode()).digest()
    assert previous == stored
print(f"{number}:{previous.hex()}")
"""
_CHECKS = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
for check in ("integrity_check", "foreign_key_check"):
    print(*database.execute(f"PRAGMA {check}").fetchall())
"""


def importing_csv(bench: Bench) -> Iterator[Row]:
    """New people into an empty database. The script inserts the rows that the command has written."""
    people = HUGE if bench.full else 2_000 if bench.quick else 40_000
    empty, ours, plain = (bench.directory / f"import-{name}.sqlite3" for name in ("empty", "ours", "plain"))
    file = bench.directory / "import.csv"
    rows = (f"q{number}@example.org,Person {number},Lab {number % 50},\n" for number in range(people))
    file.write_text("email,name,affiliation,notes\n" + "".join(rows))
    migrate(empty, now=utc_text(now()))
    database = open_current(empty)
    with begin_change(database, "os:bench") as change:
        datasets.add(change, "fish2")
    database.close()
    ratios, seconds, most = [], 0.0, 0.0
    for number in range(1, 2 if bench.full else 3):
        bench.progress.step(f"round {number}")
        for path in (ours, plain):
            shutil.copy(empty, path)
        seconds, memory = _run(ours, ["-m", "dsgctl", "import", "csv", str(file), "--dataset", "fish2"])
        ratios.append(seconds / _run(plain, ["-c", _INSERTS, str(ours), str(plain)])[0])
        most = max(most, memory)
    assert _read_head(ours) == _read_head(plain)
    remark = f"{1e6 * seconds / people:.0f} microseconds each"
    yield Row(f"import csv of {people:,} people, over the same inserts", median(ratios), at_most=2, remark=remark)
    yield Row("  its memory, MB", most, at_most=100)


def checking(bench: Bench) -> Iterator[Row]:
    """A database with many people, grants and audit records."""
    path, records = bench.directory / "checking.sqlite3", 5_000 if bench.quick else 300_000
    shutil.copy(bench.database(HUGE if bench.full else SMALL if bench.quick else LARGE), path)
    database = open_current(path)
    bench.progress.step(f"writing {records:,} audit records")
    with begin_change(database, "os:bench") as change:
        for number in range(records):
            name = {"name": f"Person {number}"}
            change.record("user.set", f"user:p{number}@example.org", {**name, "pi": ""}, {**name, "pi": "Bo Ek"})
    database.close()
    verify = ["-m", "dsgctl", "audit", "verify", "-o", "value"]
    for what, words, script, most in (
        (f"audit verify of {records:,} records, over a plain SHA-256 chain", verify, _CHAIN, 1.5),
        ("db check, over SQLite's own checks", ["-m", "dsgctl", "db", "check"], _CHECKS, 1.2),
    ):
        ratios, seconds = [], 0.0
        for number in range(1, 4):
            bench.progress.step(f"{what}: round {number}")
            seconds, _ = _run(path, words)
            ratios.append(seconds / _run(path, ["-c", script, str(path)])[0])
        yield Row(what, median(ratios), at_most=most, remark=f"{seconds:.1f} s")


def _run(path: Path, words: list[str]) -> tuple[float, float]:
    """The seconds and megabytes that Python takes for these words, with a database."""
    environment = {**os.environ, "DATABASE_PATH": str(path)}
    start, most = time.perf_counter(), 0.0
    with subprocess.Popen([PYTHON, *words], env=environment, stdout=subprocess.DEVNULL) as process:
        # The kernel's figure at the end would include the memory of this process at the fork.
        while process.poll() is None:
            most = max(most, read_memory(process.pid))
            time.sleep(0.01)
    assert process.returncode == 0, words
    return time.perf_counter() - start, most


def _read_head(path: Path) -> tuple[object, ...]:
    """The end of an import: the newest audit record, whose hash depends on all of them, and the number of grants."""
    database = open_current(path, read_only=True)
    ((number, digest, grants),) = database.read(
        "SELECT id, hash, (SELECT count(*) FROM grants) FROM audit ORDER BY id DESC LIMIT 1"
    )
    database.close()
    return number, digest, grants
