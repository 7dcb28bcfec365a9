"""Real processes on loopback sockets: dsgserve, and nginx in front of it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

KEY = "0123456789abcdef0123456789abcdef"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], *, seconds: float = 20.0, what: str = "it") -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        time.sleep(0.02)


@dataclass
class Server:
    """A running dsgserve."""

    origin: str
    process: "subprocess.Popen[str]"
    log: Path

    def ask(self, token: str | None = None, **parameters: str) -> requests.Response:
        """GET /api/v1/user/cache with a bearer token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.get(f"{self.origin}/api/v1/user/cache", params=parameters, headers=headers, timeout=10)

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.origin}/health", timeout=2).status_code == 200
        except requests.ConnectionError:
            return False


@contextmanager
def running(path: Path, place: Path, *words: str, **settings: str) -> Iterator[Server]:
    """dsgserve on a free port, over the database at ``path``; ended at the end."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"], "DATABASE_PATH": str(path), "DSG_PORT": str(port),
        "DSG_ORIGIN": f"http://localhost:{port}", "DSG_SECRET_KEY": KEY, **settings,
    }  # fmt: skip
    log = place / f"dsgserve-{port}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "dsgserve", *(word.format(port=port) for word in words)],
            env=environment,
            stdout=stream,
            stderr=stream,
            text=True,
        )
        server = Server(f"http://127.0.0.1:{port}", process, log)
        try:
            wait_until(lambda: server.answers() or process.poll() is not None, what="the server")
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture
def serve(path: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server over the test's database, as often as it is called."""
    with ExitStack() as stack:
        yield lambda *words, **settings: stack.enter_context(running(path, tmp_path, *words, **settings))


@pytest.fixture
def dsgctl(path: Path) -> Callable[..., str]:
    """Runs a command as a process, over the test's database; its answer, stripped."""

    def run(*words: str, input: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dsgctl", *words],
            env={"PATH": os.environ["PATH"], "DATABASE_PATH": str(path)},
            input=input, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
