"""Somebody leaves."""

from pathlib import Path

import apsw
import pytest

from dsgctl.core import (
    datasets,
    grants,
    groups,
    new_users,
    offboarding,
    principals,
    service_accounts,
    token_queries,
    tokens,
    user_queries,
    users,
    versions,
)
from dsgctl.core.errors import Invalid, NotAllowed, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import AT, DAY, Run, add_people, refused

ANA, BEA, KID = "ana@x.org", "bea@x.org", "kid@x.org"


@pytest.fixture(autouse=True)
def people(run: Run) -> None:
    """ana has a child account, tokens, grants of every sort, leads a group, and has made two service accounts."""
    for email in (ANA, BEA):
        run(users.add, email)
    run(
        add_people,
        [new_users.NewUser(KID, {}, (), new_users.ForeignAccount(parent=users.find(run.database, ANA).id))],
    )
    run(groups.add, "lab")
    run(datasets.add, "fish2")
    run(versions.add, "fish2", "v1")
    for email in (ANA, BEA, KID):
        user = users.find(run.database, email)
        run(groups.add_member, "lab", email, leads=True)
        run(tokens.mint, user)
        run(tokens.mint, user, expires=AT + DAY)
        for target in (Target("fish2", "admin"), Target("fish2", "view", "v1", "lab"), Target("fish2", "edit", "v1")):
            run(grants.add, principal_subject(user), target)
    run(service_accounts.add, "export", actor=f"user:{ANA}")
    run(service_accounts.add, "nightly", actor="os:ana as dsg")
    run(service_accounts.add, "other", actor="os:anatol")


def test_offboarding_ends_all_access_of_the_person_and_of_nobody_else(run: Run) -> None:
    before = {email: user_queries.show(run.database, email) for email in (BEA,)}
    left = run(offboarding.offboard, ANA, os_user="ana", at=AT + DAY / 2)
    assert left.disabled == [ANA, KID]
    assert left.grants == ["fish2 admin", "fish2 v1 view", "fish2 v1 edit"] * 2
    assert left.groups == ["lab", "lab"]
    assert left.service_accounts == ["export", "nightly"]
    for email in (ANA, KID):
        user = users.find(run.database, email)
        assert not user.active
        assert list(token_queries.list_tokens(run.database, principal=user, at=AT)) == []
        answer = build_user_cache(run.snapshot(email), AT)
        assert (answer["permissions_v2"], answer["groups"], answer["datasets_admin"]) == ({}, [], [])
    assert {email: user_queries.show(run.database, email) for email in before} == before
    assert all(service_accounts.find(run.database, slug).active for slug in ("export", "nightly", "other"))
    stamps = [(record["actor"], record["at"]) for record in run.records()[-14:]]
    assert stamps == [("os:test", AT + DAY / 2)] * 14  # 2 accounts, each: disable, 2 tokens, 3 grants, 1 group


def test_a_second_time_changes_nothing(run: Run) -> None:
    run(offboarding.offboard, ANA)
    before = run.content()
    left = run(offboarding.offboard, ANA)
    assert not left.changed
    assert run.content() == before


def test_offboarding_leaves_out_what_had_already_ended(run: Run) -> None:
    token = next(token_queries.list_tokens(run.database, principal=users.find(run.database, ANA), at=AT))["id"]
    run(tokens.revoke, token)
    assert token not in run(offboarding.offboard, ANA).tokens


def test_service_accounts_are_disabled_on_request(run: Run) -> None:
    left = run(offboarding.offboard, ANA, disable_service_accounts=True)
    assert left.disabled == [ANA, KID, "export"]
    assert not service_accounts.find(run.database, "export").active
    assert service_accounts.find(run.database, "nightly").active  # made at the command line, by whom is not said


def test_service_accounts_are_handed_over_where_an_heir_is_named(run: Run) -> None:
    run(offboarding.offboard, ANA, os_user="ana", heir=BEA.upper())
    for slug in ("export", "nightly"):
        account = service_accounts.find(run.database, slug)
        assert (account.created_by, account.active) == (f"user:{BEA}", True)
    record = run.records()[-1]
    assert (record["action"], record["target"]) == ("service-account.hand-over", "service-account:nightly")
    assert (record["before"], record["after"]) == ({"created_by": "os:ana as dsg"}, {"created_by": f"user:{BEA}"})


@pytest.mark.parametrize(("heir", "error"), [("nobody@x.org", NotFound), (ANA, Invalid), ("gone@x.org", Invalid)])
def test_an_heir_who_cannot_own_service_accounts_is_refused(run: Run, heir: str, error: type[Invalid]) -> None:
    run(users.add, "gone@x.org")
    run(users.set_active, "gone@x.org", False)
    before = run.content()
    with refused(error):
        run(offboarding.offboard, ANA, heir=heir)
    assert run.content() == before


def test_offboarding_the_last_admin_is_refused_unless_confirmed(run: Run) -> None:
    run(users.set_attributes, ANA, admin=True)
    before = run.content()
    with refused(NotAllowed, "last admin"):
        run(offboarding.offboard, ANA)
    assert run.content() == before
    assert ANA in run(offboarding.offboard, ANA, last_admin=True).disabled


def test_an_unknown_person_is_not_found(run: Run) -> None:
    with refused(NotFound):
        run(offboarding.offboard, "nobody@x.org")


def test_accounts_whose_parents_are_in_a_circle_end_all_the_same(run: Run, path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        "UPDATE principals SET parent_id = (SELECT id FROM principals WHERE email = ?) WHERE email = ?", (KID, ANA)
    )
    connection.close()
    assert run(offboarding.offboard, ANA).disabled == [ANA, KID]
    run(users.remove, ANA)
    assert principals.find_by_email(run.database, KID) is None
