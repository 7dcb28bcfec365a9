"""What the real parts need on this machine: free ports, patience, certificates."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.patience import PATIENCE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(path: Path) -> bool:
    """Whether somebody listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def wait_until(ready: Callable[[], bool], *, seconds: float = PATIENCE, what: str = "it") -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        time.sleep(0.02)


def make_certificate(place: Path, *names: str) -> Path:
    """A key and a certificate of its own for these names. Returns the certificate; the key is beside it."""
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={names[0]}",
            "-addext",
            "subjectAltName=" + ",".join(f"DNS:{name}" for name in names),
            "-keyout",
            place / "dsg.key",
            "-out",
            place / "dsg.pem",
        ],
        check=True,
        capture_output=True,
    )
    return place / "dsg.pem"
