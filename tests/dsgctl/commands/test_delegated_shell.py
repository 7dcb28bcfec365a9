"""The shell that ssh gives a delegate: one command after the other, with help and completion."""

import json

import pytest

from dsgctl.commands import cli, delegated
from dsgctl.commands.session import Session
from dsgctl.commands.shell import Shell
from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.world import World

ADA, BO = "ada@example.org", "bo@example.org"


# The shell


def test_the_shell_runs_one_command_after_the_other(lab_world: World) -> None:
    typed = [
        f"access check {ADA} fish2 view",
        "",
        "# a comment",
        f"dsgctl user show {ADA} -o value",
        "exit",
        "user list",
    ]
    result = lab_world.run("--as", ADA, "shell", input="\n".join(typed))
    assert (result.code, result.out, result.err) == (0, f"yes\n{ADA}\n", "")


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("user 'x", 2, "check the quotes"),
        ("user list", 5, "may not run"),
        ("nonsense", 2, "No such command 'nonsense'"),
        (f"access check {ADA} fish2 admin", 5, ""),
        ("--debug user list", 2, "cannot begin a line"),
        ("grant revoke fish2 view --user bo@example.org --scope lab-1", 5, "not for a member of the group"),
    ],
)
def test_a_script_of_the_shell_stops_at_the_first_failure_with_its_exit_code(
    lab_world: World, line: str, code: int, message: str
) -> None:
    before = dump(lab_world.database)
    after = f"group member add lab-1 {BO}"
    for script in (f"{line}\n{after}\n", f"access check {ADA} fish2 view\n{line}\n{after}\n"):
        result = lab_world.run("--as", ADA, "shell", input=script)
        assert result.code == code and message in result.err, result
    assert dump(lab_world.database) == before
    lines = "user show nobody@example.org\ngroup add lab-9\n"  # an operator's too
    assert lab_world.run("shell", input=lines).code == 3
    assert dump(lab_world.database) == before


@pytest.mark.parametrize(
    "line",
    ["--as root@example.org user list", "--env-file /etc/passwd user list", "shell", "--debug user list", "-o json"],
)
def test_the_shell_refuses_options_and_nested_shells(lab_world: World, line: str) -> None:
    result = lab_world.run("--as", ADA, "shell", input=line + "\n")
    assert (result.code, result.out) == (2, "")
    assert "cannot begin a line" in result.err


def test_the_shell_as_a_forced_command_runs_the_original_command_of_ssh(lab_world: World) -> None:
    environment = {"SSH_ORIGINAL_COMMAND": f"access check {ADA} fish2 manage -o json"}
    assert json.loads(lab_world.run("--as", ADA, "shell", env=environment).ok().out)["allowed"]
    for bad in ("user list; id", "$(id)", "`id`", "--as root@example.org user list", "access show 'x", "| sh"):
        result = lab_world.run("--as", ADA, "shell", env={"SSH_ORIGINAL_COMMAND": bad})
        assert result.code in (2, 5) and result.out == "", (bad, result)
        assert "uid=" not in result.err


def test_the_shell_on_a_terminal_prompts_and_ends_with_ctrl_d(lab_world: World) -> None:
    with on_a_terminal(lab_world.run, "--as", ADA, "shell") as terminal:
        terminal.wait_for("dsgctl> ")
        terminal.type(f"access check {ADA} fish2 view\r")
        terminal.wait_for("yes")
        terminal.press("\x04")
        assert terminal.end() == 0
    assert "Traceback" not in terminal.seen


def test_help_in_the_shell_lists_what_this_person_may_run(lab_world: World) -> None:
    lines = lab_world.run("--as", ADA, "shell", input="help\n").ok().out.splitlines()
    assert {line.split("  ")[0] for line in lines[:-1]} == set(delegated._ALLOWED)
    everything = lab_world.run("shell", input="help\n").ok().out
    assert "\ndb backup " in everything and "\nshell " not in everything
    grant_add = lab_world.run("--as", ADA, "shell", input="help grant add\n").ok().out
    assert grant_add.startswith("Usage: dsgctl grant add")


COMPLETED = [
    ("", "gr", ["group ", "grant "]),
    ("", "us", ["user "]),
    ("", "db", []),
    ("", "he", ["help "]),
    ("user ", "", ["show "]),
    ("user ", "l", []),
    ("group ", "", ["member ", "show "]),
    ("group member ", "a", ["add "]),
    ("dataset ", "", []),
    ("grant add ", "", ["fish2 ", "fly "]),
    ("grant add ", "sec", []),
    ("dataset show ", "", []),
    ("group show ", "", ["lab-1 "]),
    ("grant add fish2 view ", "--sc", ["--scope "]),
    ("grant add fish2 view --scope ", "l", ["lab-1 "]),
    ("", "/etc/", []),
    ("", "~roo", []),
    ("", "--", []),
    ("access show ", "/e", []),
    ("grant add fish2 view --service-account ", "", []),
    ("user show 'x ", "", []),
    ("help gr", "", []),
    ("help ", "gr", ["group ", "grant "]),
    ("help ", "to", ["token ", "tokens "]),
    ("help ", "de", ["delegation ", "developing "]),
    ("import csv ", "", []),
    ("user list ", "--", []),
]


@pytest.mark.parametrize(("line", "text", "words"), COMPLETED)
def test_tab_completes_what_this_person_may_run_and_know(
    lab_world: World, line: str, text: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab_world.quick("dataset", "add", "secret").ok()
    lab_world.quick("group", "add", "lab-2").ok()
    monkeypatch.setenv("DATABASE_PATH", str(lab_world.database))
    session = Session(None, debug=False, on_behalf=ADA)
    assert Shell(cli, session).complete(line, text) == words
    session.database.close()


def test_tab_on_a_terminal_shows_no_file_and_no_user_of_this_host(lab_world: World) -> None:
    with on_a_terminal(lab_world.run, "--as", ADA, "shell") as terminal:
        terminal.wait_for("dsgctl> ")
        terminal.type("acc\t")
        terminal.wait_for("access ")
        terminal.type(f"check {ADA} fi\t")
        terminal.wait_for("fish2 ")
        terminal.type("view\r")
        terminal.wait_for("yes")
        for keys in ("/et\t\t", "~roo\t\t", "~root\x1b&", "/etc/pass\x1b*"):
            terminal.type(f"{keys}X\x15")  # X marks the end; Ctrl-U deletes the line
            terminal.wait_for("X")
        terminal.type("exit\r")
        terminal.end()
    for word in ("passwd", "hostname", "/root", "~root/"):
        assert word not in terminal.seen
