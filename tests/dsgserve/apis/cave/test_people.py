"""Who may look whom up, and bad input of the routes about people."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from dsgctl.core import clients, delegated_keys, grants, groups, service_accounts, tokens, users, versions
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgserve.http.requests import MAX_ADDRESS
from tests.dsgserve.conftest import Client, Lab, Reply

PEOPLE = ("admin", "lead", "steward", "member", "reader", "team", "late", "nobody")


@dataclass
class Institute:
    """People with roles, and tokens of those who ask.

    Attributes:
        ids, tokens: by name. lead leads the group lab, whose members are lead and member. steward administers fly:
            reader and the group crew, with team in it, have grants on it; late's has ended.
    """

    client: Client
    ids: dict[str, int]
    tokens: dict[str, str]

    def get(self, who: str, target: str) -> Reply:
        return self.client.get(target, authorization=f"Bearer {self.tokens[who]}")


@pytest.fixture
def institute(client: Client, lab: Lab, database: Database) -> Iterator[Institute]:
    ids, presented = {}, {}
    change: Change
    with begin_change(database, "os:test") as change:
        for name in PEOPLE:
            user, _ = users.add(change, f"{name}@lab.example", name=name.title(), admin=name == "admin")
            ids[name], presented[name] = user.id, tokens.mint(change, user)[1]
        robot, _ = service_accounts.add(change, "pcg")
        ids["robot"], presented["robot"] = robot.id, tokens.mint(change, robot)[1]
        for group, *members in (("lab", "lead", "member"), ("crew", "team")):
            ids[group] = groups.add(change, group)[0].id
            for name in members:
                groups.add_member(change, group, f"{name}@lab.example", leads=name == "lead")
        for name, permission, end in (("steward", "admin", None), ("reader", "view", None), ("late", "view", 1)):
            subject = principal_subject(users.find(database, f"{name}@lab.example"))
            expires = change.at + timedelta(microseconds=end) if end else None
            grants.add(change, subject, Target("fly", permission), expires=expires)
        grants.add(change, group_subject(database, "crew"), Target("fly", "view"))
    yield Institute(client, ids, presented)


# Who asks -> the people whom they may look up; None for nobody at all: 403.
VISIBLE: dict[str, set[str] | None] = {
    "admin": set(PEOPLE),
    "robot": set(PEOPLE),
    "lead": {"lead", "member"},
    "steward": {"steward", "reader", "team"},
    "member": None,
    "reader": None,
    "nobody": None,
}


@pytest.mark.parametrize("who", VISIBLE)
def test_leads_and_admins_of_datasets_see_their_own_people_and_others_nobody(who: str, institute: Institute) -> None:
    visible, ids = VISIBLE[who], institute.ids
    listed = institute.get(who, "/api/v1/user?id=" + ",".join(str(ids[name]) for name in PEOPLE))
    members = institute.get(who, f"/api/v1/group/{ids['lab']}/user")
    if visible is None:
        assert (listed.status, members.status) == (403, 403)
    else:
        assert {row["id"] for row in listed.json()} == {ids[name] for name in visible}
        assert {row["id"] for row in members.json()} == {ids[name] for name in visible & {"lead", "member"}}
    for name in PEOPLE:
        permissions = institute.get(who, f"/api/v1/user/{ids[name]}/permissions")
        by_email = institute.get(who, f"/api/v1/user?email={name.upper()}%40lab.example")
        if visible is None:
            assert (permissions.status, by_email.status) == (403, 403)
            continue
        assert permissions.status == (200 if name in visible else 404), name
        assert [row["id"] for row in by_email.json()] == ([ids[name]] if name in visible else []), name
        if name in visible:
            own = institute.get(name, "/api/v1/user/cache")
            assert permissions.json() == own.json()


def test_anybody_with_a_token_may_look_up_names_but_not_addresses(institute: Institute) -> None:
    ids = institute.ids
    for who in VISIBLE:
        names = institute.get(who, f"/api/v1/username?id={ids['nobody']},{ids['robot']},{ids['nobody']}").json()
        assert names == [{"id": ids["nobody"], "name": "Nobody"}, {"id": ids["robot"], "name": "pcg"}]
        person = institute.get(who, f"/api/v1/user/{ids['nobody']}").json()
        assert ("email" in person) == (who in ("admin", "robot"))
        assert institute.get(who, f"/api/v1/user/{ids['robot']}").status == 404


def test_a_user_has_the_keys_of_middle_auth(institute: Institute) -> None:
    person = institute.get("robot", f"/api/v1/user/{institute.ids['steward']}").json()
    fly = person["admin_datasets"][0].pop("id")
    created = person.pop("created")
    assert created.endswith(" GMT") and isinstance(fly, int)
    assert person == {
        "id": institute.ids["steward"],
        "name": "Steward",
        "pi": "",
        "service_account": False,
        "affiliations": [[]],
        "email": "steward@lab.example",
        "admin": False,
        "gdpr_consent": False,
        "admin_datasets": [{"name": "fly"}],
    }
    (robot,) = institute.get("admin", f"/api/v1/user?id={institute.ids['robot']}").json()
    assert (robot["service_account"], robot["parent_id"], robot["parent"]) == (True, None, None)
    assert robot["email"] == "pcg@service-account.dsg.local"


def test_group_members_say_who_leads(institute: Institute) -> None:
    rows = institute.get("admin", f"/api/v1/group/{institute.ids['lab']}/user").json()
    assert {row["name"]: row["admin"] for row in rows} == {"Lead": True, "Member": False}


HUGE = (2**31, 2**63 - 1, 2**63, 2**64, 10**40)
# Target -> status; None for an answer without anybody.
BAD: dict[str, int | None] = {
    **{f"/api/v1/user/{number}/permissions": 404 for number in ("0", "-1", "\xb2", "abc", "1.0", "1,2", " 1", *HUGE)},
    **{f"/api/v1/user/{number}": 404 for number in ("0", "-1", "\xb2", "abc", "me", *HUGE)},
    **{f"/api/v1/group/{number}/user": None for number in ("0", *HUGE)},
    **{f"/api/v1/group/{number}/user": 404 for number in ("-1", "abc", "\xb2", "1.0")},
    **{f"/api/v1/user?id={ids}": None for ids in ("abc", ",", "-1", "1.5", "%C2%B2", "%00", "1_0", "0x1", *HUGE)},
    **{f"/api/v1/user?email={part}": None for part in ("lab.example", "%25", "_", "%25lab.example", "%00", "%5C", "'")},
    "/api/v1/user": None,
    "/api/v1/user?id=&email=": None,
    "/api/v1/user?name=Lead": None,
    **{f"/api/v1/username?id={ids}": None for ids in ("", ",", "-1", "0", *HUGE)},
    **{
        f"/api/v1/username?id={ids}": 400 for ids in ("abc", "1,abc", "1;2", "1.5", "%C2%B2", "%EF%BC%91", "1_0", "%00")
    },
    "/api/v1/username?id=" + "1," * MAX_ADDRESS: 400,
    "/api/v1/user?id=" + "1," * MAX_ADDRESS: 400,
    "/api/v1/user/1/permissions/": 404,
    "/api/v1/user//permissions": 404,
    "/api/v1/username/": 404,
}


@pytest.mark.parametrize("target", BAD, ids=range(len(BAD)))
def test_bad_ids_and_addresses(target: str, institute: Institute) -> None:
    reply = institute.get("admin", target)
    assert reply.status == (BAD[target] or 200)
    assert BAD[target] is not None or reply.json() == []
    assert reply.headers["content-type"] == "application/json"


def test_four_thousand_ids_and_repeated_ones_are_answered_once_each(institute: Institute) -> None:
    ids = ",".join(["1"] * 4000 + [str(institute.ids["nobody"])])
    assert [row["id"] for row in institute.get("admin", f"/api/v1/username?id={ids}").json()] == [
        1,
        institute.ids["nobody"],
    ]
    assert institute.get("admin", f"/api/v1/user?id=1, 2,{institute.ids['lead']},x").json()[0]["id"] == 1


def test_of_two_ids_the_first_counts_and_an_id_goes_before_an_address(institute: Institute) -> None:
    for target in ("/api/v1/user?id=1&id=2", "/api/v1/user?id=1&email=lead@lab.example"):
        assert [row["id"] for row in institute.get("admin", target).json()] == [1]


def test_a_change_of_who_leads_is_seen_by_the_next_request(institute: Institute, lab: Lab) -> None:
    target = f"/api/v1/user/{institute.ids['member']}/permissions"
    assert institute.get("lead", target).status == 200
    with lab.change() as change:
        groups.remove_member(change, "lab", "member@lab.example")
    assert institute.get("lead", target).status == 404
    with lab.change() as change:
        groups.remove_member(change, "lab", "lead@lab.example")
    assert institute.get("lead", target).status == 403


def test_a_key_that_a_client_was_handed_is_no_admin_and_makes_no_token(institute: Institute, lab: Lab) -> None:
    with lab.change() as change:
        viewer, _ = clients.add(change, "viewer", origin="https://viewer.example", owner="admin@lab.example")
        key = delegated_keys.mint(change, users.find(change.database, "admin@lab.example"), viewer)
    bearer = f"Bearer {key}"
    for target in (f"/api/v1/user/{institute.ids['nobody']}/permissions", "/api/v1/user?id=1", "/api/v1/group/1/user"):
        assert institute.client.get(target, authorization=bearer).status == 403
    person = institute.client.get(f"/api/v1/user/{institute.ids['nobody']}", authorization=bearer)
    assert "email" not in person.json()
    for target in ("/api/v1/create_token", "/api/v1/refresh_token", "/api/v1/user/token"):
        assert institute.client.post(target, authorization=bearer).status == 403


def test_whoever_administers_one_version_sees_nobody_who_has_the_others(institute: Institute, lab: Lab) -> None:
    """Or an admin of one version would read the addresses and all permissions of everybody on the dataset."""
    with lab.change() as change:
        versions.add(change, "fly", "v1")
        nobody = principal_subject(users.find(change.database, "nobody@lab.example"))
        grants.add(change, nobody, Target("fly", "admin", version="v1"))
    listed = institute.get("nobody", "/api/v1/user?id=" + ",".join(str(institute.ids[name]) for name in PEOPLE))
    assert [row["id"] for row in listed.json()] == [institute.ids["nobody"]]
    assert institute.get("nobody", f"/api/v1/user/{institute.ids['reader']}/permissions").status == 404


def test_a_list_of_many_people_takes_no_query_for_each(
    institute: Institute, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, counts = SqliteDatabase.execute, []

    def count_queries(first: int) -> int:
        counts.append(0)
        institute.get("robot", "/api/v1/user?id=" + ",".join(str(number) for number in range(first, 1000)))
        return counts[-1]

    def count(database: SqliteDatabase, *sent: Any) -> Any:
        counts[-1] += 1
        return run(database, *sent)

    with lab.change() as change:
        for number in range(200):
            users.add(change, f"p{number}@lab.example")
        change.database.script("UPDATE principals SET parent_id = 2 WHERE email LIKE 'p1%'")
    with monkeypatch.context() as patch:
        patch.setattr(SqliteDatabase, "execute", count)
        count_queries(900)  # what is prepared once
        assert count_queries(1) <= count_queries(100) + 5
