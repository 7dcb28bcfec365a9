"""Each kind of resource that a policy file declares is changed where the file differs."""

from pathlib import Path

import pytest

from dsgctl.policy.reader import parse_policy
from dsgctl.policy.resource_types import RESOURCE_TYPES
from tests.dsgctl.commands.world import World
from tests.dsgctl.policy.conftest import FILE, read_plan

CHANGES = {
    "a level": (
        "permission: edit, expires",
        "permission: manage, expires",
        ["+ grant dataset:brain user:ada@example.org (permission: manage"],
    ),
    "an end": (", expires: 2999-01-31", "", ["~ grant dataset:brain user:ada@example.org (expires: 2999"]),
    "open": ("access: closed", "access: public", ["~ dataset dataset:brain (access: closed -> public)"]),
    "a description": ("renders tiles", "renders all", ["~ service-account service-account:render"]),
    "a lead": (
        "    leads: [ada@example.org]\n",
        "",
        ["~ group member group:lab-7 user:ada@example.org (leads: yes -> no"],
    ),
    "new words": ("Be kind.", "Be kinder.", ["+ terms terms:"]),
    "a version": ("{public: true}", "{public: false}", ["~ dataset version dataset:brain version:1.20"]),
    "a branch": (
        "{public: true}",
        "{public: true, branch: side, ordinal: 7}",
        ["~ dataset version dataset:brain version:1.20 (branch: main -> side, ordinal: - -> 7"],
    ),
    "a grant for one service": (
        "{group: lab-7, permission: view}",
        "{group: lab-7, permission: view, service: clio}",
        ["+ grant dataset:brain group:lab-7 (permission: view, service: clio"],
    ),
    "a name of a service": (
        "    grants:\n",
        "    translations:\n      - {service: clio, name: a b, name-version: r1, version: 1.20}\n    grants:\n",
        ["+ service translation service:clio (name: a b, name_version: r1, dataset: brain, version: 1.20"],
    ),
    "another meaning of a name": (
        "    grants:\n",
        "    translations: [{service: neuprint, name: pisces, name-version: r1}]\n    grants:\n",
        [
            "- service translation service:neuprint (name: pisces, name_version: r1, dataset: fish2, version: v1.2",
            "+ service translation service:neuprint (name: pisces, name_version: r1, dataset: brain",
        ],
    ),
}


def test_each_kind_is_in_the_file_or_in_a_change_of_it() -> None:
    texts = [FILE, *(FILE.replace(old, new) for old, new, _ in CHANGES.values())]
    documents = [parse_policy(Path("policy.yaml"), text.encode(), Path()) for text in texts]
    assert {entry.kind for document in documents for entry in document.declarations} == RESOURCE_TYPES.keys()


@pytest.mark.parametrize("difference", CHANGES)
def test_apply_makes_each_change_of_the_file(filled: World, policy: Path, difference: str) -> None:
    filled.quick("apply", "policy.yaml").ok()
    old, new, lines = CHANGES[difference]
    policy.write_text(FILE.replace(old, new))
    plan = read_plan(filled)
    for line in lines:
        assert any(row.startswith(line) for row in plan), plan
    filled.quick("apply", "policy.yaml").ok()
    assert read_plan(filled, code=0) == []


def test_a_position_that_the_file_does_not_name_is_left(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    filled.quick("dataset", "version", "set", "brain", "1.20", "--branch", "side", "--ordinal", "7").ok()
    assert read_plan(filled, code=0) == []
    policy.write_text(FILE.replace("{public: true}", "{public: true, ordinal: none}"))
    (line,) = read_plan(filled)
    assert "ordinal: 7 -> -" in line


def test_what_is_no_longer_declared_of_services_is_pruned_alone(filled: World, policy: Path) -> None:
    whole = "      - {group: lab-7, permission: view}\n"
    single = "      - {group: lab-7, permission: view, service: clio}\n"
    name = "    translations: [{service: clio, name: brain-1}]\n    grants:\n"
    policy.write_text(FILE.replace(whole, whole + single).replace("    grants:\n", name))
    filled.quick("apply", "policy.yaml").ok()
    policy.write_text(FILE)
    plan = read_plan(filled, "--prune")
    assert len(plan) == 2, plan
    assert any("grant dataset:brain group:lab-7" in line and "service: clio" in line for line in plan)
    assert any("service translation service:clio" in line for line in plan)
    filled.quick("apply", "policy.yaml", "--prune", "--yes").ok()
    assert read_plan(filled, "--prune", code=0) == []
