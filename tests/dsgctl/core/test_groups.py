"""Groups, who is in them and who leads them."""

from typing import Any

import pytest

from dsgctl.core import datasets, grants, groups, service_accounts, user_queries, users
from dsgctl.core.errors import Invalid, NotFound
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from tests.dsgctl.core.builders import AT, Run, refused

ANA, BEA = "ana@x.org", "bea@x.org"


@pytest.fixture(autouse=True)
def people(run: Run) -> None:
    run(users.add, ANA)
    run(users.add, BEA)


def test_a_group_is_made_once(run: Run) -> None:
    group, new = run(groups.add, "Labor für Bienen")
    assert new
    before = run.content()
    assert run(groups.add, "Labor für Bienen") == (group, False)
    assert run.content() == before
    assert groups.show(run.database, group.name) == {
        "id": group.id,
        "name": group.name,
        "created": AT,
        "leads": [],
        "members": [],
        "grants": [],
        "scoped_grants": [],
    }


def test_names_are_compared_exactly(run: Run) -> None:
    run(groups.add, "lab")
    with refused(NotFound, "'Lab'", "dsgctl group list"):
        groups.find(run.database, "Lab")
    assert run(groups.add, "Lab")[1]


@pytest.mark.parametrize("name", ["", " lab", "a\nb", "a" * 256])
def test_a_bad_name_is_refused(run: Run, name: str) -> None:
    with refused(Invalid):
        run(groups.add, name)


def test_a_member_is_added_once_and_does_not_lead(run: Run) -> None:
    run(groups.add, "lab")
    assert run(groups.add_member, "lab", ANA.upper())
    assert not run(groups.add_member, "lab", ANA)
    assert not run(groups.add_member, "lab", ANA, leads=False)
    assert groups.show(run.database, "lab")["members"] == [ANA]
    assert groups.show(run.database, "lab")["leads"] == []
    assert run.actions()[-1] == f"group.member.add group:lab user:{ANA}"


def test_adding_a_member_again_changes_who_leads_only_if_told_to(run: Run) -> None:
    run(groups.add, "lab")
    assert run(groups.add_member, "lab", ANA, leads=True)
    assert not run(groups.add_member, "lab", ANA)
    assert groups.show(run.database, "lab")["leads"] == [ANA]
    assert run(groups.add_member, "lab", ANA, leads=False)
    assert groups.show(run.database, "lab")["leads"] == []
    record = run.records()[-1]
    assert (record["action"], record["before"], record["after"]) == (
        "group.member.set",
        {"leads": True},
        {"leads": False},
    )


def test_many_members_are_added_at_once(run: Run) -> None:
    group, _ = run(groups.add, "lab")
    members = [users.find(run.database, email) for email in (ANA, BEA)]
    run(groups.add_members, group, [user.id for user in members], [user.email for user in members])
    assert groups.show(run.database, "lab")["members"] == [ANA, BEA]
    assert run.actions()[-2:] == [f"group.member.add group:lab user:{email}" for email in (ANA, BEA)]


def test_removing_a_member_says_whether_they_were_in_it(run: Run) -> None:
    run(groups.add, "lab")
    run(groups.add_member, "lab", ANA, leads=True)
    assert run(groups.remove_member, "lab", ANA)
    assert run.records()[-1]["before"] == {"leads": True}
    assert not run(groups.remove_member, "lab", ANA)
    assert groups.show(run.database, "lab")["members"] == []


@pytest.mark.parametrize("verb", [groups.add_member, groups.remove_member])
def test_neither_an_unknown_group_nor_an_unknown_person_is_found(run: Run, verb: Any) -> None:
    run(groups.add, "lab")
    run(service_accounts.add, "bot")
    with refused(NotFound, "no group 'lap'"):
        run(verb, "lap", ANA)
    with refused(NotFound, "no user 'cid@x.org'"):
        run(verb, "lab", "cid@x.org")
    with refused(NotFound, "no user 'bot'"):
        run(verb, "lab", "bot")


def test_the_members_the_grants_and_what_was_given_within_it_go_with_a_group(run: Run) -> None:
    run(groups.add, "lab")
    run(groups.add, "other")
    run(groups.add_member, "lab", ANA)
    run(groups.add_member, "other", ANA)
    run(datasets.add, "fish2")
    ana = principal_subject(users.find(run.database, ANA))
    run(grants.add, group_subject(run.database, "lab"), Target("fish2", "view"))
    run(grants.add, ana, Target("fish2", "edit", scope="lab"))
    run(grants.add, group_subject(run.database, "other"), Target("fish2", "manage", scope="lab"))
    run(grants.add, ana, Target("fish2", "view"))
    assert run(groups.remove, "lab") == {
        "members": [ANA],
        "grants": ["fish2 view"],
        "scoped_grants": ["fish2 edit " + ANA, "fish2 manage"],
    }
    assert [row["permission"] for row in grants.list_grants(run.database)] == ["view"]
    assert user_queries.show(run.database, ANA)["groups"] == ["other"]
    with refused(NotFound, "lab"):
        run(groups.remove, "lab")


def test_groups_are_listed_by_name_with_how_many_are_in_them(run: Run) -> None:
    for name in ("b", "a"):
        run(groups.add, name)
    run(groups.add_member, "a", ANA, leads=True)
    run(groups.add_member, "a", BEA)
    listed = [(row["name"], row["members"], row["leads"]) for row in groups.list_groups(run.database)]
    assert listed == [("a", 2, 1), ("b", 0, 0)]


def test_add_returns_the_row_that_is_stored(run: Run) -> None:
    group, _ = run(groups.add, "lab-1")
    stored = groups.find(run.database, "lab-1").__data__
    assert {column: getattr(group, column) for column in stored} == stored
