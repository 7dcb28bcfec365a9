"""What the tests' programs need on this machine: free ports, certificates, and waiting for a condition."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A TCP port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(path: Path) -> bool:
    """Whether a process listens on this unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def wait_until(ready: Callable[[], bool], *, seconds: float = PATIENCE, event: str = "the condition") -> None:
    """Wait until ``ready`` returns true; fail after ``seconds``, naming ``what`` was awaited."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{event} did not occur within {seconds} s"
        time.sleep(0.02)


def accepts_connections(port: int) -> bool:
    """Whether a process listens on this port of loopback."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def run_service(module: str, port: int, **environment: str) -> Iterator[None]:
    """Run a module of the tests as a program that listens on a port; stop it at the end.

    Args:
        environment: all of its environment.
    """
    command = [sys.executable, "-m", module, str(port)]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as service:
        try:
            wait_until(lambda: accepts_connections(port) or service.poll() is not None, event=module)
            assert service.poll() is None, f"{module} has stopped"
            yield
        finally:
            service.terminate()


def make_certificate(directory: Path, *names: str) -> Path:
    """Make a key and a self-signed certificate for these names. Returns the certificate; the key is beside it."""
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",  # an RSA key takes a hundred times as long to make
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={names[0]}",
            "-addext",
            "subjectAltName=" + ",".join(f"DNS:{name}" for name in names),
            "-keyout",
            directory / "dsg.key",
            "-out",
            directory / "dsg.pem",
        ],
        check=True,
        capture_output=True,
    )
    return directory / "dsg.pem"
