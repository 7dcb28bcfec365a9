"""``dsgctl apply`` and ``dsgctl diff``."""

# ruff: noqa: F811  a fixture is imported

import json
import re
from pathlib import Path

import pytest

from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World
from tests.dsgctl.policy.conftest import (
    policy,  # noqa: F401  fixture
    read_plan,
)


def test_a_plan_reads_like_a_diff_and_a_run_does_it(filled: World, policy: Path) -> None:
    before = dump(filled.database)
    lines = read_plan(filled)
    assert "+ group group:lab-7 (name: lab-7)" in lines
    assert "+ group member group:lab-7 user:ada@example.org (leads: yes)" in lines
    assert "+ dataset dataset:brain (description: A brain, access: closed)" in lines
    assert any(
        line.startswith("+ grant dataset:brain user:ada@example.org (permission: edit, expires: 2999") for line in lines
    )
    assert dump(filled.database) == before
    assert filled.quick("apply", "policy.yaml", "--dry-run").ok().out.splitlines() == lines
    assert dump(filled.database) == before
    result = filled.quick("apply", "policy.yaml").ok()
    assert result.out.splitlines() == [*lines, f"zebrafish: made {len(lines)} changes"]
    for line in ("access check bo@example.org brain view", "access check render brain view"):
        filled.quick(*line.split())
    answer = json.loads(filled.quick("dataset", "show", "brain", "-o", "json").ok().out)
    assert (answer["access"], len(answer["locations"]), len(answer["versions"])) == ("closed", 2, 1)
    record = json.loads(filled.quick("audit", "list", "--target", "lab-7", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["actor"].startswith("file:zebrafish by os:")


def test_each_fault_is_reported_once(filled: World, policy: Path) -> None:
    policy.write_text("name: a\nx: 1\ny: 2\n")
    result = filled.quick("apply", "policy.yaml").err.splitlines()
    assert [line.partition(";")[0] for line in result] == [
        "policy.yaml: line 2: 'x' is not known in the file",
        "policy.yaml: line 3: 'y' is not known in the file",
        "dsgctl: policy.yaml has 2 faults",
    ]
    assert result[-1] == "dsgctl: policy.yaml has 2 faults; nothing was changed; see 'dsgctl help policy-files'"
    policy.write_text("name: a\nx: 1\n")
    assert filled.quick("apply", "policy.yaml").err.count("\n") == 1


@pytest.mark.parametrize("command", ["diff", "apply"])
def test_a_policy_is_read_from_standard_input(filled: World, policy: Path, command: str) -> None:
    text = policy.read_text()
    policy.unlink()
    result = filled.run(command, "-", input=text)
    assert result.code == (1 if command == "diff" else 0) and "+ group group:lab-7 (name: lab-7)" in result.out
    result = filled.run(command, "-", input="name: a\nx: 1\n")
    assert result.code == 2 and "standard input: line 2" in result.err


def test_a_plan_shows_no_python_literals(filled: World, policy: Path) -> None:
    for line in read_plan(filled):
        assert not re.search(r"True|False|None|datetime|\+00:00|\[\]|'", line), line
    assert any("expires: 2999-01-31" in line and "2999-01-31 " not in line for line in read_plan(filled))


def test_a_missing_policy_file_is_an_error(filled: World) -> None:
    result = filled.quick("apply", "absent.yaml")
    assert (result.code, is_one_line(result)) == (1, True)
    assert "absent.yaml" in result.err
