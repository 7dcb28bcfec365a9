"""What cannot be undone is asked about first: only on a terminal, and nothing is done before the answer."""

import json
import os
import pty
import signal
import subprocess

import pytest

from tests.dsgctl.commands.running import dump, execute
from tests.dsgctl.commands.terminal import Terminal, on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.test_help import LEAVES, _all_commands
from tests.dsgctl.commands.world import World

# Command that asks -> what it says will go with it.
ASKS = {
    "user remove ada@example.org": "with 1 grant, 1 group and 1 token",
    "user offboard ada@example.org": "is disabled, and loses 1 grant, 1 group and 1 token",
    "group remove lab-1": "with 1 member, 1 grant and 1 scoped grant",
    "dataset remove fish2": "with 1 version, 2 locations, 4 grants, 1 service table and 2 translations",
    "dataset version remove fish2 v1.2": "with 1 grant, 1 location and 1 translation",
    "dataset location remove fish2 gs://lab-data/fish2/": "fish2 will no longer be read at gs://lab-data/fish2/",
    "bucket remove old-data": "with its settings",
    "service remove clio": "with 1 term",
    "service table remove datastack fish2_v1": "with its public roots",
    "service-account remove nightly-export": "with 2 grants and 20 tokens",
    "client remove atlas": "with nothing else",
    "token prune": "ended more than 30d ago will be deleted",
}


# What the same words with `add` bring back, whole.
DO_NOT_ASK = {"group member remove", "service root remove", "service translation remove"}


def test_every_command_that_deletes_asks() -> None:
    deleting = {command for command in LEAVES if command.split()[-1] in ("remove", "prune", "offboard", "restore")}
    options = {" ".join(path): command.params for path, command in _all_commands()}
    asking = {name for name, params in options.items() if "yes" in {param.name for param in params}}
    assert deleting - DO_NOT_ASK <= asking
    tested = {name for name in asking if any(line.startswith(name) for line in ASKS)}
    assert deleting - DO_NOT_ASK - tested <= {"db restore"}, "asked about in tests of their own"


@pytest.mark.parametrize("line", ASKS)
def test_a_deletion_without_a_terminal_is_refused_and_changes_nothing(filled: World, line: str) -> None:
    before = dump(filled.database)
    for answer in ("", "y\n", "yes\n"):  # a pipe is nobody who could be asked
        result = filled.quick(*line.split(), input=answer)
        assert (result.code, result.out, is_one_line(result)) == (2, "", True)
        assert ASKS[line] in result.err
        assert "use -y to skip the question" in result.err
    assert dump(filled.database) == before


@pytest.mark.parametrize("line", [line for line in ASKS if " remove " in line])
@pytest.mark.parametrize("yes", ["-y", "--yes"])
def test_a_confirmed_deletion_runs(filled: World, line: str, yes: str) -> None:
    answer = filled.quick(*line.split(), yes).ok()
    assert answer.out.startswith(("removed ", "deleted "))
    assert filled.quick(*line.split(), yes).code == 3


@pytest.mark.parametrize("line", ASKS)
def test_a_dry_run_lists_what_would_change_and_changes_nothing(filled: World, line: str) -> None:
    before = dump(filled.database)
    plan = json.loads(filled.quick(*line.split(), "--dry-run", "-o", "json").ok().out)
    shown = filled.quick(*line.split(), "--dry-run").ok()
    assert f"nothing was changed; a run would make {len(plan)} change" in shown.err
    assert dump(filled.database) == before
    last = max(row[0] for row in before["audit"])
    filled.quick(*line.split(), "-y").ok()
    records = [
        json.loads(filled.quick("audit", "show", str(row[0]), "-o", "json").out)
        for row in dump(filled.database)["audit"]
        if row[0] > last
    ]
    assert [{key: record[key] for key in ("action", "target", "before", "after")} for record in records] == plan


def test_a_process_is_refused_without_a_terminal(filled: World) -> None:
    before = dump(filled.database)
    result = filled.run("dataset", "remove", "fish2", input="y\n")
    assert (result.code, result.out) == (2, "")
    assert dump(filled.database) == before


@pytest.mark.parametrize(
    ("keys", "code"), [("n\r", 130), ("\r", 130), ("\x03", 130), ("\x04", 130)], ids=["no", "enter", "ctrl-c", "ctrl-d"]
)
def test_on_a_terminal_any_answer_but_yes_changes_nothing(filled: World, keys: str, code: int) -> None:
    before = dump(filled.database)
    with on_a_terminal(filled.run, "dataset", "remove", "fish2") as terminal:
        terminal.wait_for("go on? [y/N]")
        terminal.press(keys)
        assert terminal.end() == code
    assert ASKS["dataset remove fish2"] in terminal.seen
    assert "dsgctl: stopped" in terminal.seen
    assert "Traceback" not in terminal.seen
    assert dump(filled.database) == before


