"""``dsgctl --as``: what a person who is no operator may see and change; and the shell that ssh gives them."""

import json
import shlex

import pytest

from dsgctl.commands import delegated
from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.test_nouns import COMMANDS
from tests.dsgctl.commands.world import World

ADA, BO = "ada@example.org", "bo@example.org"


@pytest.mark.parametrize("line", COMMANDS)
def test_a_stranger_may_run_nothing_that_is_not_about_themselves(filled: World, line: str) -> None:
    filled.quick("user", "add", "eve@example.org").ok()
    before = dump(filled.database)
    result = filled.quick("--as", "eve@example.org", *shlex.split(line), input=filled.token)
    assert (result.code, result.out, is_one_line(result)) == (5, "", True), result
    assert dump(filled.database) == before


OWN = [
    "user show {me}",
    "access show {me}",
    "access check {me} fly view",
    "access explain {me} fly",
    "token list --user {me}",
    "grant list --user {me}",
    "terms pending --user {me}",
]


@pytest.mark.parametrize("line", OWN)
def test_a_person_may_read_about_themselves_only(filled: World, line: str) -> None:
    result = filled.quick("--as", "BO@example.org", *line.format(me=BO).split())
    assert result.code in (0, 5) and "may not run" not in result.err, result
    if "check" not in line:
        assert result.code == 0
    assert filled.quick("--as", BO, *line.format(me=ADA).split()).code == 5


def test_a_dataset_admin_gives_and_takes_and_the_log_says_who(lab_world: World) -> None:
    for line in ("grant add fly edit --user cy@example.org", "grant revoke fly edit --user cy@example.org"):
        assert lab_world.quick("--as", BO, *line.split()).code == 3  # nobody of that name
    lab_world.quick("user", "add", "cy@example.org").ok()
    for line in ("grant add fly edit --user cy@example.org", "access who fly", "grant list --dataset fly"):
        lab_world.quick("--as", BO, *line.split()).ok()
    record = json.loads(lab_world.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["action"] == "grant.add"
    assert record["actor"].startswith(f"user:{BO} by os:")
    assert lab_world.quick("--as", BO, "grant", "add", "fish2", "view", "--user", "cy@example.org").code == 5


def test_a_lead_decides_who_is_in_their_group_and_what_is_scoped_to_it(lab_world: World) -> None:
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    lab_world.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1").ok()
    lab_world.quick("--as", ADA, "group", "show", "lab-1").ok()
    refused = [
        f"grant add fish2 edit --user {BO}",
        f"grant add fish2 admin --user {BO} --scope lab-1",
        "user list",
        f"group member add lab-1 {BO} --lead",
        "group remove lab-1 -y",
        "audit list",
    ]
    for line in refused:
        assert lab_world.quick("--as", ADA, *line.split()).code == 5, line


def test_a_delegate_cannot_tell_a_hidden_name_from_an_absent_one(lab_world: World) -> None:
    answers = {
        lab_world.quick("--as", BO, "grant", "add", dataset, "view", "--user", BO).err
        for dataset in ("fish2", "nothing")
    }
    assert len(answers) == 1
    answers = {lab_world.quick("--as", BO, "user", "show", email).err for email in (ADA, "nobody@example.org")}
    assert len(answers) == 1


def test_a_global_admin_manages_the_data_but_not_the_host(lab_world: World) -> None:
    root = ("--as", "root@example.org")
    lab_world.quick(*root, "user", "add", "new@example.org").ok()
    lab_world.quick(*root, "audit", "list").ok()
    lab_world.quick(*root, "terms", "add", "T", "--file", "-", "--dataset", "fly", input="be kind").ok()
    for line in (
        "db info",
        "db check",
        "import csv people.csv --dataset fly",
        "export",
        "setup",
        "doctor",
        "status",
        "bucket list",
        "terms add T --file fish2.md",
        "completion bash",
        "demo",
    ):
        result = lab_world.quick(*root, *line.split())
        assert (result.code, result.out) == (5, ""), (line, result)


@pytest.mark.parametrize("who", ["nobody@example.org", "old@example.org", "nightly-export", ""])
def test_a_delegate_without_an_active_account_is_refused_everything(filled: World, who: str) -> None:
    assert filled.quick("--as", who, "access", "show", who or ADA).code == 5


def test_every_allowed_command_exists() -> None:
    allowed = {line.rpartition(" ")[0] for line in delegated._ALLOWED} and set(delegated._ALLOWED)
    typed = {" ".join(line.split()[:size]) for line in COMMANDS for size in (2, 3)}
    assert allowed <= typed
