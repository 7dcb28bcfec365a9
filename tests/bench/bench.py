"""What the measurements share: rows of the result, databases, and servers."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import requests

from tests.bench import load, world
from tests.e2e.conftest import Server, run_server
from tests.e2e.local import free_port, wait_until

PATH = "/api/v1/user/cache"
SMALL, LARGE = 1_000, 100_000  # people
PYTHON = sys.executable


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        what: what is measured, with its unit.
        at_least, at_most: the limit that the value must keep, if there is one.
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
    """The databases and servers that measurements share."""

    def __init__(self, directory: Path, stack: ExitStack, *, quick: bool) -> None:
        self.directory = directory
        self.stack = stack
        self.quick = quick
        self.pairs = 3 if quick else 7
        self.seconds = 1 if quick else 3

    def database(self, people: int) -> Path:
        """A database with that many people, created when it is first needed."""
        path = self.directory / f"{people}.sqlite3"
        if not path.exists():
            with world.create_database(path, people):
                pass
        return path

    @contextmanager
    def run_server(self, people: int = SMALL, **settings: str) -> Iterator[Server]:
        """Start a server with a database of that many people; stop it at the end."""
        with run_server(self.database(people), self.directory, **settings) as server:
            yield server

    @cached_property
    def bare(self) -> str:
        """The URL of a bare waitress that sends the same bytes."""
        token_file = world.token_file(self.database(SMALL))
        body = self.directory / "body"
        with self.run_server() as server:
            body.write_bytes(server.ask(token_file.read_text().split()[0]).content)
        port = free_port()
        process = subprocess.Popen([PYTHON, "-m", "tests.bench.bare", str(port), "4", str(body)])
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}{PATH}"
        wait_until(lambda: _is_ready(url), event="the bare server")
        return url

    def compare_with_bare(self, url: str, token_file: Path) -> list[tuple[load.Load, load.Load]]:
        """Measure a server and the bare one in turn."""
        load.run(url, token_file, seconds=1)  # warm
        return [
            (load.run(url, token_file, seconds=self.seconds), load.run(self.bare, token_file, seconds=self.seconds))
            for _ in range(self.pairs)
        ]


def _is_ready(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False


def median(values: Iterator[float] | list[float]) -> float:
    return statistics.median(values)


def read_memory(process: int) -> float:
    """The resident memory of a process in megabytes; 0 if it has just ended."""
    fields = Path(f"/proc/{process}/status").read_text().partition("VmRSS:")[2].split()
    return int(fields[0]) / 1024 if fields else 0.0
