"""What is printed, to a terminal, a pipe and a program: plain, whole, harmless, and as it comes."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.commands.output import FORMATS
from dsgctl.core import user_queries
from dsgctl.core.hidden_characters import has_hidden
from tests.dsgctl.commands.running import Process, Quick, execute
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World
from tests.patience import PATIENCE

CROWD = 20_000


def _crowd(database: Path, count: int) -> None:
    connection = apsw.Connection(str(database))
    with connection:
        connection.executemany(
            "INSERT INTO principals (kind, email, name, created, created_by) "
            "VALUES ('user', ?, ?, '2026-01-31T00:00:00.000000Z', 'os:test')",
            ((f"person{index}@example.org", f"Person Number {index}") for index in range(count)),
        )
    connection.close()


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


def test_a_pipe_that_closes_early_is_no_error(dsgctl: Process) -> None:
    _crowd(dsgctl.database, 5000)
    for options in ("", "-o json", "-o jsonl", "-o csv", "-o value"):
        result = dsgctl.shell(f"set +o pipefail; dsgctl user list {options} | head -1")
        assert (result.code, result.err) == (0, "")
        assert result.out.count("\n") == 1


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


# Names


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_names_that_are_not_ascii_pass_whatever_the_locale(dsgctl: Process, locale: str) -> None:
    env = {"LC_ALL": locale, "LANG": locale}
    dsgctl("user", "add", "zoe@example.org", "--name", "Zoë 李明", env=env).ok()
    answer = json.loads(dsgctl("user", "show", "zoe@example.org", "-o", "json", env=env).ok().out)
    assert answer["name"] == "Zoë 李明"
    assert "Zoë 李明" in dsgctl("user", "list", env=env).ok().out


ODD = "Zoë 李明 \U0001f469\u200d\U0001f52c \U0001f469"
# How a process may come to another encoding than UTF-8; a locale that is not installed is C.
ENCODINGS = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Latin 1": {
        "LC_ALL": "de_DE.ISO-8859-1",
        "LANG": "de_DE.ISO-8859-1",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    },
    "streams of Latin 1": {"PYTHONIOENCODING": "latin-1"},
    "streams of ASCII": {"PYTHONIOENCODING": "ascii:strict"},
}


@pytest.mark.parametrize("env", ENCODINGS.values(), ids=ENCODINGS)
def test_answers_for_programs_are_utf_8_in_every_locale(dsgctl: Process, env: dict[str, str]) -> None:
    """Arguments, names of files, what is in files and what is on standard input too."""
    terms = dsgctl.directory / "Bedingungen für 李明.md"
    terms.write_text(f"# {ODD}\n", encoding="utf-8")
    people = dsgctl.directory / "Leute für 李明.csv"
    people.write_text(f"email,name,affiliation,notes\ncy@example.org,{ODD},,\n", encoding="utf-8")
    dsgctl("user", "add", "zoe@example.org", "--name", ODD, env=env).ok()
    dsgctl("dataset", "add", "fish2", env=env).ok()
    dsgctl("terms", "add", ODD, "--file", terms.name, env=env).ok()
    dsgctl("terms", "add", "from a pipe", "--file", "-", input=f"# {ODD}\n", env=env).ok()
    dsgctl("import", "csv", people.name, "--dataset", "fish2", "-o", "json", env=env).ok()
    (stored,) = execute(dsgctl.database, "SELECT DISTINCT name FROM principals")
    assert stored == (ODD,)
    for number in ("1", "2"):
        assert json.loads(dsgctl("terms", "show", number, "-o", "json", env=env).ok().out)["text"] == f"# {ODD}\n"
    listed = json.loads(dsgctl("user", "list", "-o", "json", env=env).ok().out)
    assert [row["name"] for row in listed] == [ODD, ODD]
    lines = dsgctl("user", "list", "-o", "jsonl", env=env).ok().out.splitlines()
    assert [json.loads(line)["name"] for line in lines] == [ODD, ODD]
    rows = csv.DictReader(io.StringIO(dsgctl("user", "list", "-o", "csv", env=env).ok().out))
    assert [row["name"] for row in rows] == [ODD, ODD]
    assert dsgctl("terms", "list", "-o", "value", env=env).ok().out
    error = dsgctl("group", "show", "für 李明", "-o", "json", env=env)
    assert json.loads(error.err)["error"] == "there is no group 'für 李明'"


def test_an_argument_that_is_not_utf_8_is_refused_in_every_locale(dsgctl: Process) -> None:
    for env in ({}, *ENCODINGS.values()):
        with dsgctl.start("group", "add", b"Zo\xeb", env=dsgctl.environment(**env)) as process:
            assert process.stderr
            message = process.stderr.read()
        assert (process.returncode, b"is not UTF-8 text" in message) == (2, True), (env, message)


def test_a_terminal_that_cannot_show_a_name_gets_it_escaped(dsgctl: Process) -> None:
    dsgctl("user", "add", "zoe@example.org", "--name", "Zoë").ok()
    assert "Zo\\xeb" in dsgctl("user", "list", env={"PYTHONIOENCODING": "ascii"}).ok().out


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
    assert filled.quick("user", "list").out.count("\n") == 5
    answer = json.loads(filled.quick("user", "show", "bo@example.org", "-o", "json").ok().out)
    assert answer["name"] == evil


def test_several_lines_of_notes_stay_lines(filled: World) -> None:
    filled.quick("user", "set", "ada@example.org", "--note", "first\nsecond").ok()
    shown = filled.quick("user", "show", "ada@example.org").ok().out
    lines = [line for line in shown.splitlines() if "first" in line or "second" in line]
    assert len(lines) == 2
    assert lines[0].index("first") == lines[1].index("second")


def test_wide_letters_keep_the_columns_aligned(quick: Quick) -> None:
    from rich.cells import cell_len

    for name in ("李明", "Ada"):
        quick("group", "add", name).ok()
    lines = quick("group", "list").ok().out.splitlines()
    assert len({cell_len(line.rstrip()) for line in lines[1:]}) == 1


# Long answers


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Process:
    directory = tmp_path_factory.mktemp("crowd")
    database = directory / "dsg.sqlite3"
    database.write_bytes(empty_database.read_bytes())
    _crowd(database, CROWD)
    return Process(directory, database)


# The high-water mark of the process itself: rusage of a child would count the parent's memory, at the fork, as its own.
_MEASURED = """
import atexit, sys
from dsgctl.commands import main
atexit.register(lambda: print(next(line for line in open("/proc/self/status") if "VmHWM" in line), file=sys.stderr))
sys.argv[0] = "dsgctl"
main()
"""


def _peak(here: Process, *words: str) -> int:
    """Megabytes."""
    process = subprocess.run(
        [sys.executable, "-W", "default", "-c", _MEASURED, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
        cwd=here.directory,
        env=here.environment(PYTHONWARNINGS=""),
        timeout=PATIENCE,
    )
    return int(process.stderr.split(b"VmHWM:")[1].split()[0]) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_a_list_of_everybody_takes_hardly_more_memory_than_of_one(crowd: Process, format_: str) -> None:
    single = _peak(crowd, "user", "list", "--limit", "1", "-o", format_)
    everybody = _peak(crowd, "user", "list", "-o", format_)
    assert everybody - single < 30


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv", "value"])
def test_a_long_list_begins_before_it_is_all_there(
    crowd: Process, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in rows, not in seconds: how many were read when the first bytes were written."""
    rows_read = 0
    first_written_after: list[int] = []
    list_users = user_queries.list_users

    def count_rows(*arguments: Any, **options: Any) -> Iterator[dict[str, Any]]:
        nonlocal rows_read
        for row in list_users(*arguments, **options):
            rows_read += 1
            yield row

    class Pipe(io.BytesIO):
        def write(self, data: Any) -> int:
            first_written_after.append(rows_read)
            return super().write(data)

    monkeypatch.setattr(user_queries, "list_users", count_rows)
    answer = Quick(crowd.directory, crowd.database)("user", "list", "-o", format_, stdout=Pipe()).ok().out
    assert rows_read == CROWD
    assert first_written_after[0] < CROWD / 2
    assert len(answer.splitlines()) == CROWD + {"table": 1, "json": 2, "csv": 1}.get(format_, 0)


