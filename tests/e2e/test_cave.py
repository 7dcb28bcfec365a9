"""CAVE's own client, middle_auth_client, in a small Flask service, against the gateway behind nginx over TLS."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dsgctl.core import grants, groups, service_accounts, token_checks, tokens, users
from dsgctl.core.clock import now
from dsgctl.core.grant_targets import Target, group_subject
from dsgctl.core.token_checks import PresentedToken
from dsgctl.core.transaction import begin_change
from dsgctl.importers import middle_auth
from dsgctl.store import Database
from tests.dsgctl.importers.cave_dumps import copy_dumps
from tests.e2e.cave import (
    AUTH,
    CAVE,
    ELSEWHERE,
    TOKEN_NAME,
    Cave,
    add_cave_data,
    needs_cave,
    run_cave,
    send_form,
    user_subject,
)
from tests.e2e.conftest import Server
from tests.e2e.local import wait_until
from tests.e2e.provider import ADA, Provider

pytestmark = needs_cave


@pytest.fixture
def cave(
    serve: Callable[..., Server],
    provider: Provider,
    database: Database,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Cave]:
    provider.configure(claims=ADA)
    with begin_change(database, "os:test") as change:
        secrets = add_cave_data(change)
    with run_cave(serve, provider, secrets, tmp_path, **getattr(request, "param", {})) as started:
        yield started


def with_client(**values: str) -> pytest.MarkDecorator:
    """Settings of middle_auth_client for one test."""
    return pytest.mark.parametrize("cave", [values], indirect=True, ids=[",".join(values)])


# Guards

LETS_IN = {
    "/required": {"ada", "reader", "ruler", "leader", "root", "stranger", "bot"},
    "/view": {"ada", "reader", "ruler", "leader", "bot"},
    "/edit": {"ada", "ruler", "leader"},
    "/fly": set(),  # its terms wait
    "/fly-anyway": {"ada"},
    "/worm": set(),  # public, but its terms wait
    "/admin": {"root"},
    "/group": {"ada"},
    "/dataset-admin": {"ruler"},  # through a group does not count
}


def test_each_guard_admits_exactly_the_permitted_users(cave: Cave) -> None:
    for path, allowed in LETS_IN.items():
        statuses = {who: cave.ask(path, who).status_code for who in cave.secrets}
        assert statuses == {who: 200 if who in allowed else 403 for who in cave.secrets}, path
        assert cave.ask(path, None, **{"X-Requested-With": "x"}).status_code == 401, path
        assert cave.ask(path, "x" * 40).status_code == 401, path
    assert cave.ask("/required", "bot").json()["email"] == "bot@service-account.dsg.local"


def test_the_next_request_sees_a_revoked_grant(cave: Cave, database: Database) -> None:
    before = {path: cave.ask(path, "ada").status_code for path in ("/edit", "/group", "/view")}
    assert before == {"/edit": 200, "/group": 200, "/view": 200}
    with begin_change(database, "os:test") as change:
        grants.revoke(change, group_subject(database, "lab-1"), Target("fish2", "edit"))
        grants.add(change, user_subject(change, "ada"), Target("fish2", "view"))
    assert cave.ask("/edit", "ada").json()["error"] == "missing_permission"
    assert cave.ask("/view", "ada").status_code == 200
    with begin_change(database, "os:test") as change:
        groups.remove_member(change, "lab-1", "ada@example.org")
    assert cave.ask("/group", "ada").status_code == 403
    with begin_change(database, "os:test") as change:
        users.set_active(change, "ada@example.org", False)
        service_accounts.set_active(change, "bot", False)
        revoked = token_checks.check(database, PresentedToken(cave.secrets["ruler"]), now()).token
        assert revoked is not None
        tokens.revoke(change, revoked.id)
    for who in ("ada", "bot", "ruler"):
        assert cave.ask("/view", who).json()["error"] == "invalid_token", who
    assert cave.ask("/view", "leader").status_code == 200


@with_client(TOKEN_CACHE_TTL="300")
def test_the_cache_of_the_client_delays_a_refusal_but_no_permission(cave: Cave, database: Database) -> None:
    """300 s is its default. It asks anew before it refuses a permission, up to 20 times in 300 s for a token."""
    assert cave.ask("/view", "stranger").status_code == 403
    assert cave.ask("/view", "ada").status_code == 200
    with begin_change(database, "os:test") as change:
        grants.add(change, user_subject(change, "stranger"), Target("fish2", "view"))
        users.set_active(change, "ada@example.org", False)
    assert cave.ask("/view", "stranger").status_code == 200
    assert cave.gateway_status("ada") == 401, "the gateway knows at once"
    assert cave.ask("/view", "ada").status_code == 200, "the client keeps nothing any more"


@with_client(TOKEN_CACHE_TTL="1")
def test_the_client_asks_again_when_its_cache_entry_expires(cave: Cave, database: Database) -> None:
    assert cave.ask("/view", "ada").status_code == 200
    with begin_change(database, "os:test") as change:
        users.set_active(change, "ada@example.org", False)
    wait_until(lambda: cave.ask("/view", "ada").status_code == 401, seconds=10, event="the refusal")


def test_names_that_exist_only_in_cave_are_compared_exactly_by_its_client(
    serve: Callable[..., Server], provider: Provider, database: Database, tmp_path: Path
) -> None:
    copy_dumps(tmp_path / "dumps", whole=True)
    rows = {
        "group": '1000,"trailing "',
        "user_group": "1000,2,1000,f",
        "permission": '1000,"éditer ✓"\n1001,"edit "',
        "dataset": '1000," lead",\n1001,lead,\n1002,slash/ed,',
        "group_dataset_permission": "1000,1000,1000,1000\n1001,1000,1000,1001\n1002,1000,1002,1001",
    }
    for table, more in rows.items():
        with (tmp_path / "dumps" / f"{table}.csv").open("a", encoding="utf-8") as file:
            file.write(f"{more}\n")
    with begin_change(database, "os:test") as change:
        middle_auth.Importer().run(change, str(tmp_path / "dumps"))
        secret = tokens.mint(change, users.find(database, "mirgax1@example.org"))[1]
    with run_cave(serve, provider, {"mirgax": secret}, tmp_path) as cave:
        statuses = {path: cave.ask(path, "mirgax").status_code for path in FOREIGN}
        assert statuses == FOREIGN


FOREIGN = {
    "/foreign": 200,
    "/foreign-permission": 200,
    "/foreign-slash": 200,
    "/foreign-group": 200,
    "/other-dataset": 403,
    "/other-permission": 403,
    "/other-group": 403,
}


# A browser on its way to sign in and back


def test_a_browser_is_sent_to_sign_in_and_back(cave: Cave) -> None:
    """The service is below the cookie's domain: it reads our cookie."""
    browser = cave.browser()
    assert browser.get(f"{CAVE}/view?x=1").json() == {"email": "ada@example.org", "query": {"x": "1"}}
    assert browser.visited[-1] == f"{CAVE}/view?x=1"
    assert browser.visited[1] == f"{AUTH}/api/v1/authorize?redirect={quote(f'{CAVE}/view?x=1')}"
    assert not any("dsgt" in address for address in browser.visited), "the token was in an address"
    assert browser.get(f"{CAVE}/edit", follow=False).status_code == 200


