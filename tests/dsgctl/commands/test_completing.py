"""Completion: whatever names a thing completes, in a real bash too."""

import json
import os
import pty
import select
import subprocess
import time

import click
import pytest

from dsgctl.commands.completing import FILES, LISTERS, NAMES, _Listed, let_complete, takes_existing_name
from dsgctl.commands.parameters import Name
from tests.dsgctl.commands.running import Process
from tests.dsgctl.commands.test_help import LEAVES, _all_commands
from tests.dsgctl.commands.world import World
from tests.level_table import NAMES as LEVELS
from tests.patience import PATIENCE

# What names nothing that is here already: new names, free text, moments, and what only its own system knows.
FREE = frozenset(
    {
        "actor",
        "affiliations",
        "after",
        "app_urls",
        "backup_dir",
        "database",
        "description",
        "display_name",
        "effective",
        "expires",
        "expiring",
        "inactive_for",
        "issuer",
        "limit",
        "name",
        "new_email",
        "note",
        "older_than",
        "on",
        "ordinal",
        "origin",
        "earlier_head",
        "os_user",
        "overlap",
        "pi",
        "project",
        "search",
        "since",
        "statements",
        "target",
        "viewers",
        "admin",
    }
)


def test_every_parameter_that_names_something_completes() -> None:
    completing = set()
    for path, command in _all_commands():
        if " ".join(path) not in LEAVES or path[0] == "setup":
            continue
        let_complete(command, path[-2] if len(path) > 1 else "")
        for param in command.params:
            by_type = type(param.type).shell_complete is not click.ParamType.shell_complete
            plain = not by_type and param._custom_shell_complete is None
            if plain and not getattr(param, "is_flag", False) and param.name not in FREE:
                raise AssertionError(f"{' '.join(path)}: {param.name} completes to nothing, and is not free text")
            if isinstance(param.type, _Listed) and not takes_existing_name(command, param):
                completing.add(param.name)
    assert LISTERS.keys() == completing
    assert not FREE & LISTERS.keys() & FILES


def test_the_argument_name_of_every_noun_completes() -> None:
    """A noun without a row in `NAMES` fails, unless its names have a type that completes itself."""
    nouns = set()
    for path, command in _all_commands():
        for param in command.params:
            if takes_existing_name(command, param):
                let_complete(command, path[-2])
                assert isinstance(param.type, Name), f"{' '.join(path)}: NAMES has no row for {path[-2]}"
                if isinstance(param.type, _Listed):
                    nouns.add(path[-2])
    assert NAMES.keys() == nouns, "a row of NAMES is used by no command"


def _complete(run: Process, line: str) -> list[str]:
    """What bash is offered at the end of a line."""
    words = line.split(" ")
    result = run(
        env={"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_DSGCTL_COMPLETE": "bash_complete"}
    )
    assert result.err == ""
    return [candidate.partition(",")[2] for candidate in result.out.splitlines() if candidate]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dsgctl user show a", ["ada@example.org"]),
        ("dsgctl user disable ", [f"{name}@example.org" for name in ("ada", "root", "bo", "old", "lee")]),
        ("dsgctl grant add fish2 ", [*LEVELS]),
        ("dsgctl grant add fish2 m", [name for name in LEVELS if name.startswith("m")]),
        ("dsgctl grant add fish2 view --user b", ["bo@example.org"]),
        ("dsgctl grant add fish2 view --version ", ["v1.2"]),
        ("dsgctl access explain n", ["nightly-export"]),
        ("dsgctl user offboard ada@example.org --service-accounts k", ["keep"]),
        ("dsgctl token show 2", ["2", *map(str, range(20, 23))]),
        ("dsgctl terms show ", ["1", "2", "3"]),
        ("dsgctl service remove c", ["clio"]),
        ("dsgctl service translation remove neuprint p", ["pisces"]),
        ("dsgctl service translation remove clio ", []),
        ("dsgctl service translation remove neuprint pisces --name-version ", ["r1"]),
        ("dsgctl dataset version set fish2 v1.2 --branch m", ["main"]),
        ("dsgctl service table remove datastack ", ["fish2_v1"]),
        ("dsgctl service root remove datastack fish2_v1 ", ["720575940623636701"]),
        ("dsgctl bucket set l", ["lab-data"]),
        ("dsgctl client show ", ["atlas", "viewer"]),
        ("dsgctl client set atlas --owner l", ["lee@example.org"]),
        ("dsgctl dataset location remove fish2 ", ["gs://lab-data/fish2/"]),
        ("dsgctl dataset show f", ["fish2", "fly"]),
        ("dsgctl group show l", ["lab-1"]),
        ("dsgctl user add b", ["bo@example.org"]),
        ("dsgctl group add l", []),
        ("dsgctl user show nobody", []),
        ("dsgctl dataset version remove nothing ", []),
    ],
)
def test_completion_offers_existing_names_in_order(built_world: World, line: str, offered: list[str]) -> None:
    assert _complete(built_world.run, line) == offered


