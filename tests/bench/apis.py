"""Measures the routes of the APIs that the response cache answers, over a bare waitress that sends the same bytes."""

import shutil
from collections.abc import Iterator

from dsgctl.store.migrations import open_current
from dsgserve.apis.gate import PATH as GATE
from dsgserve.apis.native.user import PATH as USER
from tests.bench import world
from tests.bench.bench import SMALL, Bench, Row
from tests.bench.load import Client

TABLES, ROOTS = 100_000, 1_000_000
FIRST_ROOT = 720_575_940_000_000_000
LAST_TABLE = f"table{(TABLES - 1) // 5}"
LOOK_UPS = {
    f"CAVE: the data set of one of {TABLES:,} tables": f"/api/v1/service/service4/table/{LAST_TABLE}/dataset",
    f"CAVE: one of {ROOTS:,} public roots": f"/api/v1/table/{LAST_TABLE}/root/{FIRST_ROOT + ROOTS // 2}/is_public",
    "gate": f"{GATE}?dataset=set-0",
    "native user": USER,
}


def apis(bench: Bench) -> Iterator[Row]:
    """With 60 tokens in turn."""
    path = bench.directory / "apis.sqlite3"
    shutil.copy(bench.database(SMALL), path)
    database = open_current(path)
    database.script(f"""
        UPDATE datasets SET access = 'public' WHERE name = 'set-0';
        WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < {TABLES} - 1)
        INSERT INTO service_tables (service, name, dataset_id)
            SELECT 'service' || (x % 5), 'table' || (x / 5), (SELECT min(id) FROM datasets) FROM n;
        WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < {ROOTS} - 1)
        INSERT INTO public_roots (service_table_id, root_id)
            SELECT (SELECT max(id) FROM service_tables), {FIRST_ROOT} + x FROM n;
    """)
    database.close()
    with bench.serve(path, DSG_APIS="cave,gate,native") as server:
        for what, look_up in LOOK_UPS.items():
            client = Client(server.origin + look_up, world.token_file(bench.database(SMALL)))
            rounds = bench.measure_over_bare(client)
            yield Row(f"{what}, over bare waitress", rounds.ratio(), at_least=1.1, remark=rounds.describe())
