"""wrk (Debian's package), and what it measured."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parent / "wrk.lua"
CONNECTIONS = 8


@dataclass(frozen=True)
class Load:
    """What one run was answered.

    Attributes:
        p50, p99: milliseconds.
        refused: answers of 400 and above; ``broken``: no answer at all.
    """

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class LoadRun:
    """wrk at work; see wrk.lua for the modes."""

    def __init__(
        self, url: str, mode: str, file: Path | None = None, *, connections: int = CONNECTIONS, seconds: int = 3
    ) -> None:
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT), url]
        self._process = subprocess.Popen(
            [*words, "--", mode, *([str(file)] if file else [])], stdout=subprocess.PIPE, text=True
        )

    def wait(self) -> Load:
        said, _ = self._process.communicate()
        assert self._process.returncode == 0, said
        return Load(**json.loads(said.splitlines()[-1]))


def run(url: str, tokens: Path, *, connections: int = CONNECTIONS, seconds: int = 3) -> Load:
    """GET ``url`` with these tokens, one a line, in turn; every one must be answered well."""
    found = LoadRun(url, "get", tokens, connections=connections, seconds=seconds).wait()
    assert found.refused == found.broken == 0, found
    return found
