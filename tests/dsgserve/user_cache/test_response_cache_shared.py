"""Answers that are the same for every token: kept until anybody commits, and never an older one after that."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgctl.store.models import Principal
from dsgserve.user_cache.question import Content, MustBuild, Question
from dsgserve.user_cache.response_cache import ResponseCache


@dataclass(frozen=True)
class CountQuestion(Question):
    """How many audit records there are: a number that moves no revision."""

    reads: list[int] = field(default_factory=list, compare=False)
    during: list[object] = field(default_factory=list, compare=False)  # functions to call while it is answered

    def build_content(self, database: Database, principal: Principal | None, at: datetime) -> Content | None:
        return Content(b"", None) if principal is not None else None

    def shared_key(self) -> str:
        return "count"

    def complete(self, database: Database, content: Content) -> Content:
        number = database.scalar("SELECT count(*) FROM audit")
        self.reads.append(number)
        for call in self.during:
            call()  # type: ignore[operator]
        self.during.clear()
        return Content(str(number).encode(), None)


@pytest.fixture
def secrets(path: Path) -> list[str]:
    writer = open_current(path)
    with begin_change(writer, "os:test") as change:
        return [tokens.mint(change, users.add(change, f"{name}@x.org")[0])[1] for name in ("ana", "bea")]


def commit(path: Path) -> None:
    writer = open_current(path)
    with begin_change(writer, "os:test") as change:
        change.record("test", "nothing")
    writer.close()


def ask(cache: ResponseCache, token: str, question: CountQuestion) -> int:
    """The answer of the event loop, else of a worker."""

    def look_up(*, build: bool) -> int:
        response = cache.get(token, question, build=build)
        assert response.problem is None and response.content is not None
        return int(cache.complete(question, response.content, build=build).body)

    if cache.is_current():
        with suppress(MustBuild):
            return look_up(build=False)
    return look_up(build=True)


def test_one_read_answers_every_token_until_a_commit(database: Database, path: Path, secrets: list[str]) -> None:
    cache, question = ResponseCache(database), CountQuestion()
    first = ask(cache, secrets[0], question)
    ask(cache, secrets[1], question)  # the token is checked
    reads = len(question.reads)
    assert [ask(cache, token, question) for token in secrets * 2] == [first] * 4
    assert len(question.reads) == reads
    commit(path)
    assert [ask(cache, token, question) for token in secrets * 2] == [first + 1] * 4
    assert len(question.reads) == reads + 1


def test_an_answer_that_others_overtake_is_not_kept(database: Database, path: Path, secrets: list[str]) -> None:
    """The event loop sees a commit before the answer that was read before it is put into the cache."""
    cache, question = ResponseCache(database), CountQuestion()

    def overtake() -> None:
        commit(path)
        assert cache.is_current(), "the event loop sees the commit"

    ask(cache, secrets[1], question)
    commit(path)
    question.during.append(overtake)
    before = ask(cache, secrets[0], question)
    assert ask(cache, secrets[0], question) == before + 1
