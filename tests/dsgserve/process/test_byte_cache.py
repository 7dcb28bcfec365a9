"""Caches are bounded in bytes, whatever is sent and however large the database is."""

import random
import sys
from pathlib import Path

import pytest

from dsgctl.core import datasets, grants, terms, tokens, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database, StoreError
from dsgserve.process.byte_cache import ByteCache
from dsgserve.user_cache import last_used, response_cache
from dsgserve.user_cache.endpoint import UserCacheQuestion
from dsgserve.user_cache.last_used import LastUsed
from dsgserve.user_cache.response_cache import ResponseCache


def test_the_oldest_entries_are_evicted_first_and_the_size_is_that_of_the_rest() -> None:
    entries: ByteCache[int, str] = ByteCache(1000, lambda key, text: len(text))
    chance = random.Random(7)
    newest: dict[int, str] = {}
    for _ in range(5000):
        key, text = chance.randrange(200), "x" * chance.choice((0, 1, 50, 300, 999, 1000, 1001))
        entries.put(key, text)
        newest.pop(key, None)
        if len(text) <= 1000:
            newest[key] = text
        assert entries.bytes == sum(map(len, entries.values())) <= 1000
        assert list(entries.items()) == list(newest.items())[-len(entries) :] or not entries
        newest = dict(entries)


def test_the_number_of_entries_is_bounded() -> None:
    entries: ByteCache[int, str] = ByteCache(1000, lambda key, text: len(text), max_entries=2)
    for key in (1, 2, 1, 3):
        entries.put(key, "x")
    assert list(entries) == [1, 3]


@pytest.fixture
def secrets(database: Database) -> list[str]:
    """Tokens of twenty people where 300 public datasets have terms, so that an answer is long."""
    with begin_change(database, "os:test") as change:
        for number in range(300):
            datasets.add(change, f"dataset{number:03}", public=True)
            terms.add(change, f"terms of {number:03} " + "x" * 100, "Be kind.", dataset=f"dataset{number:03}")
        people = [users.add(change, f"user{number}@example.org")[0] for number in range(20)]
        grants.add(change, principal_subject(people[0]), Target("dataset000", "view"))
        return [tokens.mint(change, person)[1] for person in people]


def test_cached_responses_are_bounded_in_bytes(
    database: Database, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    length = len(ResponseCache(database).get(secrets[0], UserCacheQuestion()).body)
    assert length > 50_000
    monkeypatch.setattr(response_cache, "MAX_BYTES", 5 * length)
    cache = ResponseCache(database)
    for secret in secrets * 2:
        cache.get(secret, UserCacheQuestion())
        assert cache._responses.bytes <= 5 * length
    assert len(cache._responses) == 4
    size = sum(sys.getsizeof(response.body) for response in cache._responses.values())
    assert size <= cache._responses.bytes
    last = cache.get(secrets[-1], UserCacheQuestion())
    assert cache.get(secrets[-1], UserCacheQuestion()) is last, "it was built anew"
    for number in range(1000):
        cache.get(secrets[0], UserCacheQuestion(f"no service {number}"))
    assert len(cache._responses) <= 4, "an unknown service has an entry of its own"


def test_the_number_of_queries_does_not_depend_on_the_number_of_public_datasets(
    database: Database, secrets: list[str]
) -> None:
    statements: list[str] = []
    connection = database._db.connection()
    connection.exec_trace = lambda cursor, sql, bindings: statements.append(sql) or True
    try:
        ResponseCache(database).get(secrets[0], UserCacheQuestion())
    finally:
        connection.exec_trace = None
    assert 0 < len(statements) < 30


def test_uses_that_cannot_be_written_are_bounded(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_used, "MAX_TOKENS", 10)

    def refuse(*_: object) -> None:
        raise StoreError("the disk is full", "make room")

    monkeypatch.setattr(last_used.tokens, "record_uses", refuse)
    uses = LastUsed(database)
    for number in range(1000):
        uses.note(number)
        if number % 7 == 0:
            uses.write()
        assert len(uses._minutes) <= 10
    uses.write()
    assert sorted(uses._unwritten) == list(range(990, 1000))
