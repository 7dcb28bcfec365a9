"""A delegated grant ends with what it rests on."""

import pytest

from dsgctl.core import (
    delegated_grants,
    grants,
    groups,
    offboarding,
    services,
    terms,
    users,
)
from dsgctl.core.grant_targets import Target
from tests.dsgctl.core.builders import AT, Run
from tests.dsgctl.core.delegation.lab import HOUR, as_delegate, email_of, give, list_ends, revoke, subject_of

# lea gives manage to bo, who then leads lab-1 too and gives view to cy, and cy's gives falls or ends with what is done.
FALLS = {
    "revoke lea's": (lambda run: revoke(run, "manage to lea"), None),
    "shorten lea's": (lambda run: give(run, "os", "manage to lea", expires=AT + HOUR), AT + HOUR),
    "remove lea": (lambda run: run(users.remove, email_of("lea")), None),
    "offboard lea": (lambda run: run(offboarding.offboard, email_of("lea")), None),
    "lea leads no more": (lambda run: run(groups.add_member, "lab-1", email_of("lea"), leads=False), None),
    "lea leaves": (lambda run: run(groups.remove_member, "lab-1", email_of("lea")), None),
    "bo leads no more": (lambda run: run(groups.add_member, "lab-1", email_of("bo"), leads=False), None),
    "bo leaves": (lambda run: run(groups.remove_member, "lab-1", email_of("bo")), None),
    "cy leaves": (lambda run: run(groups.remove_member, "lab-1", email_of("cy")), None),
    "the group goes": (lambda run: run(groups.remove, "lab-1"), None),
    "lea is read-only": (lambda run: run(users.set_attributes, email_of("lea"), read_only=True), None),
    "lea is disabled": (lambda run: run(users.set_active, email_of("lea"), False), "stays"),
    "terms wait": (lambda run: run(terms.add, "Rules", "x", dataset="fish2"), "stays"),
    "an operator gives bo the same": (lambda run: _adopt(run, "manage lab-1 to bo"), "stays"),
    "an operator gives cy the same": (lambda run: _adopt(run, "view lab-1 to cy"), "stays"),
    "lea gets more": (lambda run: give(run, "os", "admin to lea"), "stays"),
}


def _adopt(run: Run, grant: str) -> None:
    give(run, "os", grant)
    revoke(run, "manage to lea")


@pytest.mark.parametrize("event", FALLS)
def test_a_delegated_grant_ends_with_its_support_and_is_recorded(event: str, run: Run, two_versions: None) -> None:
    give(run, "os", "manage to lea")
    give(run, "lea", "manage lab-1 to bo")
    run(groups.add_member, "lab-1", email_of("bo"), leads=True)
    give(run, "bo", "view lab-1 to cy")
    do, ends = FALLS[event]
    before = len(run.records())
    do(run)
    ends_by_permission = list_ends(run, "cy")
    assert ends_by_permission == ({"view": None} if ends == "stays" else {} if ends is None else {"view": ends})
    records = [
        record for record in run.records()[before:] if record["target"] == f"dataset:fish2 user:{email_of('cy')}"
    ]
    fell = event not in ("the group goes", "an operator gives cy the same") and ends != "stays"
    assert [record["action"] for record in records if fell] == (
        ["grant.set" if ends else "grant.revoke"] if fell else []
    )
    assert all((record["after"] or {}).get("because") for record in records if fell)
    assert delegated_grants.count_unsupported(run.database) == 0


def test_what_somebody_gave_for_a_service_ends_with_their_grant_for_it(run: Run, two_versions: None) -> None:
    give(run, "os", "admin/clio to lea")
    give(run, "lea", "manage/clio to bo")
    give(run, "lea", "view@v1/clio to cy")
    assert list_ends(run, "cy") == {"view@v1/clio": None}
    revoke(run, "admin/clio to lea")
    assert (list_ends(run, "bo"), list_ends(run, "cy")) == ({}, {})
    record = run.records()[-1]
    assert record["before"]["service"] == "clio" and record["after"]["because"]


