"""Measures GET /api/v1/user/cache."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dsgctl.core import grants, groups, tokens, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
from dsgserve.user_cache.endpoint import UserCacheQuestion
from dsgserve.user_cache.response_cache import ResponseCache
from tests.bench import load, world
from tests.bench.bench import LARGE, PATH, PYTHON, SMALL, Bench, Row, median
from tests.e2e.local import is_listening, make_certificate, wait_until
from tests.e2e.proxy import HOST, run_nginx


def warm(bench: Bench) -> Iterator[Row]:
    with bench.run_server() as server:
        runs = bench.compare_with_bare(server.origin + PATH, world.token_file(bench.database(SMALL)))
    yield Row("user/cache, over bare waitress", median([ours.rate / bare.rate for ours, bare in runs]), at_least=0.85)
    yield Row("  its p99, over the bare one's", median([ours.p99 / bare.p99 for ours, bare in runs]), at_most=1.5)


def size(bench: Bench) -> Iterator[Row]:
    with bench.run_server(SMALL) as small, bench.run_server(LARGE) as large:
        rates = []
        for _ in range(bench.pairs):
            few, many = (
                load.run(server.origin + PATH, world.token_file(bench.database(people)), seconds=bench.seconds)
                for server, people in ((small, SMALL), (large, LARGE))
            )
            rates.append(many.rate / few.rate)
    yield Row("user/cache, 100,000 people and 1,000,000 grants over 1,000 people", median(rates), at_least=0.95)


def first_answer(bench: Bench) -> Iterator[Row]:
    """In this process, so that the time has no part of HTTP."""
    times = {people: _time_first_answer(bench.database(people)) for people in (SMALL, LARGE)}
    yield Row("first answer after a change, 50 grants and 10 groups, ms", times[SMALL], at_most=2)
    yield Row("  with 100,000 people", times[LARGE], at_most=2)


def _time_first_answer(path: Path) -> float:
    writer, reader = open_current(path), open_current(path, read_only=True)
    name = f"busy-{time.time_ns()}"
    with begin_change(writer, "os:bench") as change:
        person, _ = users.add(change, f"{name}@example.org")
        for number in range(10):
            groups.add(change, f"{name}-{number}")
            groups.add_member(change, f"{name}-{number}", person.email)
        for number in range(50):
            grants.add(change, principal_subject(person), Target(f"set-{number}", "edit"))
        _, token = tokens.mint(change, person)
    cache, times = ResponseCache(reader), []
    cache.get(token, UserCacheQuestion())
    for number in range(50):
        with begin_change(writer, "os:bench") as change:
            users.set_attributes(change, person.email, name=f"Busy {number}")
        start = time.perf_counter()
        response = cache.get(token, UserCacheQuestion())
        times.append((time.perf_counter() - start) * 1000)
        assert f'"Busy {number}"'.encode() in response.body
    writer.close()
    reader.close()
    return median(times)


def stream(bench: Bench) -> Iterator[Row]:
    path = bench.database(SMALL)
    with bench.run_server() as server, _run_changes(path, a_second=100) as changes:
        runs = bench.compare_with_bare(server.origin + PATH, world.token_file(path))
    yield Row(
        "user/cache while others are changed, over bare waitress",
        median([ours.rate / bare.rate for ours, bare in runs]),
        at_least=0.5,
        remark=f"{changes():.0f} changes a second",
    )


@contextmanager
def _run_changes(path: Path, *, a_second: int) -> Iterator[Callable[[], float]]:
    """Run a process that changes people who send no requests. Yields a function that returns its changes a second."""
    code = f"""
import sys, time
from dsgctl.core import users
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
database, number, start = open_current({str(path)!r}), 0, time.monotonic()
print(flush=True)
while True:
    with begin_change(database, "os:bench") as change:
        users.set_attributes(change, f"p{{number % 500 + 500}}@example.org", name=f"Changed {{number}}")
    number += 1
    sys.stdout.write(f"{{number / (time.monotonic() - start)}}\\n")
    time.sleep(max(0, start + number / {a_second} - time.monotonic()))
"""
    last = ["0"]
    with subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield lambda: float(last[0])
        process.terminate()
        last[0] = (process.stdout.read().split() or last)[-1]


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


def processes(bench: Bench) -> Iterator[Row]:
    database = bench.database(SMALL)
    directory = bench.directory / "nginx"
    directory.mkdir()
    certificate = make_certificate(directory, HOST)
    sockets = [directory / f"dsgserve@{number}.sock" for number in (1, 2)]
    environment = {**os.environ, "DATABASE_PATH": str(database), "DSG_ORIGIN": "http://localhost:8200"}
    with ExitStack() as stack:
        for path in sockets:
            command = [PYTHON, "-m", "dsgserve", "--listen", f"unix:{path}"]
            server = stack.enter_context(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
            stack.callback(server.terminate)
        for path in sockets:
            wait_until(lambda path=path: is_listening(path), event="a server")
        ports = []
        for number in (1, 2):
            proxy = directory / str(number)
            proxy.mkdir()
            upstream = "; server ".join(f"unix:{path}" for path in sockets[:number])
            ports.append(stack.enter_context(run_nginx(proxy, certificate, upstream)))
        ratios, tokens = [], world.token_file(database)
        for _ in range(bench.pairs):
            single, double = (
                load.run(f"https://127.0.0.1:{port}{PATH}", tokens, seconds=bench.seconds, connections=16)
                for port in ports
            )
            ratios.append(double.rate / single.rate)
    cores = len(os.sched_getaffinity(0))
    # The two servers, nginx and wrk each want a core.
    yield Row(
        "two processes behind nginx, over one",
        median(ratios),
        at_least=1.7 if cores >= 4 else None,
        remark=f"{cores} cores for two servers, nginx and wrk",
    )
