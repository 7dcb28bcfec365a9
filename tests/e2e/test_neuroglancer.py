"""The real viewer in a real browser: sign in through the popup, accept the terms, see data; or see why not."""

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator

import pytest

from dsgctl.core import terms, users
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.lab import (
    CHROMIUM,
    VIEWER,
    Lab,
    Site,
    log_in_by_popup,
    run_lab,
    shows_pattern,
    source_panel,
    wait_in_browser,
)
from tests.e2e.provider import Provider, needs_node

pytestmark = [
    needs_node,
    pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium"),
    pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light"),
    pytest.mark.skipif(not (VIEWER / "index.html").exists(), reason="the viewer is not built: make viewer"),
    pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="pip install playwright"),
]


@pytest.fixture
def site() -> Site:
    """As browsers have it; a test that is parametrized says otherwise."""
    return Site.BLOCKED


@pytest.fixture
def allowed() -> bool:
    """Whether the viewer's origin may use the gateway."""
    return True


@pytest.fixture
def lab(
    site: Site, allowed: bool, serve: Callable[..., Server], provider: Provider, database: Database
) -> Iterator[Lab]:
    with run_lab(site, serve, provider, database, allowed=allowed) as running_lab:
        yield running_lab


@pytest.mark.parametrize("site", Site)
def test_a_scientist_signs_in_accepts_the_terms_and_sees_data(lab: Lab) -> None:
    page = lab.open()
    popup = log_in_by_popup(page)
    popup.get_by_role("heading", name="Be kind").wait_for()
    assert not shows_pattern(page)
    with popup.expect_event("close"):
        popup.get_by_role("button", name="Accept").click()
    wait_in_browser(page, lambda: shows_pattern(page), "the pattern")
    assert "fish2/v1/full/0-64_0-64_0-64" in lab.google.served_objects
    assert all("v1/" in json.dumps(rules) for rules in lab.google.boundaries)


@pytest.mark.parametrize("site", [Site.LOCAL, Site.ALLOWED])
def test_with_a_cookie_the_data_comes_without_a_click(lab: Lab) -> None:
    lab.sign_in()
    page = lab.open()
    wait_in_browser(page, lambda: shows_pattern(page), "the pattern")


def test_each_load_takes_one_click_when_the_browser_withholds_the_cookie(lab: Lab) -> None:
    lab.sign_in()
    page = lab.open()
    for _ in range(2):
        popup = log_in_by_popup(page)
        wait_in_browser(page, popup.is_closed, "the popup's end")
        wait_in_browser(page, lambda: shows_pattern(page), "the pattern")
        page.reload()


@pytest.mark.parametrize("allowed", [False])
def test_a_viewer_that_is_not_allowed_shows_the_refusal(lab: Lab) -> None:
    page = source_panel(lab.open())
    page.get_by_text("does not allow requests from Neuroglancer instance https://viewer.test").first.wait_for()


def test_a_user_who_postpones_the_terms_sees_the_viewer_but_no_data(lab: Lab) -> None:
    page = lab.open()
    popup = log_in_by_popup(page)
    with page.expect_response("**/gcs_token") as reply:
        popup.get_by_text("Continue without accepting").click()
    assert reply.value.status == 403  # its text cannot be asked for: the viewer never reads it, so it never ends
    source_panel(page).get_by_text("HTTP error 403").first.wait_for()
    assert lab.google.boundaries == lab.google.served_objects == []


@pytest.mark.parametrize("site", [Site.LOCAL, Site.ALLOWED])
def test_a_user_with_a_cookie_is_shown_new_terms_and_accepts_them(lab: Lab) -> None:
    lab.sign_in()
    lab.change(terms.add, "fish2 terms", "# Be kinder\n", dataset="fish2")
    page = lab.open()
    popup = log_in_by_popup(page)
    popup.get_by_role("heading", name="Be kinder").wait_for()
    popup.get_by_text("ada@example.org").wait_for()
    with popup.expect_event("close"):
        popup.get_by_role("button", name="Accept").click()
    wait_in_browser(page, lambda: shows_pattern(page), "the pattern")
    page.reload()
    wait_in_browser(page, lambda: shows_pattern(page), "the pattern without a click")


