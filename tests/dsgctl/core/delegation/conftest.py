"""Fixtures of the tests of delegation."""

import pytest

from dsgctl.core import (
    datasets,
    grants,
    groups,
    services,
    users,
    versions,
)
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from tests.dsgctl.core.builders import AT, DAY, Run
from tests.dsgctl.core.delegation.lab import PEOPLE, email_of, revoke


@pytest.fixture(autouse=True)
def lab(run: Run) -> None:
    for name in PEOPLE:
        run(users.add, email_of(name), admin=name == "root")
    for group in ("lab-1", "lab-2", "owners", "powerful"):
        run(groups.add, group)
    for dataset in ("fish2", "fly"):
        run(datasets.add, dataset)
    for group, name, leads in (
        ("lab-1", "lea", True),
        ("lab-2", "led", True),
        ("lab-1", "bo", False),
        ("owners", "ada", False),
        ("lab-1", "gone", True),
        ("powerful", "lea", True),
    ):
        run(groups.add_member, group, email_of(name), leads=leads)
    run(grants.add, group_subject(run.database, "owners"), Target("fish2", "admin"))
    run(grants.add, group_subject(run.database, "lab-1"), Target("fish2", "view"))
    run(grants.add, group_subject(run.database, "powerful"), Target("fish2", "admin"), expires=AT - DAY)
    for name, permission in (("lea", "manage"), ("led", "edit"), ("gone", "manage")):
        run(grants.add, principal_subject(users.find(run.database, email_of(name))), Target("fish2", permission))
    run(users.set_active, email_of("gone"), False)


@pytest.fixture
def two_versions(run: Run) -> None:
    for version in ("v1", "v2"):
        run(versions.add, "fish2", version)
    for service in ("neuprint", "clio"):
        run(services.add, service)
    run(groups.add_member, "lab-1", email_of("cy"))
    run(users.remove, email_of("gone"))
    revoke(run, "manage to lea")
