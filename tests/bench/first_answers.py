"""Measures the first answer to somebody after a change."""

import time
from collections.abc import Iterator
from pathlib import Path

from dsgctl.core import grants, groups, tokens, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
from dsgserve.user_cache.endpoint import UserCacheQuestion
from dsgserve.user_cache.response_cache import ResponseCache
from tests.bench.bench import LARGE, SMALL, Bench, Row, median


def first_answers(bench: Bench) -> Iterator[Row]:
    """In this process, so that the time has no part of HTTP."""
    times = {people: _time_first_answer(bench.database(people)) for people in (SMALL, LARGE)}
    yield Row("first answer after a change, 50 grants and 10 groups, ms", times[SMALL], at_most=2)
    yield Row("  with 100,000 people", times[LARGE], at_most=2)


def _time_first_answer(path: Path) -> float:
    writer, reader = open_current(path), open_current(path, read_only=True)
    name = f"busy-{time.time_ns()}"
    with begin_change(writer, "os:bench") as change:
        person, _ = users.add(change, f"{name}@example.org")
        for number in range(10):
            groups.add(change, f"{name}-{number}")
            groups.add_member(change, f"{name}-{number}", person.email)
        for number in range(50):
            grants.add(change, principal_subject(person), Target(f"set-{number}", "edit"))
        _, token = tokens.mint(change, person)
    cache, times = ResponseCache(reader), []
    cache.get(token, UserCacheQuestion())
    for number in range(50):
        with begin_change(writer, "os:bench") as change:
            users.set_attributes(change, person.email, name=f"Busy {number}")
        start = time.perf_counter()
        response = cache.get(token, UserCacheQuestion())
        times.append((time.perf_counter() - start) * 1000)
        assert f'"Busy {number}"'.encode() in response.body
    writer.close()
    reader.close()
    return median(times)
