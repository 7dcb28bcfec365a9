"""Fixtures that run the real programs on loopback: dsgserve, dsgctl, and an OpenID provider."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.e2e.local import free_port, make_certificate, wait_until
from tests.e2e.provider import HOSTS, Provider, run_provider
from tests.patience import PATIENCE

KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class Server:
    """A running dsgserve."""

    origin: str
    process: "subprocess.Popen[str]"
    log: Path

    def ask(self, token: str | None = None, **parameters: str) -> requests.Response:
        """GET /api/v1/user/cache with a bearer token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.get(f"{self.origin}/api/v1/user/cache", params=parameters, headers=headers, timeout=PATIENCE)

    def is_ready(self) -> bool:
        """Whether the server answers GET /health with 200."""
        try:
            return requests.get(f"{self.origin}/health", timeout=PATIENCE).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False  # not yet


@contextmanager
def run_process(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Run a command that starts dsgserve, and yield it once it is ready or has ended; stop it at the end.

    Args:
        environment: all of its environment; ``DSG_PORT`` is where it listens.
        log: the file for its output.
    """
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, text=True)
    server = Server(f"http://127.0.0.1:{environment['DSG_PORT']}", process, log)
    try:
        wait_until(lambda: server.is_ready() or process.poll() is not None, event="the server")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


@contextmanager
def run_server(path: Path, directory: Path, *words: str, **settings: str) -> Iterator[Server]:
    """Start dsgserve on a free port with the database at ``path``; stop it at the end.

    Args:
        directory: for its log.
        words: arguments; ``{port}`` in them is replaced.
        settings: environment variables.
    """
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_PATH": str(path),
        "DSG_PORT": str(port),
        "DSG_ORIGIN": f"http://localhost:{port}",
        "DSG_SECRET_KEY": KEY,
        **settings,
    }
    command = [sys.executable, "-m", "dsgserve", *(word.format(port=port) for word in words)]
    with run_process(command, environment, directory / f"dsgserve-{port}.log") as server:
        assert server.process.poll() is None, server.log.read_text()
        yield server


@pytest.fixture
def serve(path: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts a server with the test's database; it can be called several times."""
    with ExitStack() as stack:
        yield lambda *words, **settings: stack.enter_context(run_server(path, tmp_path, *words, **settings))


@pytest.fixture
def dsgctl(path: Path) -> Callable[..., str]:
    """A function that runs a dsgctl command as a process with the test's database. Returns its output, stripped."""

    def run(*words: str, input: str = "") -> str:
        process = subprocess.run(
            [sys.executable, "-m", "dsgctl", *words],
            env={"PATH": os.environ["PATH"], "DATABASE_PATH": str(path)},
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return process.stdout.strip()

    return run


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """An OpenID provider, one for each worker; `Provider.configure` sets what it does."""
    certificate = make_certificate(tmp_path_factory.mktemp("provider"), "localhost", *HOSTS)
    with run_provider(certificate) as provider:
        yield provider
