"""The pages in a real browser: at each size and zoom, light and dark, by keyboard, printed, and checked by axe-core."""

import importlib.util
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from dsgctl.core import acceptances, clients, datasets, grants, locations, terms, tokens, users, versions
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.lab import CHROMIUM
from tests.e2e.provider import NODE

AXE = NODE / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium"),
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core from npm: make node-parts"),
    pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="pip install playwright"),
]

VIEWER = "/login?origin=https%3A%2F%2Fviewer.example"
# Name -> whose cookie, and the address.
PAGES = {
    "not signed in": (None, "/"),
    "disabled": ("gone", "/"),
    "landing": ("ada", "/"),
    "nothing yet": ("bo", "/"),
    "filter": ("dee", "/?q=set-1"),
    "many": ("dee", "/"),
    "popup with terms": ("ada", VIEWER),
    "popup with many terms": ("dee", VIEWER),
    "popup done": ("ada", f"{VIEWER}&terms=later"),
    "popup of a stranger": ("ada", "/login?origin=https%3A%2F%2Fevil.example"),
    "bad popup": (None, "/login?origin=x"),
    "key of a client": ("ada", "/login?origin=https%3A%2F%2Flab.github.io&token=api"),
    "key of one of two clients": ("ada", "/login?viewer=*"),
    "no client": ("ada", "/login?viewer=https%3A%2F%2Fevil.example"),
    "terms": ("ada", "/api/v1/tos/1/accept"),
    "right to left": ("ada", "/api/v1/tos/2/accept"),
    "accepted": ("cy", "/api/v1/tos/3/accept"),
    "all done": ("cy", "/activate?dataset=x"),
    "status": ("ada", "/login"),
    "not found": ("ada", "/nowhere"),
    "success": ("ada", "/success"),
    "dev login": (None, "/auth/login"),
    "bad next": (None, "/auth/login?next=//x"),
}
# Width and height in CSS pixels: a wide window, a phone, and the wide window at 200 % and 400 % zoom.
SIZES = [(1280, 800, "light"), (375, 667, "dark"), (640, 400, "light"), (320, 200, "dark")]
TEXT = (
    "# Terms of use\n\nCite [the paper](https://example.org/paper).\n\n### Sharing\n\n- one\n- two\n\n"
    f"```\n{'a-very-long-word ' * 20}\n```\n\n{'x' * 300}\n\n"
    f"|Resolution|Who|Until|What|\n|-|-|-|-|\n|8 nm|{'lab' * 30}|2027|-|\n\n"
)
HEBREW = "# תנאי שימוש\n\nהנתונים פתוחים לכל מי שמצטט (eLife, 2026).\n\nIn English too.\n"
LONG = "a.very.long.address.of.somebody@institute-of-neuroscience.example.org"


def _fill(change: Change) -> dict[str, str]:
    """People, datasets and terms. Returns a login token of each person."""
    names = {name: f"{name}@example.org" for name in ("ada", "bo", "cy", "dee", "gone")} | {"bo": LONG}
    people = {name: users.add(change, email, name="עדה" if name == "cy" else "")[0] for name, email in names.items()}

    def add(name: str, who: str, text: str) -> None:
        datasets.add(change, name, description="A brain", public=not who)
        versions.add(change, name, "v1")
        locations.add(change, name, f"gs://lab-data/projects/{name}/segmentation")
        if who:
            grants.add(change, principal_subject(people[who]), Target(name, "view"))
        terms.add(change, f"terms of {name}" if text != HEBREW else "תנאים", text, dataset=name)

    add("fish2", "ada", TEXT)
    add("banc_hemibrain_0_57_consolidated_segmentation_of_everything", "ada", HEBREW)
    add("fly", "", TEXT)
    for number in range(20):
        add(f"set-{number}", "dee", TEXT * 3)
    acceptances.accept(change, 3, "cy@example.org")
    clients.add(change, "Atlas of larvae", origin="https://lab.github.io", owner=LONG)
    clients.add(change, "סייר", origin=f"https://{'viewer-' * 8}of.imaging-facility.example.org:8443", owner=LONG)
    week = change.at + timedelta(days=7)
    secrets = {name: tokens.mint(change, user, kind="login", expires=week)[1] for name, user in people.items()}
    users.set_active(change, "gone@example.org", False)
    return secrets


Open = Callable[..., Any]