def test_a_grant_for_another_service_supports_nothing(run: Run, two_versions: None) -> None:
    give(run, "os", "admin to lea")
    for grant in ("view to bo", "view/neuprint to bo", "view/clio to bo"):
        give(run, "lea", grant)
    give(run, "os", "admin/clio to lea")
    revoke(run, "admin to lea")
    assert list_ends(run, "bo") == {"view/clio": None}
    run(services.remove, "clio")
    assert list_ends(run, "bo") == {}
    assert delegated_grants.count_unsupported(run.database) == 0


def test_two_delegates_who_gave_to_each_other_both_lose_their_grants(run: Run, two_versions: None) -> None:
    give(run, "os", "admin to lea")
    give(run, "lea", "admin to bo")
    give(run, "bo", "admin@v1 to lea")
    give(run, "bo", "manage to lea")
    revoke(run, "admin to lea")
    assert (list_ends(run, "lea"), list_ends(run, "bo")) == ({}, {})


@pytest.mark.parametrize("how", ["removed", "offboarded", "by the shell", "by its lead"])
def test_leaving_a_group_ends_the_grants_scoped_to_it(how: str, run: Run, two_versions: None) -> None:
    give(run, "os", "edit lab-1 to bo")
    give(run, "os", "view@v1 to bo")
    if how == "by the shell":
        shell = "DELETE FROM memberships WHERE principal_id = (SELECT id FROM principals WHERE email = 'bo@x.org')"
        with run.database.transaction():
            run.database.script(shell)
    elif how == "by its lead":
        give(run, "os", "manage to lea")
        with as_delegate(run, "lea") as change:
            groups.remove_member(change, "lab-1", email_of("bo"))
    elif how == "removed":
        run(groups.remove_member, "lab-1", email_of("bo"))
    else:
        run(offboarding.offboard, email_of("bo"))
    assert "edit" not in list_ends(run, "bo")
    if how == "removed":
        assert "grant.revoke dataset:fish2 user:bo@x.org" in run.actions()[-2:]
        assert list_ends(run, "bo") == {"view@v1": None}


def test_the_next_change_ends_what_a_change_by_the_shell_left_unsupported(run: Run, two_versions: None) -> None:
    give(run, "os", "manage to lea")
    give(run, "lea", "view lab-1 to bo")
    with run.database.transaction():
        run.database.script(
            "DELETE FROM grants WHERE permission = 'manage' AND source = 'manual' AND delegate_id IS NULL"
        )
    assert delegated_grants.count_unsupported(run.database) == 1
    run(groups.add, "anything")
    assert delegated_grants.count_unsupported(run.database) == 0
    assert list_ends(run, "bo") == {}


def test_a_change_without_delegated_grants_reads_no_support(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("everything was read although nothing was given")

    monkeypatch.setattr(delegated_grants, "Support", fail)
    run(groups.add, "anything")


# What bo has scoped to lab-1 -> how many of the endings lea is told of when she takes bo out.
COUNTED = {
    "nothing": ([], 0),
    "what she may see": ([Target("fish2", "view", scope="lab-1")], 1),
    "on a dataset that she may not know of": ([Target("fly", "view", scope="lab-1")], 0),
    "above what she decides about": ([Target("fish2", "admin", scope="lab-1")], 0),
    "both": ([Target("fish2", "view", scope="lab-1"), Target("fly", "admin", scope="lab-1")], 1),
}


@pytest.mark.parametrize("case", COUNTED)
def test_the_number_of_ended_grants_counts_only_those_that_the_delegate_may_see(case: str, run: Run) -> None:
    targets, count = COUNTED[case]
    for target in targets:
        run(grants.add, subject_of(run, "bo"), target)
    with as_delegate(run, "lea") as change:
        groups.remove_member(change, "lab-1", email_of("bo"))
    assert change.consequences == count
    assert not list(grants.list_grants(run.database, subject=subject_of(run, "bo")))  # all of it ends
