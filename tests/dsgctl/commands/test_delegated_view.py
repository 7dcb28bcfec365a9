"""What a delegate does not learn: closed datasets, other people, notes, and commands that are not theirs."""

import json
import re

import pytest

from dsgctl.commands import delegated
from tests.dsgctl.commands.running import dump, execute
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World

ADA, BO = "ada@example.org", "bo@example.org"


# What one may not know of


CLOSED = """
access check {me} {dataset} view
access check {me} {dataset} view --service clio
access check nobody@example.org {dataset} view
access explain {me} {dataset}
access explain {me} {dataset} view -o json
access who {dataset}
grant list --dataset {dataset}
grant list --user {me} --dataset {dataset}
grant list --group lab-1 --dataset {dataset}
grant add {dataset} view --user {me}
grant add {dataset} view --user {me} --version v1 --scope lab-1
grant revoke {dataset} view --user {me}
terms pending --dataset {dataset}
terms pending --user {me} --dataset {dataset}
""".strip().splitlines()


@pytest.mark.parametrize("line", CLOSED)
@pytest.mark.parametrize("who", [ADA, BO])
def test_a_closed_dataset_looks_absent_to_a_delegate(lab_world: World, line: str, who: str) -> None:
    """The same words and the same exit code, whether it is there, has terms or a bucket, or once was theirs."""
    for name in ("secret", "gone"):
        lab_world.quick("dataset", "add", name).ok()
        lab_world.quick("dataset", "version", "add", name, "v1").ok()
        lab_world.quick("dataset", "location", "add", name, f"gs://{name}-bucket/").ok()
        lab_world.quick("terms", "add", f"{name} terms", "--file", "fish2.md", "--dataset", name).ok()
    lab_world.quick("grant", "add", "gone", "admin", "--user", who, "--expires", "1h").ok()
    lab_world.quick("grant", "add", "gone", "view", "--group", "lab-1", "--expires", "1h").ok()
    execute(lab_world.database, "UPDATE grants SET expires = '2020-01-01T00:00:00.000000Z' WHERE expires IS NOT NULL")
    before = dump(lab_world.database)
    answers = set()
    for name in ("secret", "gone", "missing"):
        result = lab_world.quick("--as", who, *line.format(me=who, dataset=name).split())
        answers.add((result.code, result.out, result.err.replace(name, "NAME")))
    assert len(answers) == 1, answers
    assert next(iter(answers))[0] == 5
    assert dump(lab_world.database) == before


def test_no_answer_about_oneself_names_a_dataset_that_one_may_not_know_of(lab_world: World) -> None:
    lab_world.quick("dataset", "add", "secret").ok()
    lab_world.quick("dataset", "location", "add", "secret", "gs://secret-bucket/").ok()
    lab_world.quick("grant", "add", "secret", "admin", "--user", ADA, "--expires", "1h").ok()
    lab_world.quick("grant", "add", "secret", "view", "--group", "lab-1", "--expires", "1h").ok()
    lab_world.quick("group", "member", "add", "lab-1", BO).ok()
    lab_world.quick("grant", "add", "secret", "view", "--user", BO, "--scope", "lab-1").ok()
    execute(lab_world.database, "UPDATE grants SET expires = '2020-01-01T00:00:00.000000Z' WHERE expires IS NOT NULL")
    of_theirs = (
        "user show {me}",
        "grant list --user {me}",
        "access show {me}",
        "terms pending --user {me}",
        "group show lab-1",
        "grant list --group lab-1",
        "grant list --dataset fish2",
        "access who fish2",
    )
    for line in (line.format(me=ADA) for line in of_theirs):
        for form in ("table", "json", "csv"):
            result = lab_world.quick("--as", ADA, *line.split(), "-o", form).ok()
            assert "secret" not in result.out + result.err, (line, result)


def test_a_delegate_sees_no_notes(lab_world: World) -> None:
    lab_world.quick("user", "set", ADA, "--note", "on probation").ok()
    for line in (
        f"user show {ADA}",
        f"access show {ADA}",
        f"access explain {ADA} fish2",
        "group show lab-1",
        f"token list --user {ADA}",
        f"grant list --user {ADA}",
        "access who fish2",
    ):
        for form in ("table", "json", "jsonl", "csv", "value"):
            result = lab_world.quick("--as", ADA, *line.split(), "-o", form).ok()
            assert "probation" not in result.out, result
    assert "notes" not in json.loads(lab_world.quick("--as", ADA, "user", "show", ADA, "-o", "json").out)
    assert "on probation" in lab_world.quick("--as", "root@example.org", "user", "show", ADA).ok().out


