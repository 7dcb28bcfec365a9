"""Counts answers that do not show a change that was acknowledged before the question was sent."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import world
from tests.bench.bench import PATH, PYTHON, SMALL, Bench, Row
from tests.bench.load import Client, LoadRun
from tests.e2e.conftest import Server, run_server

PROCESSES = 2
CONNECTIONS = 4  # to each process, beside those of wrk: several threads answer
ROTATION = "/api/v1/long_lived_token"


@dataclass(frozen=True)
class Expectation:
    """What every answer to a token must have after a change.

    Attributes:
        status: its status; ``text``: a part of its body.
    """

    token: str
    status: int
    text: str = ""


# Makes a change, of which it is told the number. It returns when the change is acknowledged.
MakeChange = Callable[[int], list[Expectation]]


def staleness(bench: Bench) -> Iterator[Row]:
    """A client that changes something and then asks each process at once, while wrk keeps all of them busy."""
    path, token_file = bench.directory / "staleness.sqlite3", world.token_file(bench.database(SMALL))
    shutil.copy(bench.database(SMALL), path)
    share = 20 if bench.quick else 1
    with ExitStack() as stack:
        servers = [stack.enter_context(run_server(path, bench.directory, DSG_APIS="native")) for _ in range(PROCESSES)]
        for server in servers:
            stack.enter_context(LoadRun(Client(server.origin + PATH, token_file)))
        connections = [stack.enter_context(closing(_connect(server))) for server in servers * CONNECTIONS]
        token = token_file.read_text().split()[0]
        for author, make_change, count in (
            ("sqlite3", _change_by_sqlite(stack, path, token), 150),
            ("a server", _change_by_server(connections[0], token), 150),
            ("dsgctl", _change_by_dsgctl(path, token), 10),
        ):
            bench.progress.step(author)
            stale, answers = _count_stale(make_change, max(1, count // share), connections)
            name = f"answers that do not show a change by {author}, {PROCESSES} busy processes"
            yield Row(name, stale, at_most=0, remark=f"of {answers:,}")


def _connect(server: Server) -> HTTPConnection:
    address = urlsplit(server.origin)
    return HTTPConnection(address.hostname or "", address.port)


def _count_stale(make_change: MakeChange, changes: int, connections: list[HTTPConnection]) -> tuple[int, int]:
    """The stale answers, and all answers, after so many changes."""
    stale, answers = 0, 0
    for number in range(changes):
        for expectation in make_change(number):
            for connection in connections:
                connection.request("GET", PATH, headers={"Authorization": f"Bearer {expectation.token}"})
            for connection in connections:
                response = connection.getresponse()
                body = response.read().decode()
                stale += response.status != expectation.status or expectation.text not in body
                answers += 1
    return stale, answers


def _change_by_sqlite(stack: ExitStack, path: Path, token: str) -> MakeChange:
    """Change a name as with the sqlite3 shell."""
    connection = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None, timeout=60)))

    def change(number: int) -> list[Expectation]:
        connection.execute("UPDATE principals SET name = ? WHERE id = 1", (f"By sqlite3 {number}",))
        return [Expectation(token, 200, f'"By sqlite3 {number}"')]

    return change


def _change_by_server(connection: HTTPConnection, token: str) -> MakeChange:
    """Let one process replace a token by another, which is good from then on."""
    tokens = [_ask_for_token(connection, "GET", ROTATION, token)]

    def change(number: int) -> list[Expectation]:
        tokens.append(_ask_for_token(connection, "POST", f"{ROTATION}/rotate", tokens[-1]))
        return [Expectation(tokens[-2], 401), Expectation(tokens[-1], 200)]

    return change


def _ask_for_token(connection: HTTPConnection, method: str, path: str, token: str) -> str:
    connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    return str(json.loads(body)["token"])


def _change_by_dsgctl(path: Path, token: str) -> MakeChange:
    """Change a name by the command line."""
    command = [PYTHON, "-m", "dsgctl", "user", "set", "p1@example.org", "--name"]
    environment = {**os.environ, "DATABASE_PATH": str(path)}

    def change(number: int) -> list[Expectation]:
        name = f"By dsgctl {number}"
        subprocess.run([*command, name], env=environment, check=True, capture_output=True)
        return [Expectation(token, 200, f'"{name}"')]

    return change