def test_a_service_outside_the_domain_receives_the_token_and_sets_its_own_cookie(cave: Cave) -> None:
    browser = cave.browser()
    assert browser.get(f"{ELSEWHERE}/view?x=1").json() == {"email": "ada@example.org", "query": {"x": "1"}}
    assert browser.visited[-1] == f"{ELSEWHERE}/view?x=1", "the token stayed in the address"
    assert re.fullmatch(rf"{ELSEWHERE}/view\?x=1&{TOKEN_NAME}=dsgt\w+", browser.visited[-2].replace("%5F", "_"))
    assert browser.get(f"{ELSEWHERE}/edit", follow=False).status_code == 200


# Flask's request.url, which the client sends, is half decoded.
QUERIES = ({"filter": '{"a":[1,"<x>"]}'}, {"name": "Zoë 魚 🐟"}, {"a": "1+1 = 100% & #2", "b": "^`|"}, {"flag": ""})


@pytest.mark.parametrize("service", [CAVE, ELSEWHERE])
def test_a_browser_returns_with_the_complete_query(cave: Cave, service: str) -> None:
    for parameters in QUERIES:
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in parameters.items())
        reply = cave.browser().get(f"{service}/view?{query}")
        assert (reply.status_code, reply.url.partition("?")[0]) == (200, f"{service}/view"), query
        assert reply.json()["query"] == parameters


def test_logout_is_noticed_by_services_inside_and_outside_the_domain(cave: Cave) -> None:
    browser = cave.browser()
    for service in (ELSEWHERE, CAVE):
        assert browser.get(f"{service}/view").status_code == 200
    browser.get("/api/v1/logout")
    for service in (ELSEWHERE, CAVE):
        reply = browser.get(f"{service}/view", follow=False)
        assert reply.status_code == 302 and reply.headers["Location"].startswith(f"{AUTH}/api/v1/authorize?")
    # The service outside still holds the cookie of the ended login, which must not stand in the way.
    for service in (ELSEWHERE, CAVE):
        assert browser.get(f"{service}/view").json()["email"] == "ada@example.org"


