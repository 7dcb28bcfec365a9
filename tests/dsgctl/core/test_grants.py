"""Grants: given once, changed in when they end, and revoked in the words that gave them."""

from typing import Any

import pytest

from dsgctl.core import datasets, grants, groups, service_accounts, services, users, versions
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject
from dsgctl.core.rules import levels
from tests.dsgctl.core.builders import AT, DAY, Run, refused


@pytest.fixture(autouse=True)
def filled_database(run: Run) -> None:
    run(users.add, "ana@x.org")
    run(service_accounts.add, "bot")
    run(groups.add, "lab")
    run(datasets.add, "fish2")
    run(datasets.add, "fly")
    run(versions.add, "fish2", "v1")


@pytest.fixture
def ana(run: Run) -> Subject:
    return principal_subject(users.find(run.database, "ana@x.org"))


@pytest.fixture
def bot(run: Run) -> Subject:
    return principal_subject(service_accounts.find(run.database, "bot"))


@pytest.fixture
def lab(run: Run) -> Subject:
    return group_subject(run.database, "lab")


@pytest.fixture
def subjects(ana: Subject, bot: Subject, lab: Subject) -> dict[str, Subject]:
    return {"ana": ana, "bot": bot, "lab": lab}


def words(rows: Any) -> list[tuple[Any, ...]]:
    return [tuple(row[key] for key in ("dataset", "permission", "version", "scope")) for row in rows]


def test_a_grant_is_given_once(run: Run, ana: Subject) -> None:
    assert run(grants.add, ana, Target("fish2", "edit", "v1", "lab"), expires=AT + DAY, actor="os:eve").changed
    before = run.content()
    assert not run(grants.add, ana, Target("fish2", "edit", "v1", "lab"), expires=AT + DAY).changed
    assert run.content() == before
    assert list(grants.list_grants(run.database)) == [
        {
            "id": 1,
            "dataset": "fish2",
            "version": "v1",
            "permission": "edit",
            "user": "ana@x.org",
            "service_account": None,
            "group": None,
            "scope": "lab",
            "expires": AT + DAY,
            "granted_by": "os:eve",
            "source": "manual",
            "created": AT,
            "service": None,
        }
    ]
    record = run.records()[-1]
    assert f"{record['action']} {record['target']}" == "grant.add dataset:fish2 user:ana@x.org"
    assert record["after"] == {
        "permission": "edit",
        "version": "v1",
        "scope": "lab",
        "expires": "2026-11-21T12:00:00.000000Z",
    }


def test_another_permission_version_scope_or_subject_is_another_grant(
    run: Run, ana: Subject, bot: Subject, lab: Subject
) -> None:
    different = [
        (ana, Target("fish2", "view")),
        (ana, Target("fish2", "edit")),
        (ana, Target("fish2", "view", "v1")),
        (ana, Target("fish2", "view", None, "lab")),
        (ana, Target("fish2", "view", "v1", "lab")),
        (ana, Target("fly", "view")),
        (bot, Target("fish2", "view")),
        (lab, Target("fish2", "view")),
    ]
    for subject, target in different:
        assert run(grants.add, subject, target).changed
    for subject, target in different:
        assert not run(grants.add, subject, target).changed
    assert len(list(grants.list_grants(run.database))) == len(different)


def test_adding_a_grant_again_sets_its_new_end(run: Run, ana: Subject) -> None:
    run(grants.add, ana, Target("fish2", "edit"))
    run(grants.add, ana, Target("fish2", "view"))
    for expires in (AT + DAY, AT + 2 * DAY, None):
        assert run(grants.add, ana, Target("fish2", "edit"), expires=expires, for_ever=expires is None).changed
        assert [row["expires"] for row in grants.list_grants(run.database)] == [expires, None]
    record = run.records()[-2]
    assert record["action"] == "grant.set"
    assert record["before"]["expires"] == "2026-11-21T12:00:00.000000Z"
    assert record["after"]["expires"] == "2026-11-22T12:00:00.000000Z"


def test_the_record_of_a_changed_grant_identifies_it(run: Run, ana: Subject) -> None:
    for permission in ("view", "edit"):
        run(grants.add, ana, Target("fish2", permission, "v1", "lab"))
    run(grants.add, ana, Target("fish2", "view", "v1", "lab"), expires=AT + DAY)
    after = run.records()[-1]["after"]
    assert (after["permission"], after["version"], after["scope"]) == ("view", "v1", "lab")


def test_many_are_given_the_same_grant_at_once(run: Run, ana: Subject, bot: Subject, lab: Subject) -> None:
    run(grants.add_all, [ana, bot, lab], Target("fish2", "view"), source="import")
    assert [(row["user"], row["service_account"], row["group"]) for row in grants.list_grants(run.database)] == [
        ("ana@x.org", None, None),
        (None, "bot", None),
        (None, None, "lab"),
    ]
    assert run.actions()[-3:] == [
        f"grant.add dataset:fish2 {label}" for label in ("user:ana@x.org", "service-account:bot", "group:lab")
    ]


def test_a_grant_is_revoked_by_the_arguments_that_added_it(run: Run, ana: Subject) -> None:
    for target in (Target("fish2", "view"), Target("fish2", "view", "v1"), Target("fish2", "view", "v1", "lab")):
        run(grants.add, ana, target, expires=AT + DAY, actor="os:eve")
    run(grants.revoke, ana, Target("fish2", "view", "v1", "lab"))
    assert words(grants.list_grants(run.database)) == [("fish2", "view", None, None), ("fish2", "view", "v1", None)]
    record = run.records()[-1]
    assert f"{record['action']} {record['target']}" == "grant.revoke dataset:fish2 user:ana@x.org"
    assert record["before"] == {
        "permission": "view",
        "version": "v1",
        "scope": "lab",
        "expires": "2026-11-21T12:00:00.000000Z",
        "granted_by": "os:eve",
        "source": "manual",
    }
    run(grants.revoke, ana, Target("fish2", "view"))
    assert words(grants.list_grants(run.database)) == [("fish2", "view", "v1", None)]


