"""Measures how a server answers while Google hangs, clients dribble, or an operator imports: its p99 over its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from dsgctl.core import locations
from dsgctl.core.transaction import begin_change
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.bench import world
from tests.bench.bench import LARGE, PATH, PYTHON, SMALL, Bench, Row
from tests.bench.load import Client, LoadRun, Rounds
from tests.e2e.conftest import Server
from tests.e2e.google import run_silent_google

DRIBBLING = 500  # connections
SETTLING = 0.3  # seconds between the start of a disturbance and the run beside it


def hanging(bench: Bench) -> Iterator[Row]:
    """200 clients ask for Google's tokens, each of which needs a call that is never answered, and wait.

    Such a call is under way long after its client has gone, so the server alone is another one.
    """
    directory = bench.directory / "hanging"
    directory.mkdir()
    with (
        run_silent_google(directory) as (_, settings),
        bench.run_server(**settings) as server,
        bench.run_server() as undisturbed,
    ):
        bodies = _write_bodies(bench, server, directory / "bodies")
        asking = Client(f"{server.origin}/gcs_token", bodies, "post", connections=200)
        with LoadRun(asking):
            time.sleep(1)  # all have sent their first request
            rounds = bench.measure(bench.user_cache(server), bench.user_cache(undisturbed))
        server.process.kill()  # it would wait for the calls that hang
    yield _compare("while Google hangs and 200 clients ask for its tokens", rounds, at_most=1.5)


def _compare(what: str, rounds: Rounds, *, at_most: float) -> Row:
    """The row of these rounds: in each, a run beside a disturbance, and one without."""
    ratio = rounds.ratio(value=lambda load: load.p99)
    return Row(f"p99 of user/cache {what}, over its own", ratio, at_most=at_most, remark=rounds.describe())


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


def dribbling(bench: Bench) -> Iterator[Row]:
    """500 connections send a header byte by byte, 1,000 bytes a second in all."""
    rounds = []
    with bench.run_server() as server:
        client = bench.user_cache(server)
        client.run(bench.seconds)
        for number in range(1, bench.rounds + 1):
            bench.progress.step(f"round {number} of {bench.rounds}")
            alone = client.run(bench.seconds)
            with _dribble(server):
                time.sleep(SETTLING)
                beside = client.run(bench.seconds)
            rounds.append([beside, alone])
    yield _compare(f"while {DRIBBLING} connections dribble headers", Rounds(rounds), at_most=1.5)


@contextmanager
def _dribble(server: Server) -> Iterator[None]:
    address = urlsplit(server.origin)
    end = threading.Event()

    def send() -> None:
        while True:
            for client in clients:
                client.send(b"x")
                if end.wait(0.001):
                    return

    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(DRIBBLING)
        ]
        for client in clients:
            client.send(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".encode())
        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield
        finally:
            end.set()
            sender.join()


def importing(bench: Bench) -> Iterator[Row]:
    """An import, which is stopped for the runs without it."""
    people = LARGE // 10 if bench.quick else LARGE
    path, file = bench.directory / "importing.sqlite3", bench.directory / "importing.csv"
    shutil.copy(bench.database(SMALL), path)
    rows = (f"q{number}@example.org,Person {number},Lab {number % 50}\n" for number in range(people))
    file.write_text("email,name,affiliation\n" + "".join(rows))
    command = [PYTHON, "-m", "dsgctl", "import", "csv", str(file), "--dataset", "set-0"]
    environment = {**os.environ, "DATABASE_PATH": str(path)}
    rounds = []
    with bench.serve(path) as server:
        client = Client(server.origin + PATH, world.token_file(bench.database(SMALL)))
        client.run(bench.seconds)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            while process.poll() is None and len(rounds) < 2 * bench.rounds:
                bench.progress.step(f"round {len(rounds) + 1}")
                process.send_signal(signal.SIGSTOP)
                alone = client.run(bench.seconds)
                process.send_signal(signal.SIGCONT)
                rounds.append([client.run(bench.seconds), alone])
            process.kill()  # the rest takes long on a slow machine
            output, _ = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), output
    yield _compare(f"while {people:,} people are imported", Rounds(rounds), at_most=3)
