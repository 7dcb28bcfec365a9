"""Measures the memory of a server: idle, after many bad tokens, and with more answers than it keeps."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from dsgctl.core import clock
from dsgctl.store import models as m
from tests.bench import world
from tests.bench.bench import HUGE, LARGE, PATH, Bench, Row, read_memory
from tests.bench.load import Client, LoadRun

BAD_TOKENS, ASKING, DATASETS = 1_000_000, 10_000, 1_000
IN_COOKIES = 32  # of the bad tokens, in each request: wrk.lua


def memory(bench: Bench) -> Iterator[Row]:
    """Two servers at once, and the large databases are created meanwhile: time does not count here.

    With --quick, there are 1 % of the tokens.
    """
    share = 100 if bench.quick else 1
    path, token_file = bench.directory / "terms.sqlite3", bench.directory / "asking.tokens"
    _create_terms(path, token_file, ASKING // share)
    with bench.run_server() as refusing, bench.serve(path) as answering:
        servers = (refusing, answering)
        idle = [read_memory(server.process.pid) for server in servers]
        bad = Client(refusing.origin + PATH, mode="bad-cookies")
        good = Client(answering.origin + PATH, token_file)
        with LoadRun(bad, BAD_TOKENS // share // IN_COOKIES) as refused, LoadRun(good, ASKING // share) as answered:
            if not bench.quick:
                bench.database(LARGE)
                bench.database(HUGE)
        grown = [read_memory(server.process.pid) - before for server, before in zip(servers, idle, strict=True)]
    assert refused.load.refused > 0.9 * BAD_TOKENS / share / IN_COOKIES, refused.load
    assert answered.load.requests > 0.9 * ASKING // share and not answered.load.refused, answered.load
    yield Row("memory of an idle dsgserve, MB", idle[0], at_most=60)
    yield Row(f"  more after {BAD_TOKENS // share:,} different bad tokens, MB", grown[0], at_most=10)
    what = f"{DATASETS:,} public data sets with terms and {ASKING // share:,} people asking"
    yield Row(f"  more with {what}, MB", grown[1], at_most=64)


def _create_terms(path: Path, token_file: Path, people: int) -> None:
    """Create a database with public data sets, each with its terms, and people with a token each."""
    now = clock.now()
    secrets = [f"token-{number}" for number in range(people)]
    hashes = [hashlib.sha256(secret.encode()).digest() for secret in secrets]
    token = {"kind": "api", "prefix": "token", "created": now}
    terms = {"text": "Cite us.", "effective": now}
    dataset = {"access": "public", "created": now}
    with world.create_database(path, people) as database:
        database.insert_many(
            m.Terms,
            [{**terms, "name": f"Terms {number}", "invite_token": f"invite-{number}"} for number in range(DATASETS)],
        )
        database.insert_many(
            m.Dataset,
            [{**dataset, "name": f"public-{number}", "own_terms_id": number + 1} for number in range(DATASETS)],
        )
        database.insert_many(
            m.Token, [{**token, "principal": number, "hash": hashes[number - 1]} for number in range(1, people + 1)]
        )
    token_file.write_text("".join(f"{secret}\n" for secret in secrets))
