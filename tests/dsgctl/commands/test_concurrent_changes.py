"""An answer reports what its own change wrote, whatever another command does just before it or just after it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dsgctl.core import transaction
from dsgctl.core.transaction import begin_change
from tests.dsgctl.commands.world import World


def _run_around(monkeypatch: pytest.MonkeyPatch, *, before: Callable[[], Any], after: Callable[[], Any]) -> None:
    """Run something once before the next change begins, and something once after it is committed."""

    @contextmanager
    def begin(*arguments: Any, **options: Any) -> Iterator[Any]:
        monkeypatch.setattr(transaction, "begin_change", begin_change)
        before()
        with begin_change(*arguments, **options) as change:
            yield change
        after()

    monkeypatch.setattr(transaction, "begin_change", begin)


@pytest.mark.parametrize(
    ("line", "deletion"),
    [
        ("user disable bo@example.org", "user remove bo@example.org -y"),
        ("user add new@example.org", "user remove new@example.org -y"),
        ("dataset add new --public", "dataset remove new -y"),
        ("dataset set fish2 --public", "dataset remove fish2 -y"),
        ("dataset version add fish2 v9 --public", "dataset remove fish2 -y"),
        ("dataset version set fish2 v1.2 --ordinal 7 --public", "dataset remove fish2 -y"),
        ("group member add lab-1 bo@example.org", "group remove lab-1 -y"),
        ("grant add fly edit --user ada@example.org", "dataset remove fly -y"),
        ("service set neuprint --mode dag", "service remove neuprint -y"),
        ("service translation add neuprint new fish2", "dataset remove fish2 -y"),
        ("service table add datastack new fish2", "dataset remove fish2 -y"),
        ("client disable atlas", "client remove atlas -y"),
        ("client set atlas --origin https://new.example.org", "client remove atlas -y"),
        ("service-account add new", "service-account remove new -y"),
    ],
)
def test_a_change_succeeds_though_its_row_is_deleted_right_after_it(
    filled: World, monkeypatch: pytest.MonkeyPatch, line: str, deletion: str
) -> None:
    deletions = []
    _run_around(
        monkeypatch,
        before=lambda: None,
        after=lambda: deletions.append(filled.run(*deletion.split()).ok()),
    )
    result = filled.quick(*line.split(), "-o", "json").ok()
    assert json.loads(result.out)["changed"] is True
    assert deletions


@pytest.mark.parametrize(
    ("noun", "name", "option"),
    [
        ("user", "bo@example.org", "--user"),
        ("group", "lab-1", "--group"),
        ("service-account", "nightly-export", "--service-account"),
    ],
)
def test_a_removal_reports_what_it_deleted_not_what_there_was_when_it_asked(
    filled: World, monkeypatch: pytest.MonkeyPatch, noun: str, name: str, option: str
) -> None:
    filled.quick("dataset", "add", "latest").ok()
    _run_around(
        monkeypatch,
        before=lambda: filled.run("grant", "add", "latest", "view", option, name).ok(),
        after=lambda: None,
    )
    result = filled.quick(noun, "remove", name, "-y", "-o", "json").ok()
    assert "latest view" in json.loads(result.out)["grants"]
