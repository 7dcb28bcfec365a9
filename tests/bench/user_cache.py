"""Measures GET /api/v1/user/cache: from the cache, with many people, and while others write."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.bench.bench import HUGE, LARGE, PYTHON, SMALL, Bench, Row


def warm(bench: Bench) -> Iterator[Row]:
    """60 tokens in turn, by header and by cookie, and bad tokens: over a bare waitress that sends the same bytes."""
    with bench.run_server() as server:
        client = bench.user_cache(server)
        for connections in (8, 64):
            rounds = bench.measure_over_bare(replace(client, connections=connections))
            name = f"user/cache, {connections} connections, over bare waitress"
            yield Row(name, rounds.ratio(), at_least=1.25, remark=rounds.describe())
            yield Row(
                f"  its p99, {connections} connections, over the bare one's",
                rounds.ratio(value=lambda load: load.p99),
                at_most=1.1,
            )
        for what, other in (
            ("user/cache by cookie", replace(client, mode="cookie")),
            ("bad tokens refused", replace(client, mode="bad", file=None)),
        ):
            rounds = bench.measure_over_bare(other)
            yield Row(f"{what}, over bare waitress", rounds.ratio(), at_least=1.2, remark=rounds.describe())


def sizes(bench: Bench) -> Iterator[Row]:
    """The same 60 people among others."""
    with bench.run_server(SMALL) as small, bench.run_server(LARGE) as large, bench.run_server(HUGE) as huge:
        servers = ((large, LARGE), (huge, HUGE), (small, SMALL))
        rounds = bench.measure(*(bench.user_cache(server, people) for server, people in servers))
    for number, (what, limit) in enumerate((("100,000 people and 1,000,000 grants", 0.97), ("1,000,000 people", 0.95))):
        name = f"user/cache, {what}, over 1,000 people"
        yield Row(name, rounds.ratio(2, of=number), at_least=limit, remark=rounds.describe(2, of=number))


def changes(bench: Bench) -> Iterator[Row]:
    """Beside a process that writes, which disturbs the bare waitress as much."""
    path = bench.database(SMALL)
    for what, words, limit in (
        ("100 changes a second concern others", (OTHERS, 100), 1.1),
        ("10 changes a second concern everybody", (EVERYBODY, 10), 0.8),
    ):
        with bench.run_server() as server, run_changes(path, *words) as count:
            rounds = bench.measure_over_bare(bench.user_cache(server))
        remark = f"{rounds.describe()}, {count():.0f} changes/s"
        yield Row(f"user/cache while {what}, over bare waitress", rounds.ratio(), at_least=limit, remark=remark)


OTHERS = """users.set_attributes(change, f"p{number % 500 + 500}@example.org", name=f"Changed {number}")"""
EVERYBODY = """datasets.set_attributes(change, "set-0", description=f"Changed {number}")"""


@contextmanager
def run_changes(path: Path, statement: str, a_second: int) -> Iterator[Callable[[], float]]:
    """Run a process that changes a database. Yields a function that returns its changes a second, at the end.

    Args:
        statement: a change by a function of `dsgctl.core`; ``number`` in it grows.
    """
    code = f"""
import time
from dsgctl.core import datasets, users
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
database, number, start = open_current({str(path)!r}), 0, time.monotonic()
while True:
    with begin_change(database, "os:bench") as change:
        {statement}
    number += 1
    print(number / (time.monotonic() - start), flush=True)
    time.sleep(max(0, start + number / {a_second} - time.monotonic()))
"""
    with subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        rates = [process.stdout.readline()]  # it has begun
        yield lambda: float(rates[-1])
        process.terminate()
        rates += process.stdout.read().split()
