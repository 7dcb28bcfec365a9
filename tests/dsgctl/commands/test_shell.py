"""What surrounds a command: a quick start, completion, who is said to have done it, and many at once."""

import json
import os
import subprocess
import sys

import pytest

from dsgctl.commands import NOUNS
from tests.dsgctl.commands.running import Process, Quick
from tests.dsgctl.commands.world import World
from tests.patience import PATIENCE

HEAVY = ("peewee", "apsw", "rich", "requests", "sqlite3", "google", "bottle", "waitress")


# Start


def _list_imports(dsgctl: Process, *words: str) -> set[str]:
    """The modules that a command runs. Those that it would run at their first use (imports_on_use.py) do not count."""
    script = (
        f"import sys; sys.argv = ['dsgctl', *{words}]; from dsgctl.commands import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "names = [name for name, module in sys.modules.items() if type(module).__name__ != '_LazyModule']\n"
        "print(*names, sep='\\n', file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=dsgctl.environment())
    return set(process.stderr.decode().split())


def _list_own(modules: set[str]) -> set[str]:
    return {name.removeprefix("dsgctl.") for name in modules if name.startswith("dsgctl.")}


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_version_and_help_import_nothing_but_what_parses_words(dsgctl: Process, words: list[str]) -> None:
    modules = _list_imports(dsgctl, *words)
    assert not modules & {*HEAVY, "dataclasses", "json", "logging", "hashlib"}
    assert _list_own(modules) == {"commands", "commands.invocation", "commands.streams", "release"}


@pytest.mark.parametrize("output_format", ["json", "csv", "table"])
def test_a_list_of_datasets_starts_without_what_only_changes_need(filled: World, output_format: str) -> None:
    """Neither peewee nor what it imports: each of these costs as much as a tenth of the start."""
    modules = _list_imports(filled.run, "dataset", "list", "-o", output_format)
    heavy = {*HEAVY, "logging", "hashlib", "socket", "decimal", "tempfile", "secrets", "importlib.resources"} - {"apsw"}
    assert not modules & (heavy if output_format != "table" else heavy - {"rich"})
    own = _list_own(modules)
    assert {name for name in own if name.startswith("core.")} == {
        "core.clock",
        "core.dataset_list",
        "core.errors",
        "core.hidden_characters",
        "core.row_streams",
        "core.rules",
        "core.rules.levels",
        "core.validation",
    }
    assert not own & {"store.models", "store.queries", "store.sqlite.query_runner"}
    assert ("commands.tables" in own) == (output_format == "table")


def test_an_answer_for_a_program_does_not_wait_for_rich(filled: World) -> None:
    modules = _list_imports(filled.run, "user", "list", "-o", "json")
    assert not modules & {"rich", "requests", "google", "bottle", "waitress"}


def test_the_version_is_the_program_s(dsgctl: Process) -> None:
    from dsgctl import __version__

    assert dsgctl("--version").ok().out == f"dsgctl {__version__}\n"


# Completion


@pytest.mark.parametrize(
    ("shell", "mark"),
    [
        ("bash", "complete -o nosort -F _dsgctl_completion dsgctl"),
        ("zsh", "#compdef dsgctl"),
        ("fish", "complete --no-files --command dsgctl"),
    ],
)
def test_completion_prints_a_script(quick: Quick, shell: str, mark: str) -> None:
    result = quick("completion", shell).ok()
    assert mark in result.out
    assert result.err == ""


def test_bash_takes_the_script(filled: World) -> None:
    """A line is completed as bash does it, by the function that the script defines."""
    line = (
        "source <(dsgctl completion bash) && COMP_WORDS=(dsgctl dataset show f) COMP_CWORD=3 && "
        '_dsgctl_completion dsgctl f show && printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert filled.run.shell(line).ok().out.split() == ["fish2", "fly"]


def _complete(quick: Quick, words: str, *, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("_DSGCTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    result = quick()
    assert (result.code, result.err) == (0, "")
    return [line.partition(",")[2] for line in result.out.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        ("dsgctl us", ["user"]),
        ("dsgctl s", ["service", "service-account", "setup", "status", "shell"]),
        ("dsgctl --v", ["--version"]),
        ("dsgctl user ", ["add", "disable", "enable", "list", "offboard", "remove", "set", "show"]),
        ("dsgctl group member ", ["add", "remove"]),
        ("dsgctl user list --in", ["--inactive-for"]),
        ("dsgctl user list -o j", ["json", "jsonl"]),
        ("dsgctl dataset show ", ["fish2", "fly"]),
        ("dsgctl dataset remove fi", ["fish2"]),
        ("dsgctl grant add f", ["fish2", "fly"]),
        ("dsgctl grant add fish2 view --group ", ["lab-1"]),
        ("dsgctl grant add fish2 view --service-account n", ["nightly-export"]),
        ("dsgctl token mint --service-account ", ["nightly-export"]),
        ("dsgctl access who ", ["fish2", "fly"]),
        ("dsgctl completion ", ["bash", "zsh", "fish"]),
        ("dsgctl dataset show x", []),
    ],
)
def test_completion_yields_words_and_names(
    filled: World, words: str, candidates: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _complete(filled.quick, words, monkeypatch=monkeypatch) == candidates


def test_completion_yields_every_noun(filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _complete(filled.quick, "dsgctl ", monkeypatch=monkeypatch) == list(NOUNS)


def test_completion_without_a_database_is_silent(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    quick.database.unlink()
    assert _complete(quick, "dsgctl dataset show ", monkeypatch=monkeypatch) == []
    assert _complete(quick, "dsgctl --env-file /no/such dataset show ", monkeypatch=monkeypatch) == []
    assert not quick.database.exists()


def test_completion_of_nouns_loads_none_of_them(filled: World) -> None:
    env = {
        "_DSGCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "dsgctl ",
        "COMP_CWORD": "1",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    result = filled.run(env=env)
    assert result.code == 0
    assert "dsgctl.commands.users" not in result.err
    assert "peewee" not in result.err


# Who did it


def _last_actor(here: Process) -> str:
    record = json.loads(here("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    return str(record["actor"])


def test_the_actor_is_the_user_of_the_operating_system_through_sudo_too(dsgctl: Process) -> None:
    import pwd

    me = pwd.getpwuid(os.getuid()).pw_name
    dsgctl("group", "add", "a", env={"USER": "somebody-else", "LOGNAME": "somebody-else"}).ok()
    assert _last_actor(dsgctl) == f"os:{me}"
    dsgctl("group", "add", "b", env={"SUDO_USER": "grace"}).ok()
    assert _last_actor(dsgctl) == f"os:grace as {me}"
    dsgctl("group", "add", "c", env={"SUDO_USER": me}).ok()
    assert _last_actor(dsgctl) == f"os:{me}"
    dsgctl("group", "add", "d", env={"SUDO_USER": "gr\x1b[31mace"}).ok()
    assert _last_actor(dsgctl) == f"os:{me}"
    assert dsgctl("audit", "list", "--actor", "grace", "-o", "value").ok().out == "2\n"


def test_the_granter_of_a_grant_is_the_actor(filled: World) -> None:
    filled.run("grant", "add", "fly", "edit", "--group", "lab-1", env={"SUDO_USER": "grace"}).ok()
    rows = json.loads(filled.quick("grant", "list", "--dataset", "fly", "--group", "lab-1", "-o", "json").ok().out)
    assert rows[0]["granted_by"].startswith("os:grace as ")


# Many at once


def test_many_processes_that_add_at_once_all_succeed(dsgctl: Process) -> None:
    running = [dsgctl.start("user", "add", f"person{number}@example.org", "-o", "value") for number in range(8)]
    ids = []
    for process in running:
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, b"")
        ids.append(int(out))
    assert sorted(ids) == list(range(1, 9))
    assert len(dsgctl("user", "list", "-o", "value").ok().out.split()) == 8
    dsgctl("db", "check").ok()


def test_many_processes_that_add_the_same_make_one(dsgctl: Process) -> None:
    running = [dsgctl.start("user", "add", "ada@example.org", "-o", "json") for _ in range(4)]
    answers = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert sorted(answer["changed"] for answer in answers) == [False, False, False, True]
