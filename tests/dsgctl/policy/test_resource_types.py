"""Each kind of resource that a policy file declares is changed where the file differs."""

from pathlib import Path

import pytest

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
}


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
