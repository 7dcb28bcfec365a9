"""Measures dsgctl: how fast it starts, and how it handles 100,000 people."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from dsgctl.core import datasets
from dsgctl.core.transaction import begin_change
from tests.bench import world
from tests.bench.bench import LARGE, PYTHON, SMALL, Bench, Row, median, read_memory


def starts(bench: Bench) -> Iterator[Row]:
    environment = {**os.environ, "DATABASE_PATH": str(bench.database(SMALL))}
    # The console script that pip writes, without -m.
    dsgctl = str(Path(PYTHON).parent / "dsgctl")
    commands = {
        "python -c 'import click'": [PYTHON, "-c", "import click"],
        "dsgctl --version": [dsgctl, "--version"],
        "dsgctl --help": [dsgctl, "--help"],
        "dsgctl dataset list -o json": [dsgctl, "dataset", "list", "-o", "json"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(8 if bench.quick else 25):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment, check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    base, *others = commands
    for name, limit in zip(others, (1.6, 2.2, 3.0), strict=True):
        ratio = median([seconds / least for seconds, least in zip(times[name], times[base], strict=True)])
        yield Row(f"{name}, over {base}", ratio, at_most=limit)


def bulk(bench: Bench) -> Iterator[Row]:
    people = 10_000 if bench.quick else LARGE
    path = bench.directory / "bulk.sqlite3"
    with world.create_database(path, 1) as database, begin_change(database, "os:bench") as change:
        datasets.add(change, "fish2")
    rows = (f"q{number}@example.org,Person {number},Lab {number % 50},\n" for number in range(people))
    (bench.directory / "people.csv").write_text("email,name,affiliation,notes\n" + "".join(rows))
    words = ["import", "csv", str(bench.directory / "people.csv"), "--dataset", "fish2"]
    seconds, most = _measure_command(path, words)
    yield Row(f"import csv, {people:,} people, s", seconds, at_most=10 * people / LARGE)
    yield Row("  its memory, MB", most, at_most=100)
    seconds, most = _measure_command(path, ["access", "who", "fish2", "-o", "csv"])
    yield Row(f"access who, {people:,} people, s", seconds, at_most=2)


def _measure_command(path: Path, words: list[str]) -> tuple[float, float]:
    """The seconds and megabytes that a command takes."""
    environment = {**os.environ, "DATABASE_PATH": str(path)}
    start, most = time.perf_counter(), 0.0
    with subprocess.Popen([PYTHON, "-m", "dsgctl", *words], env=environment, stdout=subprocess.DEVNULL) as process:
        # The kernel's figure at the end would include the memory of this process at the fork.
        while process.poll() is None:
            most = max(most, read_memory(process.pid))
            time.sleep(0.02)
    assert process.returncode == 0
    return time.perf_counter() - start, most
