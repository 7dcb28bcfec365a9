"""What a person may type, and what is refused: a table of each for each function."""

from collections.abc import Callable
from typing import Any

import pytest

from dsgctl.core import validation
from dsgctl.core.errors import Invalid
from tests.dsgctl.core.builders import refused
from tests.dsgctl.core.validation_cases import FAIL, OK


def _id(case: Any) -> str:
    return f"{case[0].__name__}/{ascii(case[1][0])[:40]}"


@pytest.mark.parametrize("case", OK, ids=_id)
def test_a_well_formed_value_is_returned(case: Any) -> None:
    function, values, expected = case
    assert function(*values) == expected


@pytest.mark.parametrize("case", FAIL, ids=_id)
def test_a_value_of_another_form_is_refused_in_one_line_that_says_what_is_allowed(case: Any) -> None:
    function, values = case
    with refused(Invalid):
        function(*values)


def test_an_empty_line_is_refused_unless_allowed() -> None:
    assert validation.single_line("", "name", empty=True) == ""
    with refused(Invalid, "''"):
        validation.single_line("", "name")
    with refused(Invalid):
        validation.single_line(" ", "name", empty=True)


def test_a_refusal_names_the_kind_and_the_value() -> None:
    with refused(Invalid, "'fish 2' is not a name for a dataset", "letters, digits"):
        validation.slug("fish 2", "dataset")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fish2", "'fish2'"),
        ("\x1b[2J", "'\\x1b[2J'"),
        ("a\nb", "'a\\nb'"),
        ("\u202eb", "'\\u202eb'"),
        ("\udcff", "'\\udcff'"),
        ("Zoë", "'Zoë'"),
        ("a" * 60, "'" + "a" * 60 + "'"),
        ("a" * 61, "'" + "a" * 57 + "...'"),
    ],
)
def test_an_error_shows_typed_text_shortened_and_escaped(text: str, expected: str) -> None:
    assert validation.quote(text) == expected
    assert validation.quote(text).isprintable()


@pytest.mark.parametrize("name", ["trailing ", " lead", "éditer ✓", "a/b%2F'\"", "x" * 300, "\u202eabc"])
def test_a_foreign_value_passes_every_rule_and_the_same_typed_value_none(name: str) -> None:
    foreign_name = validation.foreign(name, "name")
    rules: list[Callable[[str], str]] = [
        lambda text: validation.slug(text, "dataset"),
        lambda text: validation.single_line(text, "name"),
        validation.permission,
    ]
    for rule in rules:
        assert rule(foreign_name) == name
    with refused(Invalid):
        validation.slug(name, "dataset")
    assert (type(foreign_name + ""), type(f"{foreign_name}"), type(foreign_name.strip())) == (str, str, str), (
        "what is made of it is typed"
    )
