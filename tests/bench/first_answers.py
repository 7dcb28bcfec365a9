"""Measures the first answer to somebody after a change, over the same facts read by plain SQL in the same process."""

import gc
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from dsgctl.core import grants, groups, tokens, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
from dsgserve.user_cache.endpoint import UserCacheQuestion
from dsgserve.user_cache.response_cache import ResponseCache
from tests.bench.bench import LARGE, SMALL, Bench, Row, median

GROUPS, GRANTS = 10, 50  # of the person who asks
CHANGES = 200
Result = TypeVar("Result")

# What a server must know that answers from a cache: that somebody has committed, that the schema is still its own, what
# has changed, and the revision and the groups by which it will find out whether the answer is still right.
_CHANGES = (
    "PRAGMA data_version",
    "SELECT max(number) FROM migrations",
    "SELECT number, principal_id, group_id FROM changes WHERE number > (SELECT max(number) FROM changes) - 1",
    "SELECT max(number) FROM changes",
)
# What the answer is made of, each fact once.
_TOKEN = """
    SELECT principals.id, principals.kind, email, slug, principals.name, display_name, admin, active, read_only, pi,
        picture_url, parent_id, tokens.expires, tokens.revoked
    FROM tokens JOIN principals ON principals.id = tokens.principal_id WHERE hash = ?
"""
_FACTS = (
    "SELECT group_id FROM memberships WHERE principal_id = :principal",
    "SELECT name FROM affiliations WHERE principal_id = :principal",
    "SELECT name, leads FROM memberships JOIN groups ON groups.id = group_id WHERE principal_id = :principal",
    """
    SELECT datasets.name, datasets.id, permission, grants.expires, grants.service_id,
        terms.id, terms.name, effective, retired
    FROM grants JOIN datasets ON datasets.id = grants.dataset_id LEFT JOIN terms ON terms.id = own_terms_id
    WHERE grants.principal_id = :principal
        OR grants.group_id IN (SELECT group_id FROM memberships WHERE principal_id = :principal)
    """,
    "SELECT terms_id, accepted FROM acceptances WHERE principal_id = :principal",
    """
    SELECT datasets.name, datasets.id, terms.id, terms.name, effective, retired
    FROM datasets JOIN terms ON terms.id = own_terms_id WHERE access = 'public'
    """,
)


def first_answers(bench: Bench) -> Iterator[Row]:
    """In this process, so that the time has no part of HTTP."""
    ratios, times = {}, {}
    for people in (SMALL, LARGE):
        ratios[people], times[people] = _compare_with_sql(bench.database(people), 20 if bench.quick else CHANGES)
        what = f"first answer after a change, {GRANTS} grants, {GROUPS} groups, {people:,} people"
        remark = f"{times[people]:.2f} ms"
        yield Row(f"{what}, over plain SQL", ratios[people], at_most=3, remark=remark)
    yield Row(f"  with {LARGE:,} people, over {SMALL:,}", ratios[LARGE] / ratios[SMALL], at_most=1.2)


def _compare_with_sql(path: Path, count: int) -> tuple[float, float]:
    """The median of the first answer's time over that of plain SQL after the same change, and its milliseconds."""
    writer, reader = open_current(path), open_current(path, read_only=True)
    name = f"busy-{time.time_ns()}"
    with begin_change(writer, "os:bench") as change:
        person, _ = users.add(change, f"{name}@example.org")
        for number in range(GROUPS):
            groups.add(change, f"{name}-{number}")
            groups.add_member(change, f"{name}-{number}", person.email)
        for number in range(GRANTS):
            grants.add(change, principal_subject(person), Target(f"set-{number}", "edit"))
        _, token = tokens.mint(change, person)
    cache, plain = ResponseCache(reader), sqlite3.connect(path, isolation_level=None)
    digest = hashlib.sha256(token.encode()).digest()
    ratios, times = [], []
    gc.disable()  # as in timeit: it would be counted to one or the other by chance
    for number in range(count):
        with begin_change(writer, "os:bench") as change:
            users.set_attributes(change, person.email, name=f"Busy {number}")
        # In turn, because the second of the two finds more in the processor's caches.
        if number % 2:
            ours, response = _time(lambda: cache.get(token, UserCacheQuestion()))
            sql, facts = _time(lambda: _read_facts(plain, digest))
        else:
            sql, facts = _time(lambda: _read_facts(plain, digest))
            ours, response = _time(lambda: cache.get(token, UserCacheQuestion()))
        assert f'"Busy {number}"'.encode() in response.body and facts[0][0][4] == f"Busy {number}"
        assert len(facts[4]) == GRANTS
        ratios.append(ours / sql)
        times.append(ours * 1000)
    gc.enable()
    plain.close()
    writer.close()
    reader.close()
    return median(ratios), median(times)


def _time(call: Callable[[], Result]) -> tuple[float, Result]:
    """The seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _read_facts(connection: sqlite3.Connection, digest: bytes) -> list[list[tuple[object, ...]]]:
    """What the answer is made of, read in one transaction; the module keeps the prepared statements."""
    connection.execute("BEGIN")
    for statement in _CHANGES:
        connection.execute(statement).fetchall()
    owners = connection.execute(_TOKEN, (digest,)).fetchall()
    parameters = {"principal": owners[0][0]}
    facts = [connection.execute(statement, parameters).fetchall() for statement in _FACTS]
    connection.execute("COMMIT")
    return [owners, *facts]
