"""The subject and the target of a grant."""

import pytest

from dsgctl.core import datasets, groups, versions
from dsgctl.core.errors import Invalid, NotFound
from dsgctl.core.grant_targets import Target, group_subject, require_level, resolve
from dsgctl.core.rules import levels
from tests.dsgctl.core.builders import Run, refused


@pytest.mark.parametrize("permission", ["owner", "View", "", "view edit", "write"])
def test_a_person_grants_the_four_permissions_and_no_other(permission: str) -> None:
    assert [require_level(name) for name in levels.NAMES]
    with refused(Invalid, levels.enumerate_names("and")):
        require_level(permission)


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        (Target("fly", "view"), "there is no dataset 'fly'"),
        (Target("fish2", "view", "v9"), "fish2 has no version 'v9'"),
        (Target("fish2", "view", None, "lab-9"), "there is no group 'lab-9'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_target_names_only_what_exists(run: Run, target: Target, missing: str) -> None:
    run(datasets.add, "fish2")
    with refused(NotFound, missing):
        resolve(run.database, target)


def test_a_target_is_resolved_to_the_ids_of_its_names(run: Run) -> None:
    dataset, _ = run(datasets.add, "fish2")
    run(versions.add, "fish2", "v1")
    run(groups.add, "lab-1")
    place = resolve(run.database, Target("fish2", "view", "v1", "lab-1"))
    group = group_subject(run.database, "lab-1")
    assert (place.dataset, place.version_id, place.scope_id) == (dataset, 1, group.group_id)
    assert place.state == {"permission": "view", "version": "v1", "scope": "lab-1"}
    assert place.label(group) == "dataset:fish2 group:lab-1"
    assert place.find(run.database, group) is None
