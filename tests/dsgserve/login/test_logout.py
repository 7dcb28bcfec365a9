"""Who may end a login, or finish one, and what a logout ends. contract.md, "Login"."""

import html
import re
from typing import Any

import pytest

from dsgctl.core import tokens, users
from dsgserve.http.route import Guard
from tests.dsgserve.conftest import PAGE, VIEWER, Client, Lab
from tests.dsgserve.routes import EVERY_ROUTE, fill_path

CROSS = {"sec_fetch_site": "cross-site"}
NAVIGATION = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}

PARTS = ("iframe", "frame", "embed", "object", "fencedframe")
FETCHES = (
    ("no-cors", "image"),
    ("no-cors", "script"),
    ("cors", "empty"),
    ("no-cors", "style"),
    ("no-cors", "empty"),
    ("websocket", "websocket"),
)
BY_PAGES = (
    ("GET", "cross-site"),
    ("GET", "same-site"),
    ("GET", "same-origin"),
    ("POST", "cross-site"),
    ("POST", "same-site"),
)


def metadata(site: str, mode: str, destination: str) -> dict[str, str]:
    return {"sec_fetch_site": site, "sec_fetch_mode": mode, "sec_fetch_dest": destination}


# method, path, headers -> whether the login ends.
ASKED: list[tuple[str, str, dict[str, str], bool]] = [
    # a program, or a browser that does not say
    ("GET", "/api/v1/logout", {}, True),
    ("POST", "/api/v1/logout", {}, True),
    ("POST", "/logout", {}, True),
    ("GET", "/api/v1/logout", {"accept": PAGE}, True),
    # a person
    ("GET", "/api/v1/logout", {**NAVIGATION, "sec_fetch_site": "none", "sec_fetch_user": "?1"}, True),
    ("GET", "/api/v1/logout", {**NAVIGATION, **CROSS, "sec_fetch_user": "?1"}, True),
    ("GET", "/api/v1/logout", {**NAVIGATION, "sec_fetch_site": "same-site"}, True),
    ("GET", "/api/v1/logout", {**CROSS, "sec_fetch_mode": "navigate"}, True),
    ("POST", "/logout", {**NAVIGATION, "sec_fetch_site": "same-origin", "origin": "null"}, True),
    ("POST", "/logout", {"sec_fetch_site": "same-origin", "sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}, True),
    ("POST", "/logout", {"origin": "https://auth.example.org"}, True),
    ("POST", "/logout", {"origin": "null"}, True),
    # by no method that only looks
    ("HEAD", "/api/v1/logout", {}, False),
    ("HEAD", "/api/v1/logout", NAVIGATION, False),
    ("OPTIONS", "/logout", {}, False),
    ("OPTIONS", "/api/v1/logout", {}, False),
    ("PUT", "/api/v1/logout", {}, False),
    ("DELETE", "/logout", {}, False),
    ("GET", "/logout", {}, False),
    ("HEAD", "/logout", {}, False),
    # ahead of what a person may do
    ("GET", "/api/v1/logout", {"sec_purpose": "prefetch"}, False),
    ("GET", "/api/v1/logout", {"sec_purpose": "prefetch;prerender", **NAVIGATION, "sec_fetch_site": "none"}, False),
    ("GET", "/api/v1/logout", {"sec_purpose": "prefetch;anonymous-client-ip", **NAVIGATION}, False),
    ("GET", "/api/v1/logout", {"purpose": "prefetch", **NAVIGATION}, False),
    ("GET", "/api/v1/logout", {"purpose": "Prefetch"}, False),
    ("GET", "/api/v1/logout", {"x_purpose": "preview"}, False),
    ("GET", "/api/v1/logout", {"x_moz": "prefetch"}, False),
    ("GET", "/api/v1/logout", {"purpose": "prerender"}, False),
    ("POST", "/logout", {"sec_purpose": "prefetch", "sec_fetch_site": "same-origin"}, False),
    # in a part of a page, or by a script, a picture, a style
    *(
        (method, "/api/v1/logout", metadata(site, "navigate", part), False)
        for method, site in BY_PAGES
        for part in PARTS
    ),
    *((method, "/api/v1/logout", metadata(site, *fetch), False) for method, site in BY_PAGES for fetch in FETCHES),
    ("POST", "/logout", {"origin": "https://evil.example"}, False),
    ("POST", "/logout", {"origin": "https://auth.example.org.evil.example"}, False),
    ("POST", "/logout", {"origin": "https://viewer.example"}, False),
]


@pytest.mark.parametrize(("method", "address", "headers", "ends"), ASKED)
def test_only_a_deliberate_request_ends_a_login(
    method: str, address: str, headers: dict[str, str], ends: bool, client: Client, lab: Lab
) -> None:
    options: dict[str, Any] = headers
    reply = client.request(method, address, cookie=lab.ada, **options)
    assert (reply.status in (200, 303)) is ends
    assert (client.get("/api/v1/user/cache", cookie=lab.ada).status == 401) is ends
    assert ("set-cookie" in reply.headers) is ends


def test_every_get_route_that_changes_something_needs_a_deliberate_request(client: Client, lab: Lab) -> None:
    """The others only show, or need a form of ours: no GET of theirs moves the database."""
    for route in EVERY_ROUTE:
        path = fill_path(route, lab.fly_terms)
        for headers in (
            {"sec_purpose": "prefetch"},
            {**CROSS, "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
        ):
            for method in ("HEAD", "GET", "OPTIONS"):
                before = lab.database.table_sizes()
                options: dict[str, Any] = headers
                reply = client.request(method, path, cookie=lab.bo, **options)
                assert lab.database.table_sizes() == before, (method, path)
                if all(endpoint.guard is Guard.DELIBERATE for endpoint in route.endpoints):
                    assert reply.status == (403 if method == "GET" and "GET" in route.methods else 405), (method, path)
    assert client.get("/api/v1/user/cache", cookie=lab.bo).status == 200


def test_a_request_with_a_token_header_is_deliberate(client: Client, lab: Lab) -> None:
    reply = client.get(
        "/api/v1/logout", authorization=f"Bearer {lab.ada}", sec_fetch_mode="cors", sec_fetch_dest="empty"
    )
    assert (reply.status, reply.json()) == (200, {"status": "logged out"})
    assert client.get("/api/v1/user/cache", cookie=lab.ada).status == 401
    assert client.get("/api/v1/logout", authorization=f"Bearer {lab.script}").status == 200
    assert client.get("/api/v1/user/cache", cookie=lab.script).status == 200  # no login


def test_every_login_that_is_presented_ends_and_no_other_token(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        ada = users.find(lab.database, "ada@example.org")
        second, header = (tokens.mint(change, ada, kind="login")[1] for _ in range(2))
    cookies = f"dsg_token=stale; dsg_token={lab.ada}; dsg_token={lab.script}; dsg_token={second}; dsg_token={lab.robot}"
    client.request("POST", "/logout", COOKIE=cookies, authorization=f"Bearer {header}")
    for token, status in (
        (lab.ada, 401),
        (second, 401),
        (header, 401),
        (lab.script, 200),
        (lab.robot, 200),
        (lab.bo, 200),
    ):
        assert client.get("/api/v1/user/cache", cookie=token).status == status


def test_the_login_of_a_disabled_account_ends_too(client: Client, lab: Lab) -> None:
    client.post("/logout", cookie=lab.gone)
    with lab.change() as change:
        users.set_active(change, "gone@example.org", True)
    reply = client.get("/api/v1/user/cache", cookie=lab.gone)
    assert (reply.status, reply.json()["error"]) == (401, "invalid_token")


# Where to afterwards (contract.md, "Logout")

AFTERWARDS = {
    "https%3A%2F%2Fcave.example%2F": "https://cave.example/",
    "https://cave.example/x?y": "https://cave.example/x?y",
    "https://a.example.org/": "https://a.example.org/",
    "/success": "/success",
    "%2Flogin": "/login",
    "https://evil.example/": "/",
    "//evil.example": "/",
    "/%5Cevil.example": "/",
    "javascript:alert(1)": "/",
    "": "/",
    "https://cave.example.evil.example/": "/",
    "https://cave.example/" + "x" * 5000: "/",
    "%0d%0aX:y": "/",
}


@pytest.mark.parametrize("target", AFTERWARDS)
def test_a_logout_redirects_to_allowed_targets(target: str, client: Client, lab: Lab) -> None:
    for accept in (PAGE, "application/json"):
        for reply in (
            client.get(f"/api/v1/logout?redirect={target}", cookie=lab.ada, accept=accept),
            client.post(f"/logout?redirect={target}", cookie=lab.ada, accept=accept),
        ):
            assert (reply.status, reply.headers["location"]) == (302, AFTERWARDS[target])
            assert "dsg_token=;" in reply.headers["set-cookie"]
    assert client.get("/api/v1/user/cache", cookie=lab.ada).status == 401


@pytest.mark.parametrize("accept", [PAGE, "application/json", "*/*"])
def test_without_a_target_a_logout_is_200_and_the_button_of_our_pages_leads_to_the_landing_page(
    accept: str, client: Client, lab: Lab
) -> None:
    for method in ("GET", "POST"):
        reply = client.request(method, "/api/v1/logout", cookie=lab.ada, accept=accept)
        assert (reply.status, reply.json()) == (200, {"status": "logged out"})
        assert "Max-Age=0" in reply.headers["set-cookie"]
    reply = client.post("/logout", cookie=lab.bo, accept=accept)
    assert (reply.status, reply.headers.get("location")) == ((303, "/") if accept == PAGE else (200, None))


def test_a_refused_logout_does_not_redirect(client: Client, lab: Lab) -> None:
    reply = client.get("/api/v1/logout?redirect=/success", cookie=lab.ada, sec_purpose="prefetch")
    assert reply.status == 403 and "location" not in reply.headers


# What else a GET may remember: that terms are put off


def test_a_prefetch_or_a_head_request_does_not_postpone_terms(client: Client, lab: Lab) -> None:
    def popup() -> str:
        return client.get(f"/login?origin={VIEWER}", cookie=lab.bo, accept=PAGE).text

    (later,) = re.findall(r'href="([^"]*terms=later[^"]*)"', popup())
    link = html.unescape(later)
    fetch: dict[str, Any] = metadata("cross-site", "navigate", "iframe")
    client.get(link, cookie=lab.bo, accept=PAGE, sec_purpose="prefetch")
    client.get(link, cookie=lab.bo, accept=PAGE, **fetch)
    client.request("HEAD", link, cookie=lab.bo, accept=PAGE)
    assert "terms=later" in popup()
    assert "You are signed in" in client.get(link, cookie=lab.bo, accept=PAGE).text
    assert "terms=later" not in popup()


UNREADABLE = [
    {"body": b"{", "content_type": "application/json"},
    {"body": b"[]", "content_type": "application/json"},
    {"body": b'{"redirect": "\\ud800"}', "content_type": "application/json"},
    {"body": b'{"redirect": 1}', "content_type": "application/json"},
    {"body": b"&" * 1000, "content_type": "application/x-www-form-urlencoded"},
    {"body": b"redirect=https://evil.example/", "content_type": "application/x-www-form-urlencoded"},
]


@pytest.mark.parametrize("sent", UNREADABLE)
def test_a_logout_always_clears_the_cookie(sent: dict[str, Any], client: Client, lab: Lab) -> None:
    reply = client.post("/api/v1/logout", cookie=lab.ada, **sent)
    assert (reply.status, reply.headers["location"]) == (302, "/")
    assert "Max-Age=0" in reply.headers["set-cookie"]
    assert client.get("/api/v1/user/cache", cookie=lab.ada).status == 401


def test_a_query_that_is_too_long_ends_a_login_too(client: Client, lab: Lab) -> None:
    reply = client.get(f"/api/v1/logout?{'a&' * 200}", cookie=lab.ada)
    assert (reply.status, "Max-Age=0" in reply.headers["set-cookie"]) == (302, True)
