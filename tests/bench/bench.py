"""What the measurements share: rows of the result, databases, servers, and runs in turn."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import requests

from dsgserve.server import CONNECTIONS, MAX_BODY, MAX_HEADER, SEND_BYTES
from tests.bench import world
from tests.bench.load import Client, Rounds
from tests.bench.progress import Progress
from tests.e2e.conftest import Server, run_server
from tests.e2e.local import accepts_connections, free_port, wait_until

PATH = "/api/v1/user/cache"
SMALL, LARGE, HUGE = 1_000, 100_000, 1_000_000  # people
PYTHON = sys.executable
# As dsgserve calls waitress (server.py, make_server), with the number of threads that it has by default.
SETTINGS = {
    "threads": 4,
    "connection_limit": CONNECTIONS,
    "asyncore_use_poll": True,
    "ident": None,
    "max_request_header_size": MAX_HEADER,
    "max_request_body_size": MAX_BODY,
    "send_bytes": SEND_BYTES,
    "clear_untrusted_proxy_headers": False,
}


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        what: what is measured, with its unit.
        at_least, at_most: the limit that the value must keep, if there is one.
        remark: absolute figures, which nothing judges: they depend on the machine.
    """

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
    """What the measurements share.

    Attributes:
        quick: shorter runs, to see that they work.
        full: the largest sizes, where the default is smaller.
        rounds: how often the runs that are compared are made in turn.
        seconds: of each run. Many short rounds: another program disturbs few of them, and the median drops those.
    """

    def __init__(self, directory: Path, progress: Progress, *, quick: bool, full: bool = False) -> None:
        self.directory = directory
        self.progress = progress
        self.quick = quick
        self.full = full
        self.rounds = 2 if quick else 6
        self.seconds = 0.2 if quick else 0.35

    def database(self, people: int) -> Path:
        """A database with that many people, created when it is first needed."""
        path = self.directory / f"{people}.sqlite3"
        if not path.exists():
            self.progress.step(f"creating {people:,} people")
            with world.create_database(path, people):
                pass
        return path

    def run_server(self, people: int = SMALL, **settings: str) -> AbstractContextManager[Server]:
        """A server with a database of that many people, which runs until the end of the context."""
        return self.serve(self.database(people), **settings)

    def serve(self, path: Path, **settings: str) -> AbstractContextManager[Server]:
        """A server with the database at ``path``, which runs until the end of the context."""
        return run_server(path, self.directory, **settings)

    def user_cache(self, server: Server, people: int = SMALL) -> Client:
        """A client that asks a server of `run_server` for user/cache, with 60 tokens in turn."""
        return Client(server.origin + PATH, world.token_file(self.database(people)))

    @contextmanager
    def run_bare(self, client: Client) -> Iterator[Client]:
        """Start a bare waitress that sends the bytes that this client gets, and yield a client of it; stop it then."""
        port = free_port()
        response, file = client.ask_once(), self.directory / f"bare-{port}.json"
        headers = [header for header in response.raw.headers.items() if header[0] != "Date"]
        content = {
            "status": f"{response.status_code} {response.reason}",
            "headers": headers,
            "body": response.text,
            "settings": SETTINGS,
        }
        file.write_text(json.dumps(content))
        with subprocess.Popen([PYTHON, "-m", "tests.bench.bare", str(port), str(file)]) as process:
            try:
                wait_until(lambda: accepts_connections(port), event="the bare server")
                bare = replace(client, url=f"http://127.0.0.1:{port}{PATH}")
                _require_same(response, bare.ask_once())
                yield bare
            finally:
                process.terminate()

    def measure(self, *clients: Client) -> Rounds:
        """Run clients in turn, after one run each to warm up."""
        for client in clients:
            client.run(self.seconds)
        rounds = []
        for number in range(1, self.rounds + 1):
            self.progress.step(f"round {number} of {self.rounds}")
            rounds.append([client.run(self.seconds) for client in clients])
        return Rounds(rounds)

    def measure_over_bare(self, client: Client) -> Rounds:
        """Run a client, and the same of a bare waitress that sends the same bytes, in turn."""
        with self.run_bare(client) as bare:
            return self.measure(client, bare)


def _require_same(ours: requests.Response, bare: requests.Response) -> None:
    """Refuse to compare with a server that sends other bytes; only the date may differ."""
    first, second = (
        (response.status_code, {**response.headers, "Date": ""}, response.content) for response in (ours, bare)
    )
    assert first == second, (first, second)


def median(values: Iterator[float] | list[float]) -> float:
    return statistics.median(values)


def read_memory(process: int) -> float:
    """The resident memory of a process in megabytes; 0 if it has just ended."""
    fields = Path(f"/proc/{process}/status").read_text().partition("VmRSS:")[2].split()
    return int(fields[0]) / 1024 if fields else 0.0