@pytest.mark.parametrize(
    "line", ["dsgctl terms add T --file fi", "dsgctl import csv fi", "dsgctl import clio fi", "dsgctl apply fi"]
)
def test_files_are_left_to_the_shell(built_world: World, line: str) -> None:
    words = line.split(" ")
    out = built_world.run(
        env={"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_DSGCTL_COMPLETE": "bash_complete"}
    ).out
    assert out == "file,fi\n"


HOSTILE = (
    "a b",
    "$(touch made)",
    "`touch made`",
    "${HOME}",
    "o'n",
    'q"q',
    "back\\slash",
    "two\\\\",
    "ends\\",
    "s*r",
    ";touch made",
    "a:b",
    "#h",
    "~root",
    "!!",
    "{a,b}",
    "'; touch made; '",
    '"; touch made; "',
    "\u05e9\u05dc\u05d5\u05dd",
)


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_bash_completes_a_name_quoted_so_that_it_runs_nothing(filled: World, quote: str) -> None:
    run = filled.run
    for name in HOSTILE:
        filled.quick("group", "add", "--", name).ok()
    (filled.directory / "completion").write_text(filled.quick("completion", "bash").ok().out)
    run.shell("true")  # which makes the program
    script = """
        . ./completion
        COMP_WORDS=(dsgctl group show "$1") COMP_CWORD=3
        _dsgctl_completion dsgctl 2> /dev/null
        for offered in "${COMPREPLY[@]}"; do
            case "$1" in
                "") eval "printf '%s\\0' $offered" ;;
                *) eval "printf '%s\\0' $1$offered$1" ;;
            esac
        done
    """
    bin_ = filled.directory / "bin"
    offered = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", script, "bash", quote],
        capture_output=True,
        check=True,
        cwd=filled.directory,
        env=run.environment(PATH=f"{bin_}:{os.environ['PATH']}"),
    ).stdout.decode()
    there = json.loads(filled.quick("group", "list", "-o", "json").ok().out)
    assert sorted(offered.removesuffix("\0").split("\0")) == sorted(row["name"] for row in there)
    assert not (filled.directory / "made").exists()


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("dsgctl user show ad\t", "dsgctl user show ada@example.org"),
        ("dsgctl grant add fish2 ma\t", "dsgctl grant add fish2 manage"),
        ("dsgctl token list --user bo\t", "dsgctl token list --user bo@example.org"),
        ("dsgctl apply pol\t", "dsgctl apply policy.yaml"),
    ],
)
def test_a_real_bash_completes_the_line(filled: World, typed: str, line: str) -> None:
    run = filled.run
    run.shell("true")  # which makes the program
    (filled.directory / "completion").write_text(run("completion", "bash").ok().out)
    ours, theirs = pty.openpty()
    bin_ = filled.directory / "bin"
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=filled.directory,
        env=run.environment(PATH=f"{bin_}:{os.environ['PATH']}", TERM="dumb", PS1="> "),
    ) as bash:
        os.close(theirs)
        try:
            _say(ours, ". ./completion; bind 'set enable-bracketed-paste off'; echo read''y\n", "ready")
            part = typed.rstrip("\t")
            output = _say(ours, part, part)
            os.write(ours, b"\t")
            _say(ours, "", line, output)
        finally:
            bash.kill()
            os.close(ours)


def _say(terminal: int, text: str, until: str, before: str = "") -> str:
    """Type something, and wait for what is shown then, after what was shown before; returns the new part."""
    os.write(terminal, text.encode())
    output, end = "", time.monotonic() + PATIENCE
    while until not in before + output:
        assert time.monotonic() < end, output
        if select.select([terminal], [], [], 1)[0]:
            output += os.read(terminal, 4096).decode()
    return output
