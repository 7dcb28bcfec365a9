"""The filter refuses no token that exists, whatever other threads do at the same moment."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database, StoreError
from dsgctl.store.migrations import open_current
from dsgserve.user_cache import token_filter
from dsgserve.user_cache.question import MustBuild
from dsgserve.user_cache.token_filter import TokenFilter


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


@pytest.fixture
def writer(path: Path) -> Iterator[Database]:
    database = open_current(path)
    yield database
    database.close()


def mint(writer: Database, name: str) -> tuple[int, bytes]:
    """The owner, who is new, and the hash of a token."""
    with begin_change(writer, "os:test") as change:
        owner, _ = users.add(change, f"{name}@x.org")
        return owner.id, digest_of(tokens.mint(change, owner)[1])


def test_tokens_are_read_when_an_unknown_one_is_presented(database: Database, writer: Database) -> None:
    _, known = mint(writer, "ana")
    unknown = digest_of("nobody")
    filter_ = TokenFilter(database)
    with pytest.raises(MustBuild):
        filter_.may_contain(known, build=False)
    assert filter_.may_contain(known, build=True)
    assert not filter_.may_contain(unknown, build=False), "all tokens are read"
    owner, later = mint(writer, "bea")
    filter_.note_changes({owner})
    assert filter_.may_contain(known, build=False), "a set bit needs no reading"
    for digest in (unknown, later):
        with pytest.raises(MustBuild):
            filter_.may_contain(digest, build=False)
    assert filter_.may_contain(later, build=True)
    assert not filter_.may_contain(unknown, build=False)


def test_what_could_not_be_read_is_read_the_next_time(
    database: Database, writer: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, digest = mint(writer, "ana")
    filter_ = TokenFilter(database)
    filter_.may_contain(b"", build=True)
    owner, digest = mint(writer, "bea")
    filter_.note_changes({owner})

    def fail(*arguments: object) -> None:
        raise StoreError("the disk reports an error", "check the disk")

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(token_filter.tokens, "list_hashes", fail)
        filter_.may_contain(digest, build=True)
    assert filter_.may_contain(digest, build=True)


def test_a_thread_that_finds_nothing_to_read_waits_for_the_one_that_reads(
    database: Database, writer: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, digest = mint(writer, "ana")
    filter_ = TokenFilter(database)
    reading, go_on = threading.Event(), threading.Event()
    list_hashes = tokens.list_hashes

    def read_slowly(*arguments: object) -> object:
        reading.set()
        go_on.wait()
        return list_hashes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(token_filter.tokens, "list_hashes", read_slowly)
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(filter_.may_contain(digest, build=True))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    reading.wait()
    with pytest.raises(MustBuild):  # the event loop does not wait
        filter_.may_contain(digest, build=False)
    go_on.set()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_a_new_token_is_never_refused_while_others_present_unknown_ones(database: Database, writer: Database) -> None:
    filter_ = TokenFilter(database)
    stop = threading.Event()

    def present_unknown() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with suppress(MustBuild):
                filter_.may_contain(digest_of(f"nobody {number}"), build=bool(number % 2))

    threads = [threading.Thread(target=present_unknown) for _ in range(4)]
    for thread in threads:
        thread.start()
    refused = []
    for number in range(150):
        owner, digest = mint(writer, f"p{number}")
        filter_.note_changes({owner})
        if not filter_.may_contain(digest, build=True):
            refused.append(number)
    stop.set()
    for thread in threads:
        thread.join()
    assert not refused