def test_revoking_an_absent_grant_names_the_existing_ones(run: Run, ana: Subject) -> None:
    run(grants.add, ana, Target("fish2", "edit"))
    run(grants.add, ana, Target("fish2", "view", "v1", "lab"))
    with refused(NotFound, "user:ana@x.org has no such grant: view on fish2", "edit, view --version v1 --scope lab"):
        run(grants.revoke, ana, Target("fish2", "view"))
    with refused(NotFound, "dsgctl grant list --dataset fly"):
        run(grants.revoke, ana, Target("fly", "view"))


@pytest.mark.parametrize("verb", [grants.add, grants.revoke])
@pytest.mark.parametrize(
    ("target", "missing"),
    [
        (Target("no", "view"), "no dataset 'no'"),
        (Target("fish2", "view", "v2"), "fish2 has no version 'v2'"),
        (Target("fly", "view", "v1"), "fly has no version 'v1'"),
        (Target("fish2", "view", None, "Lab"), "no group 'Lab'"),
    ],
    ids=str,
)
def test_an_unknown_dataset_version_or_scope_is_not_found(
    run: Run, ana: Subject, verb: Any, target: Target, missing: str
) -> None:
    with refused(NotFound, missing):
        run(verb, ana, target)


@pytest.mark.parametrize("permission", ["", "vi ew", "view\n"])
def test_a_malformed_permission_is_refused(run: Run, ana: Subject, permission: str) -> None:
    with refused(Invalid, levels.enumerate_names("and")):
        run(grants.add, ana, Target("fish2", permission))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["ana view", "lab edit", "bot manage", "ana admin"]),
        ({"dataset": "fish2"}, ["ana view", "lab edit", "bot manage"]),
        ({"subject": "ana"}, ["ana view", "ana admin"]),
        ({"subject": "lab"}, ["lab edit"]),
        ({"subject": "bot", "dataset": "fly"}, []),
        ({"expiring_before": AT + 2 * DAY}, ["lab edit", "bot manage"]),
        ({"expiring_before": AT + DAY}, ["bot manage"]),
    ],
    ids=repr,
)
def test_grants_are_listed_by_dataset_subject_and_end(
    run: Run, subjects: dict[str, Subject], filters: dict[str, Any], expected: list[str]
) -> None:
    run(grants.add, subjects["ana"], Target("fly", "admin"))
    run(grants.add, subjects["ana"], Target("fish2", "view"))
    run(grants.add, subjects["lab"], Target("fish2", "edit"), expires=AT + DAY)
    run(grants.add, subjects["bot"], Target("fish2", "manage"), expires=AT - DAY)
    if "subject" in filters:
        filters = {**filters, "subject": subjects[filters["subject"]]}
    labels = [
        f"{(row['user'] or row['service_account'] or row['group']).partition('@')[0]} {row['permission']}"
        for row in grants.list_grants(run.database, **filters)
    ]
    assert labels == expected


def test_adding_a_grant_again_removes_its_end_only_if_told_to(run: Run) -> None:
    run(datasets.add, "fish2")
    user, _ = run(users.add, "ana@x.org")
    subject, target = principal_subject(user), Target("fish2", "view")
    run(grants.add, subject, target, expires=AT + DAY)
    with refused(Conflict, "has view on fish2 until", "--expires never"):
        run(grants.add, subject, target)
    assert run(grants.add, subject, target, for_ever=True).changed
    assert not run(grants.add, subject, target).changed


@pytest.mark.parametrize("who", ["ana", "bot", "lab"])
def test_a_grant_for_one_service_and_the_same_for_every_service_are_two(
    run: Run, subjects: dict[str, Subject], who: str
) -> None:
    for name in ("neuprint", "clio"):
        run(services.add, name)
    targets = [Target("fish2", "view", service=name) for name in (None, "neuprint", "clio")]
    for target in targets:
        assert run(grants.add, subjects[who], target).changed
        assert not run(grants.add, subjects[who], target).changed
    assert [row["service"] for row in grants.list_grants(run.database)] == [None, "neuprint", "clio"]
    assert [row["service"] for row in grants.list_grants(run.database, service="clio")] == ["clio"]
    assert run.records()[-1]["after"] == {"permission": "view", "service": "clio"}
    run(grants.revoke, subjects[who], targets[1])
    assert [row["service"] for row in grants.list_grants(run.database)] == [None, "clio"]
    with refused(NotFound, "no such grant: view on fish2 for neuprint", "there is: view, view --service clio"):
        run(grants.revoke, subjects[who], targets[1])
    run(grants.add, subjects[who], targets[2], expires=AT + DAY)
    assert [row["expires"] for row in grants.list_grants(run.database)] == [None, AT + DAY]
    with refused(Conflict, "has view on fish2 for clio until"):
        run(grants.add, subjects[who], targets[2])


def test_a_grant_for_a_service_that_does_not_exist_is_refused(run: Run, ana: Subject) -> None:
    for verb in (grants.add, grants.revoke):
        with refused(NotFound, "no service 'neuprint'", "dsgctl service list"):
            run(verb, ana, Target("fish2", "view", service="neuprint"))
    with refused(NotFound, "no service 'neuprint'"):
        grants.list_grants(run.database, service="neuprint")
