"""Runs wrk, and reads its result."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parent / "wrk.lua"
CONNECTIONS = 8


@dataclass(frozen=True)
class Load:
    """The result of one run.

    Attributes:
        p50, p99: milliseconds.
        refused: responses with a status of 400 and above.
        broken: requests without a response.
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
    """A running wrk; see wrk.lua for the modes."""

    def __init__(
        self, url: str, mode: str, file: Path | None = None, *, connections: int = CONNECTIONS, seconds: int = 3
    ) -> None:
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT), url]
        self._process = subprocess.Popen(
            [*words, "--", mode, *([str(file)] if file else [])], stdout=subprocess.PIPE, text=True
        )

    def wait(self) -> Load:
        """Wait for the end of the run."""
        output, _ = self._process.communicate()
        assert self._process.returncode == 0, output
        return Load(**json.loads(output.splitlines()[-1]))


def run(url: str, tokens: Path, *, connections: int = CONNECTIONS, seconds: int = 3) -> Load:
    """GET ``url`` with these tokens, one a line, in turn; each response must be a success."""
    load = LoadRun(url, "get", tokens, connections=connections, seconds=seconds).wait()
    assert load.refused == load.broken == 0, load
    return load
