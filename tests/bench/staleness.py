"""Counts the answers that do not show a change."""

import os
import subprocess
from collections.abc import Iterator

from tests.bench import world
from tests.bench.bench import PYTHON, SMALL, Bench, Row


def next_request(bench: Bench) -> Iterator[Row]:
    path = bench.database(SMALL)
    stale = 0
    token = world.token_file(path).read_text().split()[0]
    with bench.run_server() as first, bench.run_server() as second:
        for number in range(20):
            words = ["user", "set", "p1@example.org", "--name", f"Seen {number}"]
            environment = {**os.environ, "DATABASE_PATH": str(path)}
            subprocess.run([PYTHON, "-m", "dsgctl", *words], env=environment, check=True, capture_output=True)
            stale += sum(server.ask(token).json()["name"] != f"Seen {number}" for server in (first, second))
    yield Row("answers that do not show a change by dsgctl, of 40 in two processes", stale, at_most=0)
