"""Delegated keys in a real browser: pages of several origins open the windows; only the registered one gets a key."""

import importlib.util
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from dsgctl.core import clients, token_queries, tokens, users
from dsgctl.core.clock import now
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.lab import CHROMIUM, PATIENCE, wait_in_browser

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium"),
    pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="pip install playwright"),
]

DATA = "https://data.example.org"
OPENER = b"""<!doctype html><title>application</title><meta name="referrer" content="POLICY"><script>
window.messages = [];
addEventListener("message", event => messages.push([event.origin, event.source === window.popup, event.data]));
window.ask = address => { window.popup = window.open(address, "key", "width=520,height=640"); };
</script>"""


class _Opener(BaseHTTPRequestHandler):
    """A page that opens windows and notes what is posted to it; ``/POLICY`` is its referrer policy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(OPENER.replace(b"POLICY", self.path[1:].encode()))

    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass
class Applications:
    """A gateway, ada's browser, and applications of which two are registered.

    Attributes:
        atlas, other: registered origins; ``stranger``: another one.
    """

    gateway: str
    atlas: str
    other: str
    stranger: str
    context: Any
    database: Database

    def open(self, origin: str, policy: str = "strict-origin-when-cross-origin") -> Any:
        page = self.context.new_page()
        page.goto(f"{origin}/{policy}")
        return page

    def ask(self, page: Any, path: str) -> Any:
        """Let a page open a window of the gateway. Returns the window."""
        with page.expect_popup() as popup:
            page.evaluate("address => ask(address)", f"{self.gateway}{path}")
        return popup.value

    def sign_in(self) -> None:
        page = self.context.new_page()
        page.goto(f"{self.gateway}/auth/login?next=/success")
        choose_ada(page)
        page.get_by_role("heading", name="Thank you").wait_for()
        page.close()

    def user_cache(self, key: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return requests.get(f"{self.gateway}/api/v1/user/cache", headers=headers, timeout=PATIENCE)

    def key_count(self) -> int:
        rows = token_queries.list_tokens(self.database, at=now())
        return sum(row["kind"] == "delegated" for row in rows)


def choose_ada(window: Any) -> None:
    window.get_by_role("button", name="ada@example.org").click()


def window_of(origin: str) -> str:
    return f"/login?origin={origin}&token=api"


def messages(page: Any) -> list[Any]:
    return list(page.evaluate("messages"))


def take_message(page: Any) -> Any:
    """The one message that the page gets."""
    wait_in_browser(page, lambda: len(messages(page)) > 0, "a message")
    ((origin, from_window, message),) = messages(page)
    assert from_window
    return origin, message


@pytest.fixture
def applications(serve: Callable[..., Server], database: Database) -> Iterator[Applications]:
    from playwright.sync_api import sync_playwright

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Opener) for _ in range(3)]
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    atlas, other, stranger = (
        f"http://{host}:{server.server_address[1]}"
        for host, server in zip(("localhost", "127.0.0.1", "localhost"), servers, strict=True)
    )
    with begin_change(database, "os:test") as change:
        users.add(change, "ada@example.org", admin=True)
        users.add(change, "lee@example.org")
        clients.add(change, "Atlas of larvae", origin=atlas, owner="lee@example.org", app_urls=[DATA])
        clients.add(change, "Other", origin=other, owner="lee@example.org")
    # The stranger is a viewer that may use ngauth: that makes it no client.
    gateway = serve(DSG_DEV_LOGIN="1", NGAUTH_ALLOWED_ORIGINS=stranger)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            context = browser.new_context()
            context.set_default_timeout(PATIENCE)
            origin = gateway.origin.replace("127.0.0.1", "localhost")
            yield Applications(origin, atlas, other, stranger, context, database)
            browser.close()
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def test_a_static_application_gets_a_key_after_sign_in_and_consent(applications: Applications) -> None:
    page = applications.open(applications.atlas)
    window = applications.ask(page, window_of(applications.atlas))
    choose_ada(window)
    window.get_by_role("heading", name="Allow Atlas of larvae to act for you?").wait_for()
    assert messages(page) == []
    with window.expect_event("close"):
        window.get_by_role("button", name="Allow").click()
    origin, message = take_message(page)
    assert (origin, list(message)) == (applications.gateway, ["token"])
    cache = applications.user_cache(message["token"])
    assert (cache.json()["email"], cache.json()["admin"]) == ("ada@example.org", False)
    (row,) = [row for row in token_queries.list_tokens(applications.database, at=now()) if row["kind"] == "delegated"]
    with begin_change(applications.database, "os:test") as change:
        tokens.revoke(change, row["id"])
    assert applications.user_cache(message["token"]).status_code == 401


def test_cancel_posts_nothing(applications: Applications) -> None:
    applications.sign_in()
    page = applications.open(applications.atlas)
    window = applications.ask(page, window_of(applications.atlas))
    with window.expect_event("close"):
        window.get_by_role("button", name="Cancel").click()
    assert (messages(page), applications.key_count()) == ([], 0)


def test_whoever_does_not_want_to_be_asked_again_is_not(applications: Applications) -> None:
    applications.sign_in()
    page = applications.open(applications.atlas)
    window = applications.ask(page, window_of(applications.atlas))
    window.get_by_label("Do not ask again").check()
    with window.expect_event("close"):
        window.get_by_role("button", name="Allow").click()
    first = take_message(page)[1]["token"]
    page = applications.open(applications.atlas)
    applications.ask(page, window_of(applications.atlas))
    second = take_message(page)[1]["token"]
    assert first != second
    assert [applications.user_cache(key).status_code for key in (first, second)] == [200, 200]


def test_a_page_of_another_origin_never_gets_the_key_of_a_registered_one(applications: Applications) -> None:
    """Not even after the person allowed it, and not if they do not want to be asked again."""
    applications.sign_in()
    for origin in (applications.stranger, applications.other):
        page = applications.open(origin)
        window = applications.ask(page, window_of(applications.atlas))
        window.get_by_label("Do not ask again").check()
        with window.expect_event("close"):
            window.get_by_role("button", name="Allow").click()
        window = applications.ask(page, window_of(applications.atlas))
        wait_in_browser(page, window.is_closed, "the end of the window")
        assert messages(page) == []
        with begin_change(applications.database, "os:test") as change:
            for row in list(token_queries.list_tokens(applications.database, at=now())):
                if row["kind"] == "delegated":
                    tokens.revoke(change, row["id"])


def test_an_origin_that_is_not_registered_gets_badorigin(applications: Applications) -> None:
    page = applications.open(applications.stranger)
    applications.ask(page, window_of(applications.stranger))
    assert take_message(page) == (applications.gateway, "badorigin")
    assert applications.key_count() == 0


def test_a_viewer_gets_one_message_and_closes_the_window_itself(applications: Applications) -> None:
    page = applications.open(applications.atlas)
    window = applications.ask(page, "/api/v1/authorize")
    choose_ada(window)
    window.get_by_role("button", name="Allow").click()
    origin, message = take_message(page)
    assert (origin, sorted(message), message["app_urls"]) == (applications.gateway, ["app_urls", "token"], [DATA])
    assert applications.user_cache(message["token"]).status_code == 200
    assert not window.is_closed()
    page.evaluate("popup.close()")
    wait_in_browser(page, window.is_closed, "the end of the window")


def test_a_viewer_that_the_browser_does_not_name_gets_the_key_of_its_own_origin(applications: Applications) -> None:
    applications.sign_in()
    page = applications.open(applications.other, "no-referrer")
    window = applications.ask(page, "/api/v1/authorize")
    window.get_by_text("Your browser does not say which one").wait_for()
    window.get_by_role("button", name="Allow").click()
    _, message = take_message(page)
    assert message["app_urls"] == []
    (row,) = [
        row
        for row in token_queries.list_tokens(applications.database, at=now())
        if message["token"].startswith(row["prefix"]) and row["kind"] == "delegated"
    ]
    assert row["description"] == "Other"


@pytest.mark.parametrize("policy", ["strict-origin-when-cross-origin", "no-referrer"])
def test_a_viewer_that_is_not_registered_gets_nothing(applications: Applications, policy: str) -> None:
    """Whether its origin is known, or the person allows a key that no browser delivers to it."""
    applications.sign_in()
    page = applications.open(applications.stranger, policy)
    window = applications.ask(page, "/api/v1/authorize")
    if policy == "no-referrer":
        window.get_by_role("button", name="Allow").click()
        window.get_by_role("heading", name="Done").wait_for()
    else:
        window.get_by_role("heading", name="This application is not registered").wait_for()
        assert applications.key_count() == 0
    page.evaluate("popup.close()")
    wait_in_browser(page, window.is_closed, "the end of the window")
    assert messages(page) == []
