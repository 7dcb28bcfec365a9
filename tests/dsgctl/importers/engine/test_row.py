"""The values of a row of another system: each column is read as its type, or refused."""

from datetime import UTC, datetime
from operator import methodcaller
from typing import Any

import pytest

from dsgctl.core.errors import Invalid
from dsgctl.importers.engine.row import MAX_ID, Damaged, Row, quote_value
from tests.dsgctl.core.builders import refused

MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
READ: list[tuple[str, object, object]] = [
    ("text", "a b", "a b"),
    ("text_or_none", None, None),
    ("line", " a\tb ", "a b"),
    ("line", None, ""),
    ("words", "a\n\n b", "a b"),
    ("paragraph", "a\r\nb\rc", "a\nb\nc"),
    ("paragraph", None, ""),
    ("flag", 1, True),
    ("flag", False, False),
    ("number", -7, -7),
    ("number_or_none", None, None),
    ("moment", "2026-11-20 12:00:00", MOMENT),
    ("moment", "2026-11-20T13:00:00+01:00", MOMENT),
    ("moment", datetime(2026, 11, 20, 12), MOMENT),  # noqa: DTZ001  a driver returns it without a zone
    ("moment_or_none", None, None),
]
DAMAGED: list[tuple[str, object, str]] = [
    ("text", None, "is not text"),
    ("text", 7, "is not text"),
    ("text_or_none", b"a", "is not text"),
    ("flag", 2, "neither true nor false"),
    ("flag", "1", "neither true nor false"),
    ("number", True, "is not a number"),
    ("number", "7", "is not a number"),
    ("number_or_none", 1.5, "is not a number"),
    ("moment", "yesterday", "is not a time"),
    ("moment", "0001-01-01T00:00:00+14:00", "is not a time"),
    ("moment", None, "is not text"),
]


@pytest.mark.parametrize(("method", "value", "result"), READ)
def test_a_value_is_read_as_its_type(method: str, value: object, result: object) -> None:
    assert methodcaller(method, "column")(Row("user", {"column": value})) == result


@pytest.mark.parametrize(("method", "value", "part"), DAMAGED)
def test_a_value_of_another_type_is_damage(method: str, value: object, part: str) -> None:
    with refused(Damaged, "column", part):
        methodcaller(method, "column")(Row("user", {"column": value}))


def test_a_name_is_unchanged_and_one_that_cannot_be_stored_is_refused() -> None:
    assert Row("group", {"name": "Lab  1"}).name("name", "group name") == "Lab  1"
    with refused(Invalid, "group name") as caught:
        Row("group", {"name": "a\0"}).name("name", "group name")
    assert not isinstance(caught.value, Damaged)
    with refused(Invalid, "title"):
        Row("terms", {"name": " "}).title("name", "title")


@pytest.mark.parametrize("number", [0, -1, MAX_ID])
def test_an_id_is_a_number_that_json_can_hold(number: int) -> None:
    assert Row("user", {"id": MAX_ID - 1}).id == MAX_ID - 1
    with refused(Damaged, str(number)):
        _ = Row("user", {"id": number}).id


@pytest.mark.parametrize(
    ("row", "where"),
    [(Row("user", {"id": 7}), "user row 7"), (Row("user", {"id": 7}, "user.csv line 12"), "user.csv line 12")],
)
def test_a_row_knows_its_place(row: Row, where: str) -> None:
    assert row.where == where


@pytest.mark.parametrize(("value", "quoted"), [("a", "'a'"), (7, "7"), (None, "None")])
def test_a_value_of_any_type_is_quoted_for_a_message(value: Any, quoted: str) -> None:
    assert quote_value(value) == quoted
