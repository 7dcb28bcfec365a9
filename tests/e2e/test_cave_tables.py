"""Services whose URLs name tables, guarded by the real middle_auth_client, which asks the API `cave` over TLS."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dsgctl.core import grants, groups, service_accounts, service_tables, users
from dsgctl.core.grant_targets import Target, group_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.cave import (
    AUTH,
    CAVE,
    PUBLIC_ROOT,
    SERVICE,
    Cave,
    needs_cave,
    run_cave_with_tables,
    send_form,
)
from tests.e2e.conftest import Server
from tests.e2e.provider import Provider

pytestmark = needs_cave

PROGRAM = {"X-Requested-With": "XMLHttpRequest"}


@pytest.fixture
def cave(serve: Callable[..., Server], provider: Provider, database: Database, tmp_path: Path) -> Iterator[Cave]:
    with run_cave_with_tables(serve, provider, database, tmp_path) as started:
        yield started


def id_of(database: Database, name: str) -> int:
    if name == "bot":
        return service_accounts.find(database, "bot").id
    return users.find(database, f"{name}@example.org").id


# Tables

LETS_IN = {
    "/table/fish2_v1/view": {"ada", "reader", "ruler", "leader", "bot"},
    "/table/fish2_v1/edit": {"ada", "ruler", "leader"},
    "/table/fish2_v1/admin": {"ruler"},
    "/table/fly_v1/view": set(),  # its terms wait
}
NO_TABLE = ("/table/nothing/view", "/table/FISH2_V1/view", "/table/fish2/view", "/other-service/fish2_v1")


def test_a_guard_admits_exactly_those_with_the_permission_on_the_dataset_of_the_table(cave: Cave) -> None:
    for path, allowed in LETS_IN.items():
        statuses = {who: cave.ask(path, who).status_code for who in cave.secrets}
        assert statuses == {who: 200 if who in allowed else 403 for who in cave.secrets}, path
        assert cave.ask(path, None, **PROGRAM).status_code == 401, path
        assert cave.ask(path, "x" * 40).status_code == 401, path


def test_a_table_that_nothing_maps_is_refused_to_everybody(cave: Cave) -> None:
    for path in NO_TABLE:
        for who in cave.secrets:
            reply = cave.ask(path, who)
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_table_id"), (path, who)


def test_a_service_asks_for_a_permission_in_the_body_of_a_route(cave: Cave) -> None:
    may_edit = {who: cave.ask("/table/fish2_v1/may-edit", who).json() for who in cave.secrets}
    assert may_edit == {who: who in LETS_IN["/table/fish2_v1/edit"] for who in cave.secrets}
    assert cave.ask("/table/nothing/may-edit", "ada").json() is False


def test_the_next_question_sees_what_was_revoked_or_unmapped(cave: Cave, database: Database) -> None:
    view = "/table/fish2_v1/view"
    assert [cave.ask(view, who).status_code for who in ("ada", "reader")] == [200, 200]
    with begin_change(database, "os:test") as change:
        grants.revoke(change, group_subject(database, "lab-1"), Target("fish2", "edit"))
        users.set_active(change, "ruler@example.org", False)
    assert cave.ask(view, "ada").json()["error"] == "missing_permission"
    assert cave.ask(view, "ruler").json()["error"] == "invalid_token"
    with begin_change(database, "os:test") as change:
        service_tables.remove_table(change, SERVICE, "fish2_v1")
        service_tables.add_table(change, SERVICE, "fish2_v1", "worm")
    assert cave.ask(view, "reader").json()["data"]["auth_dataset"] == "worm"
    with begin_change(database, "os:test") as change:
        service_tables.remove_table(change, SERVICE, "fish2_v1")
    assert cave.ask(view, "leader").json()["error"] == "invalid_table_id"


def test_a_service_whose_own_token_has_ended_admits_nobody(cave: Cave, database: Database) -> None:
    with begin_change(database, "os:test") as change:
        service_accounts.set_active(change, "bot", False)
    assert cave.ask("/table/fish2_v1/view", "ada").json()["error"] == "invalid_table_id"
    assert cave.ask(f"/table/fish2_v1/root/{PUBLIC_ROOT}", None, **PROGRAM).status_code == 500
    assert cave.ask("/view", "ada").status_code == 200, "what needs no token of the service goes on"


# What is public

ROOTS = f"/table/fish2_v1/root/{PUBLIC_ROOT}"
BEYOND = 1 << 63
OPEN = {  # to a program without a token
    ROOTS: 200,
    f"/table/fish2_v1/root/{PUBLIC_ROOT + 1}": 200,
    f"/table/fish2_v1/root/{PUBLIC_ROOT + 2}": 401,
    f"/table/fish2_v1/root/{BEYOND}": 401,
    f"/table/fly_v1/root/{PUBLIC_ROOT}": 401,
    f"/table/nothing/root/{PUBLIC_ROOT}": 401,
    "/table/fish2_v1/any-public": 200,
    "/table/fly_v1/any-public": 401,
    "/table/fish2_v1/any-public-edit": 401,  # nothing is editable by everybody
}
# The ids in a body, and whether a program without a token is admitted.
BODIES = [
    ([PUBLIC_ROOT], True),
    ([PUBLIC_ROOT, PUBLIC_ROOT + 1], True),
    ([str(PUBLIC_ROOT), PUBLIC_ROOT], True),
    ([PUBLIC_ROOT, PUBLIC_ROOT + 2], False),  # a list as the answer would be true to the client
    ([PUBLIC_ROOT + 2], False),
    ([BEYOND], False),
    ([], False),
]


def test_what_is_public_is_open_to_a_program_without_a_token_and_nothing_else_is(cave: Cave) -> None:
    statuses = {path: cave.ask(path, None, **PROGRAM).status_code for path in OPEN}
    assert statuses == OPEN
    assert cave.ask(ROOTS, "stranger").status_code == 200
    assert cave.ask(f"/table/fish2_v1/root/{PUBLIC_ROOT + 2}", "stranger").status_code == 403


@pytest.mark.parametrize(("ids", "admitted"), BODIES, ids=str)
def test_a_list_of_roots_is_public_only_if_all_of_them_are(cave: Cave, ids: list[int | str], admitted: bool) -> None:
    reply = cave.post("/table/fish2_v1/roots", {"node_ids": ids}, None)
    assert reply.status_code == (200 if admitted else 401), reply.text
    assert cave.post("/table/fish2_v1/roots", {"node_ids": ids}, "stranger").status_code == (200 if admitted else 403)
    assert cave.post("/table/fish2_v1/roots", {"node_ids": ids}, "ada").status_code == 200


def test_a_root_that_is_no_longer_public_is_refused_to_the_next_request(cave: Cave, database: Database) -> None:
    assert cave.ask(ROOTS, None, **PROGRAM).status_code == 200
    with begin_change(database, "os:test") as change:
        service_tables.remove_root(change, SERVICE, "fish2_v1", PUBLIC_ROOT)
    assert cave.ask(ROOTS, None, **PROGRAM).status_code == 401


# People


def test_a_service_knows_who_shares_a_group_with_whom(cave: Cave, database: Database) -> None:
    def shares(who: str, other: str) -> bool:
        reply = cave.ask(f"/shares-group/{id_of(database, other)}", who)
        assert reply.status_code == 200, reply.text
        return bool(reply.json())

    assert shares("ada", "reader") and shares("reader", "ada")
    assert not shares("ada", "leader")
    assert not shares("ada", "stranger"), "their only group is excluded"
    with begin_change(database, "os:test") as change:
        groups.remove_member(change, "lab-1", "reader@example.org")
    assert not shares("ada", "reader")
    for nobody in (id_of(database, "bot"), 10**6):
        assert cave.ask(f"/shares-group/{nobody}", "ada").status_code == 500, "the client raises on 404"


def test_a_service_gets_the_names_of_people_and_of_service_accounts_in_the_order_it_asked(
    cave: Cave, database: Database
) -> None:
    names = ["leader", "bot", "ada", "leader"]
    ids = ",".join(str(id_of(database, name)) for name in names)
    assert cave.ask(f"/usernames/{ids}", "stranger").json() == names
    assert cave.ask(f"/usernames/{ids},{10**6}", "stranger").status_code == 500, "the client needs all of them"


# A browser on its way to sign in and back, under the prefix that CAVE's services use


def test_a_browser_is_sent_to_sign_in_under_the_prefix_and_back(cave: Cave) -> None:
    browser = cave.browser()
    reply = browser.get(f"{CAVE}/table/fish2_v1/view?x=1")
    assert reply.json() == {"email": "ada@example.org", "query": {"x": "1"}}
    begin = f"{AUTH}/sticky_auth/api/v1/authorize?redirect={quote(f'{CAVE}/table/fish2_v1/view?x=1')}"
    assert browser.visited[1] == begin


def test_missing_terms_lead_a_browser_under_the_prefix_to_a_page_that_accepts_and_back(cave: Cave) -> None:
    browser = cave.browser()
    url = f"{CAVE}/table/fly_v1/view"
    page = browser.get(url)
    assert page.url.startswith(f"{AUTH}/sticky_auth/api/v1/tos/")
    assert "Be kind" in page.text
    accepted = send_form(browser, page)
    assert (accepted.url, accepted.json()["email"]) == (url, "ada@example.org")


def test_the_api_answers_under_every_prefix_that_clients_have_and_only_there(cave: Cave) -> None:
    path = f"/api/v1/service/{SERVICE}/table/fish2_v1/dataset"
    token = {"Authorization": f"Bearer {cave.secrets['bot']}"}
    for prefix in ("", "/auth", "/sticky_auth"):
        assert cave.browser().get(prefix + path, **token).json() == "fish2"
    for prefix in ("/auth/auth", "/stickyauth", "/other", "/auth/sticky_auth", "/AUTH"):
        assert cave.browser().get(prefix + path, **token).status_code == 404, prefix
