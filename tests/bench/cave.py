"""Measures the look-ups that CAVE's services make at every request of their own."""

import shutil
from collections.abc import Iterator

from dsgctl.store.migrations import open_current
from tests.bench import load, world
from tests.bench.bench import PATH, SMALL, Bench, Row, median
from tests.e2e.conftest import run_server

TABLES, ROOTS = 100_000, 10_000_000
FIRST_ROOT = 720_575_940_000_000_000


def cave(bench: Bench) -> Iterator[Row]:
    """With real tokens in turn, beside user/cache of the same server. With --quick, there are 1 % of the roots."""
    token_file, path = world.token_file(bench.database(SMALL)), bench.directory / "cave.sqlite3"
    shutil.copy(bench.database(SMALL), path)
    roots = ROOTS // 100 if bench.quick else ROOTS
    database = open_current(path)
    database.script(f"""
        WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < {TABLES} - 1)
        INSERT INTO service_tables (service, name, dataset_id)
            SELECT 'service' || (x % 5), 'table' || (x / 5), (SELECT min(id) FROM datasets) FROM n;
        WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < {roots} - 1)
        INSERT INTO public_roots (service_table_id, root_id)
            SELECT (SELECT max(id) FROM service_tables), {FIRST_ROOT} + x FROM n;
    """)
    database.close()
    last = f"table{(TABLES - 1) // 5}"
    look_ups = {
        "the dataset of one of 100,000 tables": f"/api/v1/service/service4/table/{last}/dataset",
        f"one of {roots:,} public roots": f"/api/v1/table/{last}/root/{FIRST_ROOT + roots // 2}/is_public",
    }
    with run_server(path, bench.directory, DSG_APIS="cave") as server:
        for target in (*look_ups.values(), PATH, *look_ups.values(), PATH):
            load.run(server.origin + target, token_file, seconds=1)  # warm: each of the tokens is checked once
        for what, look_up in look_ups.items():
            urls = [server.origin + look_up, server.origin + PATH]
            pairs = [[load.run(url, token_file, seconds=bench.seconds) for url in urls] for _ in range(bench.pairs)]
            ratio = median([of_look_up.rate / of_user_cache.rate for of_look_up, of_user_cache in pairs])
            yield Row(f"{what}, over user/cache", ratio, at_least=0.85)