def test_a_program_that_logs_out_keeps_its_api_token(cave: Cave) -> None:
    program = cave.browser()  # without a cookie, which would decide in place of the header
    reply = program.get("/api/v1/logout", Accept="application/json", Authorization=f"Bearer {cave.secrets['bot']}")
    assert reply.json() == {"status": "logged out"}
    assert cave.ask("/view", "bot").status_code == 200


def test_a_user_whom_a_service_refuses_is_not_redirected_in_a_loop(
    cave: Cave, provider: Provider, database: Database
) -> None:
    provider.configure(claims={**ADA, "sub": "s-stranger", "email": "stranger@example.org"})
    browser = cave.browser()
    reply = browser.get(f"{CAVE}/view")
    assert (reply.status_code, reply.json()["error"]) == (403, "missing_permission")
    with begin_change(database, "os:test") as change:
        users.set_active(change, "stranger@example.org", False)
    for service in (CAVE, ELSEWHERE):
        reply = browser.get(f"{service}/view")
        assert (reply.status_code, "stranger@example.org is disabled" in reply.text) == (403, True)
        assert reply.url.startswith(AUTH)


def test_a_script_in_a_page_gets_the_address_of_the_login_page(cave: Cave) -> None:
    script = {"X-Requested-With": "XMLHttpRequest"}
    refused = cave.ask("/view", None, **script)
    assert (refused.status_code, refused.json()["error"]) == (401, "no_token")
    realm = re.fullmatch('Bearer realm="(.*)"', refused.headers["WWW-Authenticate"])
    assert realm is not None and realm[1] == f"{AUTH}/api/v1/authorize"
    browser = cave.browser()
    answer = browser.get(f"{realm[1]}?redirect={quote(f'{CAVE}/view')}", **script)
    assert browser.get(answer.json()["authorization_url"]).json()["email"] == "ada@example.org"


# Terms


def test_missing_terms_lead_a_program_to_a_page_that_accepts(cave: Cave) -> None:
    refused = cave.ask("/fly", "ada")
    assert (refused.status_code, refused.json()["error"]) == (403, "missing_tos")
    assert refused.json()["data"]["tos_name"] == "fly terms"
    address = refused.json()["data"]["tos_form_url"]
    assert re.fullmatch(rf"{AUTH}/api/v1/tos/[0-9]+/accept", address)
    browser = cave.browser()
    page = browser.get(address)
    assert "Be kind" in page.text
    assert send_form(browser, page).url == f"{AUTH}/success"
    assert cave.ask("/fly", "ada").status_code == 200


@pytest.mark.parametrize("service", [CAVE, ELSEWHERE])
def test_missing_terms_lead_a_browser_to_a_page_that_accepts_and_back(cave: Cave, service: str) -> None:
    browser = cave.browser()
    url = f"{service}/fly?name=Zo%C3%AB"
    page = browser.get(url)
    assert page.url.startswith(f"{AUTH}/api/v1/tos/")
    assert "Be kind" in page.text
    accepted = send_form(browser, page)
    assert accepted.url == url
    assert accepted.json() == {"email": "ada@example.org", "query": {"name": "Zoë"}}
    assert "accepted" in browser.get(page.url).text, "an accepted document sends on by itself"


@with_client(MIDDLE_AUTH_MY_PERMISSION_URL="/api/v1/user/cache?service=atlas")
def test_terms_of_a_service_are_required_by_that_service_one_after_the_other(cave: Cave) -> None:
    browser = cave.browser()
    first = browser.get(f"{CAVE}/fly")
    assert "Be kind" in first.text
    second = send_form(browser, first)
    assert "Cite us" in second.text
    assert send_form(browser, second).json()["email"] == "ada@example.org"


def test_a_public_dataset_is_readable_by_everybody_who_accepts_its_terms(cave: Cave) -> None:
    """The client leads to terms only those who hold a grant; others find them on our pages."""
    browser = cave.browser()
    assert browser.get(f"{CAVE}/worm").json()["error"] == "missing_permission"
    page = browser.get(f"/activate?dataset=worm&redirect={quote(f'{CAVE}/worm')}")
    assert "Wash your hands" in page.text
    accepted = send_form(browser, page)
    assert accepted.url == f"{CAVE}/worm"
    assert accepted.json()["email"] == "ada@example.org"
