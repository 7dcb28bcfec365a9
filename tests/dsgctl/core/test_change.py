"""An open change: its records, and what differs."""

from typing import Any

import pytest

from dsgctl.core.change import difference
from tests.dsgctl.core.builders import Run


def test_nothing_is_recorded_where_nothing_changes(run: Run) -> None:
    run(lambda change: None)
    assert run.actions() == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, ({}, {})),
        ({"a": 1, "b": 2}, {"a": 1}, ({}, {})),
        ({"a": 1, "b": 2}, {"a": 2, "b": 2}, ({"a": 1}, {"a": 2})),
        ({}, {"a": 1}, ({"a": None}, {"a": 1})),
        ({"a": 1}, {"a": None}, ({"a": 1}, {"a": None})),
        ({"a": None}, {"a": None}, ({}, {})),
    ],
)
def test_the_difference_is_what_is_new_and_what_was_there_instead(old: Any, new: Any, expected: Any) -> None:
    assert difference(old, new) == expected
