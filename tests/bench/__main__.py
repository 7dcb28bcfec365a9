"""How fast the gateway is: ratios of pairs that were measured in turn in one run. See the table in `main`.

python -m tests.bench [--quick] [--json FILE] [NAME...]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

from dsgctl.core import datasets, grants, groups, locations, tokens, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgserve.user_cache.response_cache import ResponseCache
from tests.bench import load, world
from tests.e2e.conftest import Server, run_server
from tests.e2e.google import run_silent_google
from tests.e2e.local import free_port, is_listening, make_certificate, wait_until
from tests.e2e.proxy import HOST, run_nginx

PATH = "/api/v1/user/cache"
SMALL, LARGE = 1_000, 100_000
PYTHON = sys.executable


@dataclass(frozen=True)
class Row:
    """One line of the result; ``at_least`` or ``at_most`` is what issue and README promise."""

    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    remark: str = ""

    @property
    def reached(self) -> bool:
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


class Bench:
    """The databases and servers that measurements share."""

    def __init__(self, place: Path, stack: ExitStack, *, quick: bool) -> None:
        self.place = place
        self.stack = stack
        self.quick = quick
        self.pairs = 3 if quick else 7
        self.seconds = 1 if quick else 3

    def database(self, people: int) -> Path:
        path = self.place / f"{people}.sqlite3"
        if not path.exists():
            with world.create_database(path, people):
                pass
        return path

    @contextmanager
    def run_server(self, people: int = SMALL, **settings: str) -> Iterator[Server]:
        with run_server(self.database(people), self.place, **settings) as server:
            yield server

    @cached_property
    def bare(self) -> str:
        """The address of a waitress that answers the same bytes and does nothing else."""
        tokens_of = world.token_file(self.database(SMALL))
        body = self.place / "body"
        with self.run_server() as server:
            body.write_bytes(server.ask(tokens_of.read_text().split()[0]).content)
        port = free_port()
        process = subprocess.Popen([PYTHON, "-m", "tests.bench.bare", str(port), "4", str(body)])
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}{PATH}"
        wait_until(lambda: _is_ready(url), what="the bare server")
        return url

    def compare_with_bare(self, url: str, tokens_of: Path) -> list[tuple[load.Load, load.Load]]:
        """Runs of a server and of the bare one, in turn."""
        load.run(url, tokens_of, seconds=1)  # warm
        return [
            (load.run(url, tokens_of, seconds=self.seconds), load.run(self.bare, tokens_of, seconds=self.seconds))
            for _ in range(self.pairs)
        ]


def _is_ready(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False


def _median(values: Iterator[float] | list[float]) -> float:
    return statistics.median(values)


def warm(bench: Bench) -> Iterator[Row]:
    with bench.run_server() as server:
        runs = bench.compare_with_bare(server.origin + PATH, world.token_file(bench.database(SMALL)))
    yield Row("user/cache, over bare waitress", _median([ours.rate / bare.rate for ours, bare in runs]), at_least=0.85)
    yield Row("  its p99, over the bare one's", _median([ours.p99 / bare.p99 for ours, bare in runs]), at_most=1.5)


def size(bench: Bench) -> Iterator[Row]:
    with bench.run_server(SMALL) as small, bench.run_server(LARGE) as large:
        rates = []
        for _ in range(bench.pairs):
            few, many = (
                load.run(server.origin + PATH, world.token_file(bench.database(people)), seconds=bench.seconds)
                for server, people in ((small, SMALL), (large, LARGE))
            )
            rates.append(many.rate / few.rate)
    yield Row("user/cache, 100,000 people and 1,000,000 grants over 1,000 people", _median(rates), at_least=0.95)


def first_answer(bench: Bench) -> Iterator[Row]:
    """In this process, so that nothing but the server's part is in it."""
    took = {people: _first_answer(bench.database(people)) for people in (SMALL, LARGE)}
    yield Row("first answer after a change, 50 grants and 10 groups, ms", took[SMALL], at_most=2)
    yield Row("  with 100,000 people", took[LARGE], at_most=2)


def _first_answer(path: Path) -> float:
    writer, reader = open_current(path), open_current(path, read_only=True)
    name = f"busy-{time.time_ns()}"
    with begin_change(writer, "os:bench") as opened:
        person, _ = users.add(opened, f"{name}@example.org")
        for number in range(10):
            groups.add(opened, f"{name}-{number}")
            groups.add_member(opened, f"{name}-{number}", person.email)
        for number in range(50):
            grants.add(opened, principal_subject(person), Target(f"set-{number}", "edit"))
        _, token = tokens.mint(opened, person)
    cache, took = ResponseCache(reader), []
    cache.get(token, None)
    for number in range(50):
        with begin_change(writer, "os:bench") as opened:
            users.set_attributes(opened, person.email, name=f"Busy {number}")
        start = time.perf_counter()
        answer = cache.get(token, None)
        took.append((time.perf_counter() - start) * 1000)
        assert f'"Busy {number}"'.encode() in answer.body
    writer.close()
    reader.close()
    return _median(took)


