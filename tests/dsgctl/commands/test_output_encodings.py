"""Names that are not ASCII, in every locale and on every terminal."""

import csv
import io
import json

import pytest

from tests.dsgctl.commands.running import Process, Quick, execute

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


def test_wide_letters_keep_the_columns_aligned(quick: Quick) -> None:
    from rich.cells import cell_len

    for name in ("李明", "Ada"):
        quick("group", "add", name).ok()
    lines = quick("group", "list").ok().out.splitlines()
    assert len({cell_len(line.rstrip()) for line in lines[1:]}) == 1
