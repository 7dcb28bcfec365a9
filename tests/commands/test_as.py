"""``dsgctl --as``: what a person who is no operator may see and change; and the shell that ssh gives them."""

import json
import shlex

import pytest

from dsgctl.commands import delegated
from tests.commands.conftest import World
from tests.commands.running import dump
from tests.commands.terminal import on_a_terminal
from tests.commands.test_errors import is_one_line
from tests.commands.test_nouns import COMMANDS

ADA, BO = "ada@example.org", "bo@example.org"


@pytest.fixture
def led(filled: World) -> World:
    """ada leads lab-1 and has manage on fish2; bo is a dataset admin of fly."""
    filled.quick("grant", "add", "fish2", "manage", "--user", ADA).ok()
    filled.quick("grant", "add", "fly", "admin", "--user", BO).ok()
    filled.quick("terms", "retire", "3").ok()
    filled.quick("group", "member", "add", "lab-1", ADA, "--lead").ok()
    return filled


@pytest.mark.parametrize("line", COMMANDS)
def test_a_stranger_may_run_nothing_that_is_not_about_themselves(filled: World, line: str) -> None:
    filled.quick("user", "add", "eve@example.org").ok()
    before = dump(filled.database)
    result = filled.quick("--as", "eve@example.org", *shlex.split(line), input=filled.token)
    assert (result.code, result.out, is_one_line(result)) == (5, "", True), result
    assert dump(filled.database) == before


OWN = ["user show {me}", "access show {me}", "access check {me} fly view", "access explain {me} fly",
       "token list --user {me}", "grant list --user {me}", "terms pending --user {me}"]  # fmt: skip


@pytest.mark.parametrize("line", OWN)
def test_everybody_sees_their_own(filled: World, line: str) -> None:
    result = filled.quick("--as", "BO@example.org", *line.format(me=BO).split())
    assert result.code in (0, 5) and "may not run" not in result.err, result
    if "check" not in line:
        assert result.code == 0
    assert filled.quick("--as", BO, *line.format(me=ADA).split()).code == 5


def test_a_dataset_admin_gives_and_takes_and_the_log_says_who(led: World) -> None:
    for line in ("grant add fly edit --user cy@example.org", "grant revoke fly edit --user cy@example.org"):
        assert led.quick("--as", BO, *line.split()).code == 3  # nobody of that name
    led.quick("user", "add", "cy@example.org").ok()
    for line in ("grant add fly edit --user cy@example.org", "access who fly", "grant list --dataset fly"):
        led.quick("--as", BO, *line.split()).ok()
    record = json.loads(led.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["action"] == "grant.add"
    assert record["actor"].startswith(f"user:{BO} by os:")
    assert led.quick("--as", BO, "grant", "add", "fish2", "view", "--user", "cy@example.org").code == 5


def test_a_lead_decides_who_is_in_their_group_and_what_is_scoped_to_it(led: World) -> None:
    led.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    led.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1").ok()
    led.quick("--as", ADA, "group", "show", "lab-1").ok()
    refused = [f"grant add fish2 edit --user {BO}", f"grant add fish2 admin --user {BO} --scope lab-1", "user list",
               f"group member add lab-1 {BO} --lead", "group remove lab-1 -y", "audit list"]  # fmt: skip
    for line in refused:
        assert led.quick("--as", ADA, *line.split()).code == 5, line


def test_what_is_there_is_not_told_to_who_may_not_know(led: World) -> None:
    answers = {
        led.quick("--as", BO, "grant", "add", dataset, "view", "--user", BO).err for dataset in ("fish2", "nothing")
    }
    assert len(answers) == 1
    answers = {led.quick("--as", BO, "user", "show", email).err for email in (ADA, "nobody@example.org")}
    assert len(answers) == 1


def test_who_manages_the_gateway_manages_facts_and_not_the_host(led: World) -> None:
    root = ("--as", "root@example.org")
    led.quick(*root, "user", "add", "new@example.org").ok()
    led.quick(*root, "audit", "list").ok()
    led.quick(*root, "terms", "add", "T", "--file", "-", "--dataset", "fly", input="be kind").ok()
    for line in ("db info", "db check", "import csv people.csv --dataset fly", "export", "setup", "doctor", "status",
                 "bucket list", "terms add T --file fish2.md", "completion bash", "demo"):  # fmt: skip
        result = led.quick(*root, *line.split())
        assert (result.code, result.out) == (5, ""), (line, result)


@pytest.mark.parametrize("who", ["nobody@example.org", "old@example.org", "nightly-export", ""])
def test_who_has_no_account_that_counts_may_nothing(filled: World, who: str) -> None:
    assert filled.quick("--as", who, "access", "show", who or ADA).code == 5


def test_what_is_allowed_is_a_command_that_is_there() -> None:
    known = {line.rpartition(" ")[0] for line in delegated._ALLOWED} and set(delegated._ALLOWED)
    typed = {" ".join(line.split()[:size]) for line in COMMANDS for size in (2, 3)}
    assert known <= typed


# The shell


def test_the_shell_runs_one_command_after_the_other(led: World) -> None:
    typed = [f"access check {ADA} fish2 view", "", f"dsgctl user show {ADA} -o value", "user 'x", "user list",
             "nonsense", "exit", "user list", ""]  # fmt: skip
    result = led.run("--as", ADA, "shell", input="\n".join(typed))
    assert result.out == f"yes\n{ADA}\n"
    lines = result.err.splitlines()
    assert "check the quotes" in lines[0] and "may not run" in lines[1] and "No such command 'nonsense'" in lines[2]
    assert (len(lines), result.code) == (3, 2)


@pytest.mark.parametrize("line", ["--as root@example.org user list", "--env-file /etc/passwd user list", "shell",
                                  "--debug user list", "-o json"])  # fmt: skip
def test_nobody_gets_out_of_it(led: World, line: str) -> None:
    result = led.run("--as", ADA, "shell", input=line + "\n")
    assert (result.code, result.out) == (2, "")
    assert "has no place here" in result.err


def test_as_a_forced_command_it_runs_what_ssh_was_given(led: World) -> None:
    given = {"SSH_ORIGINAL_COMMAND": f"access check {ADA} fish2 manage -o json"}
    assert json.loads(led.run("--as", ADA, "shell", env=given).ok().out)["allowed"]
    for bad in ("user list; id", "$(id)", "`id`", "--as root@example.org user list", "access show 'x", "| sh"):
        result = led.run("--as", ADA, "shell", env={"SSH_ORIGINAL_COMMAND": bad})
        assert result.code in (2, 5) and result.out == "", (bad, result)
        assert "uid=" not in result.err


def test_on_a_terminal_it_prompts_and_ends_with_ctrl_d(led: World) -> None:
    with on_a_terminal(led.run, "--as", ADA, "shell") as terminal:
        terminal.wait_for("dsgctl> ")
        terminal.type(f"access check {ADA} fish2 view\r")
        terminal.wait_for("yes")
        terminal.press("\x04")
        assert terminal.end() == 0
    assert "Traceback" not in terminal.seen
