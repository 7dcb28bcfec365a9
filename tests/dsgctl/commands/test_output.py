"""What is printed, to a terminal, a pipe and a program: plain, whole, harmless, and as it comes."""

import json

import pytest

from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World

# Terminals and pipes


def test_output_to_a_pipe_has_no_escape_codes(filled: World) -> None:
    for line in ("user list", "access explain ada@example.org fish2", "grant list", "user show nobody@example.org"):
        result = filled.run(*line.split(), env={"TERM": "xterm-256color", "COLORTERM": "truecolor"})
        assert "\x1b" not in result.out + result.err


def test_a_terminal_gets_a_table_with_every_name(filled: World) -> None:
    with on_a_terminal(filled.run, "user", "list", COLUMNS="150") as terminal:
        assert terminal.end() == 0
    assert "Ada Lovelace" in terminal.seen
    assert "ada@example.org" in terminal.seen
    assert "read only" not in terminal.seen, "a column that is empty takes room"


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_turned_off(filled: World, env: dict[str, str]) -> None:
    with on_a_terminal(filled.run, "user", "list", **env) as terminal:
        assert terminal.end() == 0
    assert "Ada" in terminal.seen
    # bold is no colour: https://no-color.org
    assert not any(f"\x1b[{code}" in terminal.seen for code in ("3", "4", "9"))
    if "TERM" in env:
        assert "\x1b" not in terminal.seen


def test_a_table_on_a_narrow_terminal_keeps_every_letter_and_word(filled: World) -> None:
    with on_a_terminal(filled.run, "user", "list", "--search", "lovelace", COLUMNS="40") as terminal:
        assert terminal.end() == 0
    assert "…" not in terminal.seen
    line = next(line for line in terminal.seen.splitlines() if "ada@example.org" in line)
    assert "Ada Lovelace" in line, "an address or a name cannot be copied whole"


TABLES = [
    "user list",
    "token list",
    "grant list",
    "group list",
    "dataset list",
    "terms list",
    "audit list",
    "service-account list",
    "dataset location list fish2",
    "access who fish2",
]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_on_a_terminal_breaks_no_word_and_keeps_ids_and_names_whole(filled: World, width: int) -> None:
    for line in TABLES:
        rows = json.loads(filled.quick(*line.split(), "-o", "json").ok().out)
        with on_a_terminal(filled.run, *line.split(), COLUMNS=str(width), TERM="dumb") as terminal:
            assert terminal.end() == 0
        shown = [text for text in terminal.seen.splitlines() if text and not text.startswith("not shown here: ")]
        for row in rows:
            whole = [str(row[key]) for key in ("id", "email", "who", "user", "group", "location") if row.get(key)]
            whole = whole[: 1 if width == 40 else 2]  # of a grant, whom it is for has no room beside its dataset
            assert any(all(part in text for part in whole) for text in shown), (line, whole, terminal.seen)
        keys = max(
            sum(len(str(row[key])) + 2 for key in row if key in ("id", "email", "who", "location", "name"))
            for row in rows
        )
        assert max(map(len, shown)) <= max(width, keys, 60 if width == 40 else 0), (line, terminal.seen)
        assert len(shown) == len(rows) + 2 or width == 40, (line, terminal.seen)


def test_a_wide_table_has_every_column_whatever_the_terminal(filled: World) -> None:
    with on_a_terminal(filled.run, "grant", "list", "-o", "wide", COLUMNS="40", TERM="dumb") as terminal:
        assert terminal.end() == 0
    columns = json.loads(filled.quick("grant", "list", "-o", "json").ok().out)[0]
    assert all(key.replace("_", " ") in terminal.seen.splitlines()[0] for key in columns)
    assert "…" not in terminal.seen
    with on_a_terminal(filled.run, "grant", "list", COLUMNS="80", TERM="dumb") as terminal:
        assert terminal.end() == 0
    assert "-o wide shows all" in terminal.seen


def test_a_closed_stdout_or_stdin_is_no_fault(filled: World) -> None:
    for line in ("dsgctl user list >&-", "dsgctl user list -o csv >&-", "dsgctl group add lab-7 >&- 2>&-"):
        assert filled.run.shell(line).code == 0
    for line in ("dsgctl token inspect <&-", "dsgctl group remove lab-7 <&-"):
        result = filled.run.shell(line)
        assert (result.code, is_one_line(result)) == (2, True)


def test_an_empty_list_is_noted_on_stderr_and_is_empty_for_programs(filled: World) -> None:
    words = ("user", "list", "--search", "nobody at all")
    assert filled.quick(*words).err == "(none)\n"
    assert json.loads(filled.quick(*words, "-o", "json").ok().out) == []
    assert filled.quick(*words, "-o", "jsonl").ok().out == ""
    assert filled.quick(*words, "-o", "value").ok().out == ""
    assert filled.quick(*words, "-o", "csv").ok().out == "id,email,name,display_name,admin,active,read_only,created\n"


# Which format an error has


@pytest.mark.parametrize(
    ("line", "is_json"),
    [
        ("dataset show json", False),
        ("dataset show -- json", False),
        ("group show jsonl", False),
        ("user add json", False),
        ("dataset show fish9 -o json", True),
        ("dataset show fish9 -ojson", True),
        ("dataset show fish9 --output json", True),
        ("dataset show fish9 --output=jsonl", True),
        ("dataset show -o json fish9", True),
        ("dataset show fish9 -o csv", False),
        ("dataset show -o value json", False),
        ("user set nobody@example.org --note -ojson", False),
        ("dataset show -- -ojson", False),
        ("user remove nobody@example.org -yo json", True),
        ("user add -o json", True),
        ("user list --no-such -o json", True),
        ("user list -o json --limit 0", True),
        ("user list --limit 0 -o json", True),
        ("nonsense json", False),
        ("user set nobody@example.org --note=-o --name json", False),
        ("user list --limit 0 --search=-ojson", False),
        ("user list -o xml", False),
        ("group show --output=json=x", False),
    ],
)
def test_an_error_is_json_exactly_if_the_answer_would_be(filled: World, line: str, is_json: bool) -> None:
    result = filled.quick(*line.split())
    assert result.code in (2, 3)
    assert result.err.startswith("{") is is_json
    if is_json:
        assert set(json.loads(result.err)) == {"error", "hint", "exit_code"}
