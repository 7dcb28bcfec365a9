"""Applying a policy file: what it changes, and what pruning removes."""

import json
from pathlib import Path

from tests.dsgctl.commands.running import dump, execute
from tests.dsgctl.commands.world import World
from tests.dsgctl.policy.conftest import FILE, read_plan


def test_a_second_run_changes_nothing_and_says_so(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    before = dump(filled.database)
    assert filled.quick("apply", "policy.yaml").ok().out == "zebrafish: nothing to do\n"
    assert read_plan(filled, code=0) == []
    assert dump(filled.database) == before


def test_pruning_removes_what_the_file_declared_and_nothing_else(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    filled.quick("group", "member", "add", "lab-7", "root@example.org").ok()  # by hand
    filled.quick("grant", "add", "brain", "view", "--user", "root@example.org").ok()
    text = FILE.replace(", Bo@example.org", "").replace("      - {service-account: render, permission: view}\n", "")
    text = text.replace("      - {user: bo@example.org, permission: view, version: 1.20, scope: lab-7}\n", "")
    policy.write_text(text.replace("service-accounts:\n  render:\n    description: renders tiles\n", ""))
    result = filled.quick("diff", "policy.yaml")
    assert (result.code, result.out) == (0, "")
    assert "no longer declared, but still there: member lab-7 bo@example.org; --prune removes it" in result.err
    assert [line.partition(" (")[0] for line in read_plan(filled, "--prune")] == [
        "- grant dataset:brain service-account:render",
        "- grant dataset:brain user:bo@example.org",  # scoped to the group that they are taken out of
        "- group member group:lab-7 user:bo@example.org",
        "- service-account service-account:render",
    ]
    unconfirmed = filled.quick("apply", "policy.yaml", "--prune")
    assert (unconfirmed.code, unconfirmed.out) == (2, "")
    assert (
        "- service-account service-account:render" in unconfirmed.err
        and "things that it no longer declares" in unconfirmed.err
    )
    assert "use -y" in unconfirmed.err
    assert len(read_plan(filled, "--prune")) >= 3
    filled.quick("apply", "policy.yaml", "--prune", "-y").ok()
    answer = json.loads(filled.quick("group", "show", "lab-7", "-o", "json").ok().out)
    assert answer["members"] == ["ada@example.org", "root@example.org"]
    assert read_plan(filled, "--prune", code=0) == []


def test_pruning_refuses_a_dataset_with_grants_that_the_file_did_not_declare(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    filled.quick("grant", "add", "brain", "view", "--user", "root@example.org").ok()
    policy.write_text("name: zebrafish\n")
    before = dump(filled.database)
    result = filled.quick("apply", "policy.yaml", "--prune", "-y")
    assert (result.code, result.out) == (2, "")
    assert "dataset brain still has grants that the file did not declare (dsgctl dataset remove brain)" in result.err
    assert dump(filled.database) == before
    filled.quick("grant", "revoke", "brain", "view", "--user", "root@example.org").ok()
    filled.quick("apply", "policy.yaml", "--prune", "-y").ok()
    assert filled.quick("dataset", "show", "brain").code == filled.quick("group", "show", "lab-7").code == 3
    assert filled.quick("dataset", "show", "fish2").code == 0


def test_two_files_do_not_undo_each_other(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    (filled.directory / "other.yaml").write_text("name: other\ngroups:\n  lab-7: {}\n")
    result = filled.quick("apply", "other.yaml")
    assert result.code == 2 and "line 3: the file zebrafish declares group lab-7 too" in result.err
    (filled.directory / "other.yaml").write_text("name: other\n")
    filled.quick("apply", "other.yaml", "--prune").ok()
    assert filled.quick("group", "show", "lab-7").code == 0


def test_a_kind_of_another_release_is_an_error_in_one_line(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    execute(filled.database, "UPDATE declared SET kind = 'choir' WHERE kind = 'group'")
    before = dump(filled.database)
    for words in (["diff", "policy.yaml"], ["apply", "policy.yaml"], ["apply", "policy.yaml", "--prune", "-y"]):
        result = filled.quick(*words)
        assert (result.code, result.out) == (1, ""), result
        assert "'choir'" in result.err
        assert "the release that did so" in result.err
        assert result.err.count("\n") == 1
    assert dump(filled.database) == before