OF_OTHERS = """
grant add fish2 view --user {x}
grant add fish2 view --user {x} --scope lab-1
grant revoke fish2 view --user {x} --scope lab-1
grant list --dataset fish2 --user {x}
access explain {x} fish2
access check {x} fish2 view
access show {x}
terms pending --dataset fish2 --user {x}
user show {x}
token list --user {x}
""".strip().splitlines()


@pytest.mark.parametrize("line", OF_OTHERS)
def test_a_lead_does_not_learn_who_else_is_there(lab_world: World, line: str) -> None:
    answers = set()
    for person in (BO, "old@example.org", "nobody@example.org"):
        result = lab_world.quick("--as", ADA, *line.format(x=person).split())
        answers.add((result.code, result.out, result.err.replace(person, "X")))
    assert len(answers) == 1 and next(iter(answers))[0] == 5, answers


def test_a_manager_of_a_version_sees_and_gives_that_version_alone(lab_world: World) -> None:
    lab_world.quick("dataset", "version", "add", "fish2", "v2").ok()
    lab_world.quick("dataset", "location", "add", "fish2", "gs://v2-bucket/", "--version", "v2").ok()
    lab_world.quick("grant", "revoke", "fish2", "manage", "--user", ADA).ok()
    lab_world.quick("grant", "revoke", "fish2", "edit", "--user", ADA).ok()
    lab_world.quick("grant", "add", "fish2", "manage", "--user", ADA, "--version", "v1.2", "--expires", "1h").ok()
    lab_world.quick("grant", "add", "fish2", "edit", "--user", BO, "--version", "v2", "--scope", "lab-1").ok()
    lab_world.quick("grant", "revoke", "fish2", "view", "--group", "lab-1").ok()
    lab_world.quick("group", "member", "add", "lab-1", BO).ok()
    for version in ([], ["--version", "v2"], ["--version", "v3"]):
        for verb in ("add", "revoke"):
            line = ["grant", verb, "fish2", "edit", "--user", BO, "--scope", "lab-1", *version]
            result = lab_world.quick("--as", ADA, *line)
            assert result.code == 5 and "--version v1.2" in result.err, result
    for end in ([], ["--expires", "90d"], ["--expires", "never"]):
        line = ["grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1", "--version", "v1.2", *end]
        answer = json.loads(lab_world.quick("--as", ADA, *line, "-o", "json").ok().out)
        assert answer["expires"] is not None
    assert " until 20" in lab_world.quick("--as", ADA, *line).ok().out
    rows = json.loads(lab_world.quick("--as", ADA, "grant", "list", "--dataset", "fish2", "-o", "json").ok().out)
    assert {(row["version"], row["user"]) for row in rows} == {("v1.2", ADA), ("v1.2", BO)}
    assert "v2-bucket" not in lab_world.quick("--as", ADA, "access", "explain", ADA, "fish2").ok().out
    assert lab_world.quick("--as", ADA, "access", "explain", BO, "fish2").code == 5
    lab_world.quick("grant", "revoke", "fish2", "manage", "--user", ADA, "--version", "v1.2").ok()
    left = json.loads(lab_world.quick("grant", "list", "--user", BO, "--dataset", "fish2", "-o", "json").ok().out)
    assert {(row["version"], row["permission"]) for row in left} == {("v1.2", "view"), ("v2", "edit")}  # operators'


FAILING = f"""
group member add lab-1 nobody@example.org
grant add fly edit --user nobody@example.org
grant add fly view --user x --version nope
grant revoke fly edit --user {BO}
access explain {BO} fly admin
access explain {BO} fly edit
access explain {ADA} fly edit
access explain {ADA} fish2 admin
access check {ADA} fly nonsense
user show {BO} --bad
""".strip().splitlines()


@pytest.mark.parametrize("line", FAILING)
def test_no_next_step_names_a_command_that_this_person_may_not_run(lab_world: World, line: str) -> None:
    for who in (ADA, BO):
        result = lab_world.quick("--as", who, *line.split())
        for typed in re.findall(
            r"dsgctl ([a-z-]+(?: [a-z-]+)*)", (result.out + result.err).replace("may not run 'dsgctl", "")
        ):
            words = typed.split()
            assert any(entry.split() == words[: len(entry.split())] for entry in delegated._ALLOWED), (typed, result)


DEBUGGING = ["user show -- --debug", "user show --debug", "--debug user show", "grant list --user --debug"]


@pytest.mark.parametrize("line", DEBUGGING)
def test_a_delegate_cannot_turn_on_tracebacks(lab_world: World, line: str) -> None:
    result = lab_world.run("--as", ADA, "shell", env={"SSH_ORIGINAL_COMMAND": line})
    assert "Traceback" not in result.err and is_one_line(result), result
    result = lab_world.run("user", "show", "--", "--debug")
    assert "Traceback" not in result.err and result.code == 3