def test_a_limit_is_quick_and_exact(crowd: Process) -> None:
    quick = Quick(crowd.directory, crowd.database)
    assert quick("user", "list", "--limit", "3", "-o", "value").ok().out.split() == [
        f"person{index}@example.org" for index in range(3)
    ]
    assert quick("user", "list", "--search", "Number 19999", "-o", "value").ok().out == "person19999@example.org\n"


def test_the_whole_list_is_one_valid_answer_in_every_format(crowd: Process) -> None:
    quick = Quick(crowd.directory, crowd.database)
    assert len(json.loads(quick("user", "list", "-o", "json").ok().out)) == CROWD
    assert len(quick("user", "list", "-o", "csv").ok().out.splitlines()) == CROWD + 1


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


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1", "=cmd|' /C calc'!A0"])
def test_stored_text_is_no_formula_in_a_spreadsheet(filled: World, name: str) -> None:
    filled.quick("user", "set", "ada@example.org", "--name", name).ok()
    rows = csv.DictReader(io.StringIO(filled.quick("user", "list", "-o", "csv").ok().out))
    assert next(row["name"] for row in rows if row["email"] == "ada@example.org") == f"'{name}"
    assert name in filled.quick("user", "list", "-o", "jsonl").ok().out  # programs get what is stored
