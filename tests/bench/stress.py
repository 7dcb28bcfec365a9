"""Measures what a server needs, and how it answers while clients send bad tokens or Google does not answer."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from dsgctl.core import locations
from dsgctl.core.transaction import begin_change
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.bench import load, world
from tests.bench.bench import PATH, SMALL, Bench, Row, median, read_memory
from tests.e2e.conftest import Server
from tests.e2e.google import run_silent_google


def memory(bench: Bench) -> Iterator[Row]:
    with bench.run_server() as server:
        idle = read_memory(server.process.pid)
        tokens = world.token_file(bench.database(SMALL))
        load.run(server.origin + PATH, tokens, seconds=bench.seconds)
        rates, requests_sent = [], 0
        while requests_sent < (50_000 if bench.quick else 1_000_000):
            bad = load.LoadRun(server.origin + PATH, "bad", seconds=bench.seconds * 3).wait()
            assert bad.refused == bad.requests and not bad.broken
            rates.append(bad.rate / load.run(server.origin + PATH, tokens, seconds=bench.seconds).rate)
            requests_sent += bad.requests
        grown = read_memory(server.process.pid) - idle
    yield Row("memory of an idle dsgserve, MB", idle, at_most=60)
    yield Row(f"  more after {requests_sent:,} different bad tokens, MB", grown, at_most=10)
    yield Row("bad tokens refused, over good ones answered", median(rates), at_least=0.9)


def hanging(bench: Bench) -> Iterator[Row]:
    directory = bench.directory / "hanging"
    directory.mkdir()
    with run_silent_google(directory) as (_, settings), bench.run_server(**settings) as server:
        bodies = _write_bodies(bench, server, directory / "bodies")
        tokens = world.token_file(bench.database(SMALL))
        ratios, rates = [], []
        for _ in range(bench.pairs):
            alone = load.run(server.origin + PATH, tokens, seconds=bench.seconds)
            waiting = load.LoadRun(
                f"{server.origin}/gcs_token", "post", bodies, connections=200, seconds=bench.seconds + 2
            )
            time.sleep(1)
            beside = load.run(server.origin + PATH, tokens, seconds=bench.seconds)
            waiting.wait()
            ratios.append(beside.p99 / alone.p99)
            rates.append(beside.rate / alone.rate)
    yield Row(
        "p99 of user/cache, Google hanging and 200 asking for its tokens, over its own", median(ratios), at_most=2
    )
    yield Row("  its rate, over its own", median(rates))


def _write_bodies(bench: Bench, server: Server, file: Path) -> Path:
    """The bodies of requests for Google tokens: of several people, for buckets that they may read."""
    path = bench.database(SMALL)
    database = SqliteDatabase(path)
    with begin_change(database, "os:bench") as change:
        for number in range(world.DATASETS):
            locations.add(change, f"set-{number}", f"gs://bucket-{number}")
    database.close()
    bodies: list[dict[str, Any]] = []
    for token in world.token_file(path).read_text().split():
        user_token = requests.post(f"{server.origin}/token", cookies={"dsg_token": token}, timeout=10).text
        for name in list(server.ask(token).json()["permissions"])[:4]:
            bodies.append({"token": user_token, "bucket": name.replace("set-", "bucket-")})
    file.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    return file
