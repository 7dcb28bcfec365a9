"""No answer has what a terminal acts on, what hides, or a formula of a spreadsheet."""

import csv
import io
import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dsgctl.commands.formats import format_csv_cell, format_csv_row
from dsgctl.commands.output import FORMATS
from dsgctl.core.hidden_characters import has_hidden
from tests.dsgctl.commands.running import execute
from tests.dsgctl.commands.world import World


def test_control_characters_in_the_database_are_shown_escaped(filled: World) -> None:
    """Such as an older system let in, or somebody with the sqlite3 shell."""
    evil = "Eve\x1b[2J\x07\r\n\u202egro"
    execute(filled.database, "UPDATE principals SET name = ?, notes = ? WHERE email = 'bo@example.org'", evil, evil)
    execute(filled.database, "UPDATE groups SET name = ? WHERE name = 'lab-1'", evil)
    execute(filled.database, "UPDATE grants SET granted_by = ?", evil)
    execute(filled.database, "UPDATE terms SET name = ?", evil)
    execute(filled.database, "UPDATE tokens SET description = ?", evil)
    for line in (
        "user list",
        "user show bo@example.org",
        "group list",
        "grant list",
        "terms list",
        "token list",
        "access explain ada@example.org fish2",
        "access explain bo@example.org fly",
        "access show ada@example.org",
        "access who fish2",
        "export --grants",
        "terms pending",
        "terms show 1",
        "token show 1",
        "dataset show fish2",
        "dataset list",
        "user remove ada@example.org --dry-run",
        "user remove ada@example.org",
    ):
        result = filled.quick(*line.split())
        for mark in ("\x1b", "\x07", "\r", "\u202e"):
            assert mark not in result.out + result.err, (line, result)
    assert "Eve\\x1b[2J\\x07\\r\\n\\u202egro" in filled.quick("user", "list").out
    assert filled.quick("user", "list").out.count("\n") == 6
    answer = json.loads(filled.quick("user", "show", "bo@example.org", "-o", "json").ok().out)
    assert answer["name"] == evil


def test_several_lines_of_notes_stay_lines(filled: World) -> None:
    filled.quick("user", "set", "ada@example.org", "--note", "first\nsecond").ok()
    shown = filled.quick("user", "show", "ada@example.org").ok().out
    lines = [line for line in shown.splitlines() if "first" in line or "second" in line]
    assert len(lines) == 2
    assert lines[0].index("first") == lines[1].index("second")


ACTING = (
    "\x1b[2J",
    "\x07",
    "\x7f",
    "\x85",
    "\x9b31m",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u2060",
    "\ufeff",
    "\xad",
    "\u2028",
    "\U000e0041",
    "a\u200d",
    "a\ufe0f",
)


@pytest.mark.parametrize("format_", FORMATS)
def test_no_format_prints_what_a_terminal_acts_on_or_hides(filled: World, format_: str) -> None:
    name = f"{'ë'.join(ACTING)}ë"
    execute(filled.database, "UPDATE groups SET name = ?", name)
    execute(filled.database, "UPDATE principals SET name = ?, notes = ?", name, f"{name}\nlast")
    execute(filled.database, "UPDATE tokens SET description = ?", name)
    for line in (
        "group list",
        "user show ada@example.org",
        "user list",
        "token list",
        "token show 1",
        "access explain ada@example.org fish2",
        "user remove ada@example.org --dry-run",
        "user offboard ada@example.org",
    ):
        result = filled.quick(*line.split(), "-o", format_)
        assert not has_hidden(result.out + result.err, allowed="\n")
        if format_ == "json" and line == "group list":
            assert json.loads(result.out)[0]["name"] == name


def test_errors_questions_and_hints_escape_control_characters(filled: World) -> None:
    evil = "lab\x1b]0;title\x07\u202e\u200b"
    for words in (
        ("group", "show", evil),
        ("user", "add", evil),
        ("nonsense" + evil,),
        ("user", "list", evil),
        ("user", "list", "--" + evil),
        ("user", "list", "-o", evil),
        ("--env-file", evil, "user", "list"),
        ("terms", "add", "T", "--file", evil),
        ("apply", evil),
        ("import", "csv", evil, "--dataset", "fish2"),
        ("db", "restore", evil),
    ):
        result = filled.quick(*words)
        assert result.code != 0
        assert not has_hidden(result.out + result.err, allowed="\n"), words


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1", "'\uff1d1"),
        (" =1", "' =1"),
        ("\t=1", "'\t'=1"),
        ("\n=1", "'\n'=1"),
        ('"=1', "'\"=1"),
        ("'=1", "''=1"),
        ("\u3000=1", "'\u3000=1"),
        ("a;=1", "a;'=1"),
        ("a; =1", "a;' =1"),
        ('a";"=1', 'a";\'"=1'),
        ("a\n=1", "a\n'=1"),
        ("a\t@x", "a\t'@x"),
        ("a;\uff1dx", "a;'\uff1dx"),
        ("a;;-x;=y", "a;;'-x;'=y"),
        ("a=1", "a=1"),
        ("a; b=1", "a; b=1"),
        ("", ""),
        ("ada@example.org", "ada@example.org"),
        ("2026-01-31", "2026-01-31"),
        ("gs://b/x;y", "gs://b/x;y"),
    ],
    ids=ascii,
)
def test_a_cell_of_csv_is_no_formula_whatever_the_separator(filled: World, text: str, cell: str) -> None:
    execute(filled.database, "UPDATE principals SET notes = ? WHERE email = 'ada@example.org'", text)
    rows = csv.DictReader(
        io.StringIO(filled.quick("user", "show", "ada@example.org", "-o", "csv").ok().out, newline="")
    )
    assert next(rows)["notes"] == cell
    for separator in ";\t":
        for line in csv.reader(io.StringIO(cell), delimiter=separator, quoting=csv.QUOTE_NONE):
            assert not [
                part
                for part in line
                if part.strip().strip("\"'").strip()[:1] in tuple("=+-@\uff1d") and not part.strip().startswith("'")
            ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1", "=cmd|' /C calc'!A0"])
def test_stored_text_is_no_formula_in_a_spreadsheet(filled: World, name: str) -> None:
    filled.quick("user", "set", "ada@example.org", "--name", name).ok()
    rows = csv.DictReader(io.StringIO(filled.quick("user", "list", "-o", "csv").ok().out))
    assert next(row["name"] for row in rows if row["email"] == "ada@example.org") == f"'{name}"
    assert name in filled.quick("user", "list", "-o", "jsonl").ok().out  # programs get what is stored


# Pieces of cells: beginnings of formulas, what separates cells in another locale, what hides, and what does not.
PIECES = (
    "=1",
    "+",
    "-2",
    "@a",
    "\uff1d",
    ";",
    "\t",
    "\n",
    "\r",
    '"',
    "'",
    " ",
    "\u3000",
    "\u200b",
    "\u0915\u200c\u0937",
)
PIECES += ("a", "Zoë", ",", "\x1b", "")


def test_a_row_has_the_cells_that_each_value_gives() -> None:
    texts = ["".join(pieces) for pieces in itertools.product(PIECES, repeat=2)]
    texts += ["".join(pieces) for pieces in itertools.product(PIECES[:12], repeat=3)]
    values: list[Any] = [*texts, None, True, 7, datetime(2027, 1, 31, tzinfo=UTC), ["=1", "b"], {"a": 1}]
    for neighbour in ("", "x", "'"):
        for value in values:
            row = [neighbour, value, neighbour]
            assert format_csv_row(row) == [format_csv_cell(cell) for cell in row], row
