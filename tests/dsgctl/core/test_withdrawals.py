"""What was revoked on a public dataset stays revoked until somebody grants something on all of it again."""

import pytest

from dsgctl.core import datasets, grants, groups, services, users, versions, withdrawals
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject
from tests.dsgctl.core.builders import Run


@pytest.fixture
def ana(run: Run) -> Subject:
    """A person with view on the datasets open, which is public, and shut."""
    user, _ = run(users.add, "ana@x.org")
    run(services.add, "clio")
    subject = principal_subject(user)
    for name, public in (("open", True), ("shut", False)):
        run(datasets.add, name, public=public)
        run(versions.add, name, "v1")
        run(grants.add, subject, Target(name, "view"))
    return subject


def list_withdrawals(run: Run, subject: Subject) -> frozenset[str]:
    return withdrawals.list_datasets(run.database, subject.principal_id or 0)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (Target("open", "view"), {"open"}),
        (Target("open", "edit"), set()),
        (Target("open", "view", "v1"), set()),
        (Target("open", "view", service="clio"), set()),
        (Target("shut", "view"), set()),
    ],
    ids=str,
)
def test_only_view_of_a_whole_public_dataset_is_withdrawn(
    run: Run, ana: Subject, target: Target, names: set[str]
) -> None:
    run(grants.add, ana, target)
    run(grants.revoke, ana, target)
    assert list_withdrawals(run, ana) == names


def test_a_group_has_no_withdrawal(run: Run, ana: Subject) -> None:
    run(groups.add, "lab-1")
    lab = group_subject(run.database, "lab-1")
    run(grants.add, lab, Target("open", "view"))
    run(grants.revoke, lab, Target("open", "view"))
    assert list_withdrawals(run, ana) == set()


@pytest.mark.parametrize(
    ("target", "source", "ends"),
    [
        (Target("open", "view"), "manual", True),
        (Target("open", "edit"), "import", True),
        (Target("open", "view"), "self-service", False),
        (Target("open", "view", "v1"), "manual", False),
        (Target("open", "view", service="clio"), "manual", False),
        (Target("shut", "edit"), "manual", False),
    ],
    ids=str,
)
def test_a_grant_on_the_whole_dataset_ends_it(run: Run, ana: Subject, target: Target, source: str, ends: bool) -> None:
    run(grants.revoke, ana, Target("open", "view"))
    run(grants.add, ana, target, source=source)
    assert list_withdrawals(run, ana) == (set() if ends else {"open"})
