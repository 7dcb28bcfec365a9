"""The page that asks, and the page that hands a key over: what they say, post, remember and record."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from dsgctl.core import clients, token_queries, tokens
from dsgctl.core.clock import now
from dsgctl.setting_values import APIS
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from tests.dsgserve.clients.windows import ATLAS, DATA, answer, open_window, read_messages, register, take_key
from tests.dsgserve.conftest import PAGE, Client, Lab, Reply


@pytest.fixture(autouse=True)
def registered(lab: Lab) -> None:
    register(lab)


def assert_protected(reply: Reply) -> None:
    names = ("cache-control", "referrer-policy", "x-frame-options", "cross-origin-opener-policy")
    assert [reply.headers[name] for name in names] == ["no-store, private", "same-origin", "DENY", "unsafe-none"]


def live_keys(lab: Lab) -> list[int]:
    return [row["id"] for row in token_queries.list_tokens(lab.database, at=now()) if row["kind"] == "delegated"]


def test_the_page_names_account_client_responsible_origin_and_end(client: Client, lab: Lab) -> None:
    page = open_window(client, cookie=lab.bo)
    assert page.status == 200
    assert_protected(page)
    end = now() + timedelta(days=7)
    for text in (
        "bo@example.org",
        "atlas",
        "ada@example.org",
        ATLAS,
        f"{end:%Y-%m-%d}",
        "Allow",
        "Cancel",
        "ask again",
    ):
        assert text in page.text
    assert "data-messages" not in page.text and live_keys(lab) == []


def test_allowing_posts_a_key_to_exactly_the_registered_origin(client: Client, lab: Lab) -> None:
    reply = answer(client, open_window(client, cookie=lab.bo), lab.bo)
    assert_protected(reply)
    ((origin, message),) = read_messages(reply)
    assert (origin, list(message), 'data-closes="yes"' in reply.text) == (ATLAS, ["token"], True)
    cache = client.get("/api/v1/user/cache", authorization=f"Bearer {message['token']}")
    assert cache.json()["email"] == "bo@example.org"
    (row,) = [row for row in token_queries.list_tokens(lab.database, at=now()) if row["kind"] == "delegated"]
    assert (row["user"], row["description"]) == ("bo@example.org", "atlas")
    assert lab.scalar("SELECT actor FROM audit ORDER BY id DESC LIMIT 1") == "user:bo@example.org"


def test_cancelling_posts_nothing_and_makes_nothing(client: Client, lab: Lab) -> None:
    before = lab.database.table_sizes()
    reply = answer(client, open_window(client, cookie=lab.bo), lab.bo, "cancel", remember="1")
    assert_protected(reply)
    assert (read_messages(reply), 'data-closes="yes"' in reply.text) == ([], True)
    assert lab.database.table_sizes() == before


def test_whoever_says_so_is_not_asked_again_until_no_key_is_left(client: Client, lab: Lab) -> None:
    take_key(client, lab.bo)
    assert open_window(client, cookie=lab.bo).forms(), "not remembered"
    take_key(client, lab.bo, remember="1")
    reply = open_window(client, cookie=lab.bo)
    assert_protected(reply)
    ((origin, message),) = read_messages(reply)
    assert origin == ATLAS
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {message['token']}").status == 200
    assert open_window(client, cookie=lab.ada).forms(), "somebody else"
    for token_id in live_keys(lab):
        with lab.change() as change:
            tokens.revoke(change, token_id)
    assert open_window(client, cookie=lab.bo).forms(), "none left"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"sec_purpose": "prefetch;prerender"},
    ],
)
def test_a_request_that_nobody_intends_makes_no_key(client: Client, lab: Lab, headers: dict[str, str]) -> None:
    take_key(client, lab.bo, remember="1")
    before = live_keys(lab)
    assert open_window(client, cookie=lab.bo, **headers).forms()
    client.request("HEAD", f"/login?origin={ATLAS}&token=api", cookie=lab.bo, accept=PAGE)
    assert live_keys(lab) == before


def test_a_person_has_at_most_ten_keys_of_a_client(client: Client, lab: Lab) -> None:
    first = take_key(client, lab.bo, remember="1")
    for _ in range(10):
        read_messages(open_window(client, cookie=lab.bo))
    assert len(live_keys(lab)) == 10
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {first}").status == 401


def test_a_viewer_gets_the_key_and_the_app_urls_in_one_message_and_closes_the_window_itself(
    client: Client, lab: Lab
) -> None:
    page = client.get(f"/login?viewer={ATLAS}", cookie=lab.bo, accept=PAGE)
    reply = answer(client, page, lab.bo, remember="1")
    ((origin, message),) = read_messages(reply)
    assert origin == ATLAS
    assert (list(message), message["app_urls"]) == (["token", "app_urls"], [DATA])
    assert 'data-closes="no"' in reply.text
    assert read_messages(client.get(f"/login?viewer={ATLAS}", cookie=lab.bo, accept=PAGE))[0][0] == ATLAS


def test_a_viewer_that_is_not_registered_gets_no_message_at_all(client: Client, lab: Lab) -> None:
    for cookie in (lab.bo, None):
        reply = client.get("/login?viewer=https://evil.example", cookie=cookie, accept=PAGE)
        assert (reply.status, "data-messages" in reply.text, "<script" in reply.text) == (403, False, False)


def test_a_window_that_names_no_viewer_posts_to_each_registered_origin_a_key_of_its_own(
    client: Client, lab: Lab
) -> None:
    register(lab, "https://other.example", "other")
    register(lab, "https://third.example", "third")
    with lab.change() as change:
        clients.set_active(change, "third", False)
    page = client.get("/login?viewer=*", cookie=lab.bo, accept=PAGE)
    assert "atlas" in page.text and "other" in page.text and "third" not in page.text
    assert "ask again" not in page.text
    messages = dict(read_messages(answer(client, page, lab.bo, remember="1")))
    assert set(messages) == {ATLAS, "https://other.example"}
    assert messages[ATLAS]["token"] != messages["https://other.example"]["token"]
    assert lab.scalar("SELECT count(*) FROM client_consents") == 0


def test_with_a_key_an_admin_is_none_and_no_cookie_signs_in(client: Client, lab: Lab) -> None:
    with lab.database.transaction():
        lab.database.script("UPDATE principals SET admin = 1 WHERE email = 'bo@example.org'")
    key = take_key(client, lab.bo)
    for _ in range(2):  # the second answer is a cached one
        assert client.get("/api/v1/user/cache", authorization=f"Bearer {key}").json()["admin"] is False
        assert client.get("/api/v1/user/cache", cookie=lab.bo).json()["admin"] is True
        refused = client.get("/api/v1/user/cache", cookie=key)
        assert (refused.status, refused.json()["error"]) == (401, "invalid_token")
    assert client.post("/token", cookie=key).status == 401
    assert client.get("/", cookie=key, accept=PAGE).text.count("bo@example.org") == 0
    assert client.get("/activate", cookie=key).status == 303


@pytest.mark.parametrize("admin", [True, False])
def test_no_api_gives_a_key_what_only_an_admin_may(gateway: Gateway, lab: Lab, admin: bool) -> None:
    """Cy has no permission; as an admin, Cy may everything, but not with a key."""
    client = Client(make_app(replace(gateway, config=replace(gateway.config, apis=APIS))))
    with lab.database.transaction():
        lab.database.script(f"UPDATE principals SET admin = {int(admin)} WHERE email = 'cy@example.org'")
    key = take_key(client, lab.cy)
    entries = {"entries": [{"name": "fish", "permission": "edit"}]}
    for token, may in ((key, False), (lab.cy, admin)):
        header = {"authorization": f"Bearer {token}"}
        assert client.get("/api/dsg/v1/user", **header).json()["admin"] is may
        assert client.get("/api/v1/gate?dataset=fish", **header).status == (200 if may else 403)
        body = json.dumps(entries).encode()
        reply = client.post("/api/dsg/v1/authorize", body=body, content_type="application/json", **header)
        assert reply.json()["entries"][0]["decision"] == ("allow" if may else "deny")
        names = [row["name"] for row in client.get("/api/dsg/v1/datasets", **header).json()]
        assert ("fish" in names) is may


def test_the_next_request_sees_that_the_shell_deleted_the_client(client: Client, lab: Lab) -> None:
    key = take_key(client, lab.bo)
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {key}").status == 200
    with lab.database.transaction():
        lab.database.script("DELETE FROM clients")
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {key}").status == 401
