"""Measures the routes of the APIs that the response cache answers: the gate, and who somebody is."""

import shutil
from collections.abc import Iterator

from dsgctl.store.migrations import open_current
from dsgserve.apis.gate import PATH as GATE
from dsgserve.apis.native.user import PATH as USER
from tests.bench import load, world
from tests.bench.bench import PATH, SMALL, Bench, Row, median
from tests.e2e.conftest import run_server

LEAST = 0.85  # of the rate of user/cache


def gate(bench: Bench) -> Iterator[Row]:
    """With real tokens in turn, beside user/cache of the same server."""
    yield Row("gate, over user/cache", _compare(bench, "gate", f"{GATE}?dataset=set-0"), at_least=LEAST)


def native_user(bench: Bench) -> Iterator[Row]:
    """The same for the native API's user."""
    yield Row("native user, over user/cache", _compare(bench, "native", USER), at_least=LEAST)


def _compare(bench: Bench, api: str, address: str) -> float:
    """The rate of an address over that of user/cache.

    Args:
        address: path and query, of this API.
    """
    token_file, path = world.token_file(bench.database(SMALL)), bench.directory / f"{api}.sqlite3"
    shutil.copy(bench.database(SMALL), path)
    database = open_current(path)
    database.script("UPDATE datasets SET access = 'public' WHERE name = 'set-0'")
    database.close()
    ratios = []
    with run_server(path, bench.directory, DSG_APIS=api) as server:
        urls = [server.origin + address, server.origin + PATH]
        for url in urls:
            load.run(url, token_file, seconds=1)  # warm
        for _ in range(bench.pairs):
            of_api, of_user_cache = (load.run(url, token_file, seconds=bench.seconds) for url in urls)
            ratios.append(of_api.rate / of_user_cache.rate)
    return median(ratios)
