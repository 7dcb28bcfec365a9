"""Measures several processes behind nginx."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

from tests.bench import world
from tests.bench.bench import PATH, PYTHON, SMALL, Bench, Row
from tests.bench.load import Client
from tests.e2e.local import is_listening, make_certificate, wait_until
from tests.e2e.proxy import HOST, run_nginx


def processes(bench: Bench) -> Iterator[Row]:
    database = bench.database(SMALL)
    directory = bench.directory / "nginx"
    directory.mkdir()
    certificate = make_certificate(directory, HOST)
    sockets = [directory / f"dsgserve@{number}.sock" for number in (1, 2)]
    environment = {**os.environ, "DATABASE_PATH": str(database), "DSG_ORIGIN": "http://localhost:8200"}
    with ExitStack() as stack:
        for path in sockets:
            command = [PYTHON, "-m", "dsgserve", "--listen", f"unix:{path}"]
            server = stack.enter_context(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
            stack.callback(server.terminate)
        for path in sockets:
            wait_until(lambda path=path: is_listening(path), event="a server")
        ports = []
        for number in (1, 2):
            proxy = directory / str(number)
            proxy.mkdir()
            upstream = "; server ".join(f"unix:{path}" for path in sockets[:number])
            ports.append(stack.enter_context(run_nginx(proxy, certificate, upstream)))
        tokens = world.token_file(database)
        single, double = (Client(f"https://127.0.0.1:{port}{PATH}", tokens, connections=16) for port in ports)
        rounds = bench.measure(double, single)
    cores = len(os.sched_getaffinity(0))
    # The two servers, nginx and wrk each want a core.
    yield Row(
        "two processes behind nginx, over one",
        rounds.ratio(),
        at_least=1.7 if cores >= 4 else None,
        remark=f"{rounds.describe()}; {cores} cores for two servers, nginx and wrk",
    )