@pytest.fixture
def visit(serve: Callable[..., Server], database: Database) -> Iterator[Open]:
    """Opens one of the pages in a window of its own; notes what the browser complains of."""
    from playwright.sync_api import sync_playwright

    with begin_change(database, "os:test") as change:
        secrets = _fill(change)
    server = serve(
        DSG_DEV_LOGIN="1",
        NGAUTH_ALLOWED_ORIGINS=r"https://viewer\.example",
        DSG_SITE_NAME="Larval Zebrafish Data",
        DSG_SITE_CONTACT="data@example.org",
        DSG_VIEWER_URL="https://viewer.example/",
    )
    origin = server.origin.replace("127.0.0.1", "localhost")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        def open_page(
            name: str, width: int = 1280, height: int = 800, scheme: str = "light", *, free: bool = False
        ) -> Any:
            """
            Args:
                free: without the page's own policy, so that a test can run scripts of its own.
            """
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=free
            )
            who, path = PAGES[name]
            if who:
                context.add_cookies([{"name": "dsg_token", "value": secrets[who], "url": origin}])
            page = context.new_page()
            page.complaints = []
            page.on(
                "console", lambda message: page.complaints.append(message.text) if message.type == "error" else None
            )
            page.goto(origin + path)
            return page

        try:
            yield open_page
        finally:
            browser.close()


def test_axe_finds_no_violation_and_no_page_is_wider_than_the_window(visit: Open) -> None:
    script = AXE.read_text(encoding="utf-8")
    rules = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}"
    for name in PAGES:
        for width, height, scheme in SIZES:
            page = visit(name, width, height, scheme, free=True)
            violations = []
            if width in (1280, 375):  # what it finds depends on the colours, and hardly on the size
                page.evaluate(script)
                violations = page.evaluate(f"axe.run(document, {rules})")["violations"]
            wrong = [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in violations]
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert (name, width, wrong, wider) == (name, width, [], 0)
            page.context.close()


def test_no_page_breaks_its_own_policy_or_loads_anything(visit: Open) -> None:
    for name in PAGES:
        page = visit(name)
        complaints = [text for text in page.complaints if "Failed to load resource" not in text]
        loaded = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
        outside = [address for address in loaded if not address.endswith("/favicon.ico")]
        assert (name, complaints, outside) == (name, [], [])
        page.context.close()


@pytest.mark.parametrize("size", SIZES[:3])
def test_the_continue_link_stays_visible_however_many_terms_are_pending(
    visit: Open, size: tuple[int, int, str]
) -> None:
    page = visit("popup with many terms", *size)
    for way_on in (page.get_by_text("Continue without accepting"), page.get_by_text("Accept the selected terms")):
        box = way_on.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1]


def test_the_page_keeps_its_position_after_an_accept(visit: Open) -> None:
    page = visit("popup with many terms")
    sections = page.locator("section")
    second = sections.nth(2).get_attribute("id")
    sections.nth(1).get_by_role("button", name="Accept").click()
    page.wait_for_url(re.compile(f"#{second}$"))
    assert abs(page.locator(f"#{second}").bounding_box()["y"]) < 100
    assert page.evaluate("scrollY") > 300


def test_several_terms_are_selected_and_accepted_with_the_keyboard_alone(visit: Open, database: Database) -> None:
    page = visit("popup with terms")
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        kind, text = page.evaluate(
            "[document.activeElement.type || document.activeElement.tagName, document.activeElement.innerText || '']"
        )
        reached.append(kind)
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or kind == "BODY"
        if kind == "checkbox":
            page.keyboard.press("Space")
        if text == "Accept the selected terms":
            break
    assert reached.count("checkbox") == 2
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="terms of fly").wait_for()  # what is left, of a public dataset
    accepted = database._db.connection().execute("SELECT count(*) FROM acceptances WHERE principal_id = 1")
    assert next(iter(accepted))[0] == 2


def test_a_document_is_printed_completely(visit: Open) -> None:
    for name in ("terms", "accepted", "popup with many terms"):
        page = visit(name)
        page.emulate_media(media="print")
        for document in page.locator(".document").all():
            assert document.evaluate("one => one.scrollHeight - one.clientHeight") <= 1
        assert page.locator("button:visible, form:visible").count() == 0
        page.context.close()


def test_each_paragraph_and_name_has_its_own_direction(visit: Open) -> None:
    page = visit("right to left")
    assert page.locator(".document").evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert page.locator("h1 bdi").evaluate("one => getComputedStyle(one).direction") == "rtl"
    first, second = (paragraph.bounding_box() for paragraph in page.locator(".document p").all())
    ranges = page.evaluate(
        """[...document.querySelectorAll('.document p')].map(paragraph => {
            const range = document.createRange(); range.selectNodeContents(paragraph);
            return range.getBoundingClientRect().x })"""
    )
    assert ranges[0] > first["x"] + 100  # at the right
    assert ranges[1] == second["x"]  # English, at the left


@pytest.mark.parametrize("size", SIZES)
def test_a_scrolling_box_has_a_minimum_height(visit: Open, size: tuple[int, int, str]) -> None:
    page = visit("popup with many terms", *size)
    for box in page.locator(".boxed").all():
        inner = box.evaluate("one => [one.clientHeight, one.scrollHeight]")
        assert inner[0] >= min(280, inner[1])