@pytest.mark.parametrize("site", [Site.LOCAL, Site.ALLOWED])
def test_new_terms_that_were_postponed_are_not_asked_for_again_in_this_login(lab: Lab) -> None:
    lab.sign_in()
    lab.change(terms.add, "fish2 terms", "# Be kinder\n", dataset="fish2")
    page = lab.open()
    popup = log_in_by_popup(page)
    with page.expect_response("**/gcs_token") as reply:
        popup.get_by_text("Continue without accepting").click()
    assert reply.value.status == 403
    with page.expect_response("**/gcs_token") as reply, page.expect_response("**/token") as cookie_to_token:
        page.reload()
    assert (cookie_to_token.value.status, reply.value.status) == (200, 403)
    # Other terms are another question.
    lab.change(terms.add, "fish2 terms", "# Be kindest\n", dataset="fish2")
    page.reload()
    popup = log_in_by_popup(page)
    popup.get_by_role("heading", name="Be kindest").wait_for()


@pytest.mark.parametrize("site", [Site.LOCAL, Site.ALLOWED])
def test_the_landing_page_opens_a_dataset_in_the_viewer(lab: Lab) -> None:
    lab.sign_in()
    page = lab.context.new_page()
    page.goto(f"{lab.gateway}/")
    page.get_by_role("link", name="Open in Neuroglancer: fish2").click()
    wait_in_browser(page, lambda: "fish2/v1/full/0-64_0-64_0-64" in lab.google.served_objects, "data")


def test_a_bucket_without_permission_shows_an_error_and_no_data(lab: Lab) -> None:
    lab.sign_in()
    page = lab.open("fly/v1")
    log_in_by_popup(page)
    source_panel(page).get_by_text("HTTP error 403").first.wait_for()
    assert lab.google.boundaries == lab.google.served_objects == []


@pytest.mark.parametrize("site", [Site.ALLOWED])
def test_a_disabled_user_sees_no_more_data(lab: Lab) -> None:
    lab.sign_in()
    page = lab.open()
    wait_in_browser(page, lambda: shows_pattern(page), "the pattern")
    lab.change(users.set_active, "ada@example.org", False)
    lab.google.served_objects.clear()
    with page.expect_response("**/token") as reply:
        page.reload()
    assert reply.value.status == 401
    assert lab.google.served_objects == []


@pytest.mark.parametrize("site", [Site.ALLOWED])
def test_only_objects_below_the_prefix_can_be_read_and_listed(lab: Lab) -> None:
    """With the very token that the viewer got."""
    lab.sign_in()
    page = lab.open()
    wait_in_browser(page, lambda: "fish2/v1/info" in lab.google.served_objects, "data")
    token = next(iter(lab.google.tokens))
    storage = f"https://localhost:{lab.google.port}/storage/v1/b/fish2/o"

    def status(path: str) -> int:
        return int(lab.context.request.get(storage + path, headers={"Authorization": f"Bearer {token}"}).status)

    assert status("/v1%2Finfo?alt=media") == 200
    assert status("/other%2Finfo?alt=media") == 403
    assert status("?prefix=v1/") == 200
    assert status("?prefix=") == status("?prefix=other/") == status("?prefix=v") == 403


@pytest.mark.parametrize("site", [Site.ALLOWED])
def test_the_viewer_completes_names_below_the_prefix(lab: Lab) -> None:
    lab.sign_in()
    page = lab.open()
    wait_in_browser(page, lambda: "fish2/v1/info" in lab.google.served_objects, "data")
    address = source_panel(page).locator(".neuroglancer-layer-data-source-url-input").first
    address.click()
    page.keyboard.press("End")
    page.keyboard.type("fu")
    page.get_by_text("full/").first.wait_for()
