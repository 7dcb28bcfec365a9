"""Measures GET /api/v1/gate."""

import shutil
from collections.abc import Iterator

from dsgctl.store.migrations import open_current
from dsgserve.apis.gate import PATH as GATE
from tests.bench import load, world
from tests.bench.bench import PATH, SMALL, Bench, Row, median
from tests.e2e.conftest import run_server


def gate(bench: Bench) -> Iterator[Row]:
    """With real tokens in turn, beside user/cache of the same server."""
    token_file, path = world.token_file(bench.database(SMALL)), bench.directory / "gate.sqlite3"
    shutil.copy(bench.database(SMALL), path)
    database = open_current(path)
    database.script("UPDATE datasets SET access = 'public' WHERE name = 'set-0'")
    database.close()
    ratios = []
    with run_server(path, bench.directory, DSG_APIS="gate") as server:
        urls = [f"{server.origin}{GATE}?dataset=set-0", server.origin + PATH]
        for url in urls:
            load.run(url, token_file, seconds=1)  # warm
        for _ in range(bench.pairs):
            of_gate, of_user_cache = (load.run(url, token_file, seconds=bench.seconds) for url in urls)
            ratios.append(of_gate.rate / of_user_cache.rate)
    yield Row("gate, over user/cache", median(ratios), at_least=0.85)