def test_on_a_terminal_the_answer_yes_confirms(filled: World) -> None:
    with on_a_terminal(filled.run, "user", "remove", "ada@example.org") as terminal:
        terminal.wait_for("go on? [y/N]")
        terminal.type("y\r")
        assert terminal.end() == 0
    assert "removed ada@example.org" in terminal.seen
    assert filled.quick("user", "show", "ada@example.org").code == 3


@pytest.mark.parametrize(
    ("answer", "active", "maker"),
    [
        ("", True, "user:ada@example.org"),
        ("disable", False, "user:ada@example.org"),
        ("bo@example.org", True, "user:bo@example.org"),
    ],
)
def test_offboarding_asks_what_to_do_with_the_persons_service_accounts(
    filled: World, answer: str, active: bool, maker: str
) -> None:
    execute(filled.database, "UPDATE principals SET created_by = 'user:ada@example.org' WHERE slug = 'nightly-export'")
    words = ("user", "offboard", "ada@example.org")
    refused = filled.quick(*words, "-y")
    assert (refused.code, refused.out) == (2, "")
    assert "1 service account: nightly-export; use --service-accounts with keep, disable" in refused.err
    with on_a_terminal(filled.run, *words) as terminal:
        terminal.wait_for("who gets them [keep]: ")
        terminal.type(f"{answer}\r")
        terminal.wait_for("go on? [y/N]")
        terminal.type("y\r")
        assert terminal.end() == 0
    assert "ended 1 token, 1 grant and 1 group" in terminal.seen
    assert "may know its tokens" in terminal.seen
    account = json.loads(filled.quick("service-account", "show", "nightly-export", "-o", "json").ok().out)
    assert (account["active"], account["created_by"]) == (active, maker)


def test_the_question_goes_to_stderr(filled: World) -> None:
    shell = 'dsgctl group remove lab-1 -o json > answer.json; echo "code $?"'
    filled.run.shell("true")  # puts dsgctl on a path
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", shell],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=filled.directory,
        env=filled.run.environment(PATH=f"{filled.directory}/bin:{os.environ['PATH']}"),
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    terminal.wait_for("go on? [y/N]")
    terminal.type("y\r")
    terminal.end()
    os.close(ours)
    assert "code 0" in terminal.seen
    assert json.loads((filled.directory / "answer.json").read_text())["name"] == "lab-1"


def test_a_token_typed_on_a_terminal_is_not_echoed(filled: World) -> None:
    with on_a_terminal(filled.run, "token", "inspect") as terminal:
        terminal.wait_for("Token: ")
        terminal.type(filled.token + "\r")
        assert terminal.end() == 0
    assert "valid" in terminal.seen
    assert filled.token not in terminal.seen


def test_a_process_killed_at_the_question_has_changed_nothing(filled: World) -> None:
    before = dump(filled.database)
    with on_a_terminal(filled.run, "dataset", "remove", "fish2") as terminal:
        terminal.wait_for("go on? [y/N]")
        # while the question stands, others can write
        filled.quick("group", "add", "meanwhile").ok()
        filled.quick("group", "remove", "meanwhile", "-y").ok()
        terminal._process.send_signal(signal.SIGKILL)
        terminal.end()
    after = dump(filled.database)
    assert {name: rows for name, rows in after.items() if name in ("datasets", "grants", "versions", "locations")} == {
        name: rows for name, rows in before.items() if name in ("datasets", "grants", "versions", "locations")
    }
    filled.quick("db", "check").ok()


# The last admin

LAST_ADMIN = [
    "user remove root@example.org -y",
    "user disable root@example.org",
    "user set root@example.org --no-admin",
]


@pytest.mark.parametrize("line", LAST_ADMIN)
def test_removing_the_last_admin_needs_an_option_of_its_own(filled: World, line: str) -> None:
    before = dump(filled.database)
    result = filled.quick(*line.split())
    assert (result.code, is_one_line(result)) == (5, True)
    assert "root@example.org is the last admin" in result.err
    assert "--last-admin" in result.err
    assert dump(filled.database) == before
    filled.quick(*line.split(), "--last-admin").ok()
    assert "root@example.org" not in filled.quick("user", "list", "--admin").out or "disable" in line


@pytest.mark.parametrize("line", LAST_ADMIN)
def test_removing_one_of_several_admins_needs_no_further_option(filled: World, line: str) -> None:
    filled.quick("user", "set", "bo@example.org", "--admin").ok()
    filled.quick(*line.split()).ok()


@pytest.mark.parametrize("line", LAST_ADMIN)
def test_a_disabled_admin_does_not_count_as_another(filled: World, line: str) -> None:
    filled.quick("user", "set", "old@example.org", "--admin").ok()
    assert filled.quick(*line.split()).code == 5


def test_a_dry_run_also_warns_that_it_is_the_last_admin(filled: World) -> None:
    result = filled.quick("user", "remove", "root@example.org", "--dry-run")
    assert (result.code, is_one_line(result)) == (5, True)
