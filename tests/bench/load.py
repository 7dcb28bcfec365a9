"""Runs wrk, and reads its result."""

import json
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.patience import PATIENCE

SCRIPT = Path(__file__).parent / "wrk.lua"


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


@dataclass(frozen=True)
class Client:
    """What wrk asks, as fast as it is answered.

    Attributes:
        mode, file: of wrk.lua.
    """

    url: str
    file: Path | None = None
    mode: str = "bearer"
    connections: int = 8

    def ask_once(self) -> requests.Response:
        """The response to one request like those of wrk."""
        token = self.file.read_text().split()[0] if self.file else "nobody"
        cookies = {"dsg_token": token} if self.mode == "cookie" else {}
        headers = {"Authorization": f"Bearer {token}"} if self.mode != "cookie" else {}
        return requests.get(self.url, headers=headers, cookies=cookies, timeout=PATIENCE)

    def run(self, seconds: float) -> Load:
        """Ask for so long, or until there is an answer. All must be successes; in the mode of bad tokens, refusals."""
        with LoadRun(self) as load_run:
            time.sleep(seconds)
        load = load_run.load
        if not load.requests and seconds < PATIENCE:  # on a busy machine
            return self.run(seconds * 2)
        assert load.requests and not load.broken, load
        assert load.refused == (load.requests if self.mode == "bad" else 0), load
        return load


class LoadRun:
    """A wrk that runs until the end of the context; `load` is its result then.

    Args:
        count: of requests, which the end waits for; 0 for as many as there are.
    """

    load: Load

    def __init__(self, client: Client, count: int = 0) -> None:
        self._count = count
        # wrk knows whole seconds only, so it is interrupted: it ends as at the end of its time. It takes some 11
        # microseconds of a core for a request, so it does not limit a server. Neither is kept on a core of its own: if
        # another program uses that core, a server of one thread gets less of it than one of five.
        words = f"wrk -t1 -c{client.connections} -d1h --timeout 30s -s".split()
        arguments = [client.mode, str(count), *([str(client.file)] if client.file else [])]
        self._command = [*words, str(SCRIPT), client.url, "--", *arguments]

    def __enter__(self) -> "LoadRun":
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._count and not any(error):
            assert self._process.stdout is not None
            self._process.stdout.readline()  # of wrk.lua, after the last request
        self._process.send_signal(signal.SIGINT)
        output, _ = self._process.communicate()
        if self._process.returncode == -signal.SIGINT:  # the machine is so busy that it had not begun
            self.load = Load(requests=0, seconds=0, p50=0, p99=0, refused=0, broken=0)
            return
        assert self._process.returncode == 0, output
        self.load = Load(**json.loads(output.splitlines()[-1]))


@dataclass(frozen=True)
class Rounds:
    """Runs of several clients in turn: in each round, one run of each."""

    rounds: list[list[Load]]

    def ratio(self, over: int = 1, *, of: int = 0, value: Callable[[Load], float] = lambda load: load.rate) -> float:
        """The median over the rounds of one client's value over another's in the same round."""
        return statistics.median([value(loads[of]) / value(loads[over]) for loads in self.rounds])

    def describe(self, over: int = 1, *, of: int = 0) -> str:
        """The medians of rate and p99 of two clients, for people to read: they depend on the machine."""
        parts = []
        for client in (of, over):
            rate = statistics.median([loads[client].rate for loads in self.rounds])
            p99 = statistics.median([loads[client].p99 for loads in self.rounds])
            parts.append(f"{rate:,.0f}/s p99 {p99:.1f} ms")
        return " over ".join(parts)