def stream(bench: Bench) -> Iterator[Row]:
    path = bench.database(SMALL)
    with bench.run_server() as server, _run_changes(path, a_second=100) as changes:
        runs = bench.compare_with_bare(server.origin + PATH, world.token_file(path))
    yield Row(
        "user/cache while others are changed, over bare waitress",
        _median([ours.rate / bare.rate for ours, bare in runs]),
        at_least=0.5,
        remark=f"{changes():.0f} changes a second",
    )


@contextmanager
def _run_changes(path: Path, *, a_second: int) -> Iterator[Callable[[], float]]:
    """Another process that changes people whom nobody asks about. Yields what tells how many a second it managed."""
    code = f"""
import sys, time
from dsgctl.core import users
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
database, number, start = open_current({str(path)!r}), 0, time.monotonic()
print(flush=True)
while True:
    with begin_change(database, "os:bench") as opened:
        users.set_attributes(opened, f"p{{number % 500 + 500}}@example.org", name=f"Changed {{number}}")
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
    with bench.run_server() as one, bench.run_server() as two:
        for number in range(20):
            words = ["user", "set", "p1@example.org", "--name", f"Seen {number}"]
            environment = {**os.environ, "DATABASE_PATH": str(path)}
            subprocess.run([PYTHON, "-m", "dsgctl", *words], env=environment, check=True, capture_output=True)
            stale += sum(server.ask(token).json()["name"] != f"Seen {number}" for server in (one, two))
    yield Row("answers that do not show a change by dsgctl, of 40 in two processes", stale, at_most=0)


def processes(bench: Bench) -> Iterator[Row]:
    path = bench.database(SMALL)
    place = bench.place / "nginx"
    place.mkdir()
    certificate = make_certificate(place, HOST)
    sockets = [place / f"dsgserve@{number}.sock" for number in (1, 2)]
    environment = {**os.environ, "DATABASE_PATH": str(path), "DSG_ORIGIN": "http://localhost:8200"}
    with ExitStack() as stack:
        for where in sockets:
            command = [PYTHON, "-m", "dsgserve", "--listen", f"unix:{where}"]
            server = stack.enter_context(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
            stack.callback(server.terminate)
        for where in sockets:
            wait_until(lambda where=where: is_listening(where), what="a server")
        ports = []
        for number in (1, 2):
            proxy = place / str(number)
            proxy.mkdir()
            upstream = "; server ".join(f"unix:{where}" for where in sockets[:number])
            ports.append(stack.enter_context(run_nginx(proxy, certificate, upstream)))
        runs, good = [], world.token_file(path)
        for _ in range(bench.pairs):
            one, two = (
                load.run(f"https://127.0.0.1:{port}{PATH}", good, seconds=bench.seconds, connections=16)
                for port in ports
            )
            runs.append(two.rate / one.rate)
    cores = len(os.sched_getaffinity(0))
    # The two servers, nginx and wrk each want a core.
    yield Row(
        "two processes behind nginx, over one",
        _median(runs),
        at_least=1.7 if cores >= 4 else None,
        remark=f"{cores} cores for two servers, nginx and wrk",
    )


def memory(bench: Bench) -> Iterator[Row]:
    with bench.run_server() as server:
        idle = _resident(server.process.pid)
        good = world.token_file(bench.database(SMALL))
        load.run(server.origin + PATH, good, seconds=bench.seconds)
        rates, asked = [], 0
        while asked < (50_000 if bench.quick else 1_000_000):
            bad = load.LoadRun(server.origin + PATH, "bad", seconds=bench.seconds * 3).wait()
            assert bad.refused == bad.requests and not bad.broken
            rates.append(bad.rate / load.run(server.origin + PATH, good, seconds=bench.seconds).rate)
            asked += bad.requests
        grown = _resident(server.process.pid) - idle
    yield Row("memory of an idle dsgserve, MB", idle, at_most=60)
    yield Row(f"  more after {asked:,} different bad tokens, MB", grown, at_most=10)
    yield Row("bad tokens refused, over good ones answered", _median(rates), at_least=0.9)


def _resident(process: int) -> float:
    """Megabytes of memory that a process holds; 0 for one that has just ended."""
    held = Path(f"/proc/{process}/status").read_text().partition("VmRSS:")[2].split()
    return int(held[0]) / 1024 if held else 0.0


def starts(bench: Bench) -> Iterator[Row]:
    environment = {**os.environ, "DATABASE_PATH": str(bench.database(SMALL))}
    # The files that pip writes for a console script: a process without -m.
    dsgctl = str(Path(PYTHON).parent / "dsgctl")
    commands = {
        "python -c 'import click'": [PYTHON, "-c", "import click"],
        "dsgctl --version": [dsgctl, "--version"],
        "dsgctl --help": [dsgctl, "--help"],
        "dsgctl dataset list -o json": [dsgctl, "dataset", "list", "-o", "json"],
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(8 if bench.quick else 25):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment, check=True, capture_output=True)
            took[name].append(time.perf_counter() - start)
    base, *others = commands
    for name, limit in zip(others, (1.6, 2.2, 3.0), strict=True):
        ratio = _median([one / other for one, other in zip(took[name], took[base], strict=True)])
        yield Row(f"{name}, over {base}", ratio, at_most=limit)


def bulk(bench: Bench) -> Iterator[Row]:
    people = 10_000 if bench.quick else LARGE
    path = bench.place / "bulk.sqlite3"
    with world.create_database(path, 1) as database, begin_change(database, "os:bench") as opened:
        datasets.add(opened, "fish2")
    rows = (f"q{number}@example.org,Person {number},Lab {number % 50},\n" for number in range(people))
    (bench.place / "people.csv").write_text("email,name,affiliation,notes\n" + "".join(rows))
    words = ["import", "csv", str(bench.place / "people.csv"), "--dataset", "fish2"]
    seconds, most = _measure_command(path, words)
    yield Row(f"import csv, {people:,} people, s", seconds, at_most=10 * people / LARGE)
    yield Row("  its memory, MB", most, at_most=100)
    seconds, most = _measure_command(path, ["access", "who", "fish2", "-o", "csv"])
    yield Row(f"access who, {people:,} people, s", seconds, at_most=2)


def _measure_command(path: Path, words: list[str]) -> tuple[float, float]:
    """Seconds and megabytes that a command takes."""
    environment = {**os.environ, "DATABASE_PATH": str(path)}
    start, most = time.perf_counter(), 0.0
    with subprocess.Popen([PYTHON, "-m", "dsgctl", *words], env=environment, stdout=subprocess.DEVNULL) as process:
        # What the kernel tells at the end counts what this process held when it was forked, too.
        while process.poll() is None:
            most = max(most, _resident(process.pid))
            time.sleep(0.02)
    assert process.returncode == 0
    return time.perf_counter() - start, most


def hanging(bench: Bench) -> Iterator[Row]:
    place = bench.place / "hanging"
    place.mkdir()
    with run_silent_google(place) as (_, settings), bench.run_server(**settings) as server:
        bodies = _gcs_bodies(bench, server, place / "bodies")
        good = world.token_file(bench.database(SMALL))
        ratios, rates = [], []
        for _ in range(bench.pairs):
            alone = load.run(server.origin + PATH, good, seconds=bench.seconds)
            asking = load.LoadRun(
                f"{server.origin}/gcs_token", "post", bodies, connections=200, seconds=bench.seconds + 2
            )
            time.sleep(1)
            beside = load.run(server.origin + PATH, good, seconds=bench.seconds)
            asking.wait()
            ratios.append(beside.p99 / alone.p99)
            rates.append(beside.rate / alone.rate)
    yield Row(
        "p99 of user/cache, Google hanging and 200 asking for its tokens, over its own", _median(ratios), at_most=2
    )
    yield Row("  its rate, over its own", _median(rates))


def _gcs_bodies(bench: Bench, server: Server, file: Path) -> Path:
    """What Neuroglancers of several people ask for, of buckets that they may read."""
    path = bench.database(SMALL)
    database = SqliteDatabase(path)
    with begin_change(database, "os:bench") as opened:
        for number in range(world.DATASETS):
            locations.add(opened, f"set-{number}", f"gs://bucket-{number}")
    database.close()
    bodies: list[dict[str, Any]] = []
    for token in world.token_file(path).read_text().split():
        user_token = requests.post(f"{server.origin}/token", cookies={"dsg_token": token}, timeout=10).text
        for name in list(server.ask(token).json()["permissions"])[:4]:
            bodies.append({"token": user_token, "bucket": name.replace("set-", "bucket-")})
    file.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    return file


MEASUREMENTS = {
    one.__name__: one
    for one in (warm, size, first_answer, stream, next_request, processes, memory, starts, bulk, hanging)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Ratios measured in one run, pair by pair.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; all if none")
    parser.add_argument("--quick", action="store_true", help="shorter runs: to see that it works, not to judge")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    given = parser.parse_args()
    for program in ("wrk", "nginx", "openssl"):
        if not shutil.which(program):
            sys.exit(f"make bench needs {program}: apt-get install wrk nginx-light openssl")
    unknown = set(given.names) - MEASUREMENTS.keys()
    if unknown:
        sys.exit(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    rows = []
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        bench = Bench(Path(place), stack, quick=given.quick)
        for name in given.names or MEASUREMENTS:
            for row in MEASUREMENTS[name](bench):
                rows.append(row)
                _print(row)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) | {"reached": row.reached} for row in rows], indent=1) + "\n")
    sys.exit(0 if all(row.reached for row in rows) else 1)


def _print(row: Row) -> None:
    limits = ((">=", row.at_least), ("<=", row.at_most))
    wanted = " ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
    said = "" if row.reached else "  NOT REACHED"
    print(f"{row.what:82} {row.value:8.2f}  {wanted:8}{said}{'  ' + row.remark if row.remark else ''}", flush=True)


if __name__ == "__main__":
    main()
