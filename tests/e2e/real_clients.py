"""Runs the Python clients of CAVE, cloud-volume and neuPrint in a process of their own; see python/calls.py."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxy import ROOT
from tests.patience import PATIENCE

PYTHON = ROOT / ".venv-parts" / "bin" / "python"
REQUIREMENTS = Path(__file__).parent / "python" / "requirements.txt"

needs_clients = pytest.mark.skipif(not (PYTHON.parents[1] / "installed").exists(), reason="make python-parts")


class ClientError(Exception):
    """What a client raised.

    Attributes:
        kind: the name of the exception's class.
        status: of the HTTP response, if the exception has one.
    """

    def __init__(self, kind: str, status: int | None, message: str) -> None:
        self.kind = kind
        self.status = status
        super().__init__(f"{kind}: {message}")


@dataclass
class Clients:
    """The running process.

    Attributes:
        home: the home directory of whoever uses the clients.
        printed: what the last call printed.
    """

    process: "subprocess.Popen[str]"
    home: Path
    printed: str = ""

    def call(self, name: str, **arguments: Any) -> Any:
        """Call a function of python/calls.py.

        Raises:
            ClientError: it raised an exception.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, arguments]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the clients have stopped at {name}"
        answer = json.loads(line)
        self.printed = answer["printed"]
        if "error" in answer:
            raise ClientError(answer["error"], answer["status"], answer["message"])
        return answer["result"]


@contextmanager
def run_clients(port: int, certificate: Path, home: Path, **environment: str) -> Iterator[Clients]:
    """Start the process; stop it at the end.

    Args:
        port: of nginx with TLS, to which all names lead.
        certificate: that it has.
        home: a new directory for the files of the clients.
    """
    home.mkdir()
    settings = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "LOOPBACK_PORT": str(port),
        "REQUESTS_CA_BUNDLE": str(certificate),
        **environment,
    }
    with subprocess.Popen(
        [PYTHON, Path(__file__).parent / "python" / "calls.py"],
        env=settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        try:
            yield Clients(process, home)
        finally:
            process.stdin.close()
            process.wait(timeout=PATIENCE)
