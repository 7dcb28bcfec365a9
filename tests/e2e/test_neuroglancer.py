"""The real viewer in a real browser: sign in through the popup, accept the terms, see data; or see why not."""

import importlib.util
import io
import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dsgctl.core import datasets, grants, terms, users
from dsgctl.core.change import change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.google import Google, put_volume, running_google
from tests.e2e.local import wait_until
from tests.e2e.provider import ADA, CLIENT, Provider, needs_node

VIEWER = Path(__file__).parent / "viewer" / "dist"
CHROMIUM = shutil.which("chromium")
PATIENCE = 30_000  # milliseconds

pytestmark = [
    needs_node,
    pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium"),
    pytest.mark.skipif(not (VIEWER / "index.html").exists(), reason="the viewer is not built: make viewer"),
    pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="pip install playwright"),
]


@contextmanager
def viewer_site() -> Iterator[str]:
    """The built viewer on a loopback port. Yields its origin."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(VIEWER)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Lab:
    """A viewer, a gateway, and a stand-in of Google with the data, before a browser."""

    viewer: str
    gateway: str
    google: Google
    database: Database
    context: Any  # playwright's

    def open(self, where: str = "fish2/v1") -> Any:
        """A page of the viewer that shows a volume at ``gs://where``, through the gateway."""
        scheme, _, rest = self.gateway.partition("://")
        source = f"precomputed://gs+ngauth+{scheme}://{rest}/{where}/"
        state = {
            "dimensions": {axis: [8e-9, "m"] for axis in "xyz"}, "position": [32, 32, 32], "crossSectionScale": 0.2,
            "layers": [{"type": "image", "source": source, "name": "data"}], "layout": "xy", "showAxisLines": False,
        }  # fmt: skip
        page = self.context.new_page()
        page.goto(f"{self.viewer}/index.html#!{quote(json.dumps(state))}")
        return page

    def change(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with change(self.database, "os:test") as opened:
            return function(opened, *arguments, **options)


@pytest.fixture
def lab(serve: Callable[..., Server], provider: Provider, database: Database, tmp_path: Path) -> Iterator[Lab]:
    """Ada may view fish2, which lies below gs://fish2/v1 and has terms; nobody may view fly, at gs://fly."""
    from playwright.sync_api import sync_playwright

    provider.how(claims=ADA)
    with running_google(tmp_path, provider.certificate) as google, viewer_site() as viewer:
        for where in ("fish2/v1", "fish2/other", "fly/v1"):
            put_volume(google, where)
        server = serve(
            DSG_OIDC_ISSUER=provider.issuer, REQUESTS_CA_BUNDLE=str(provider.certificate),
            NGAUTH_ALLOWED_ORIGINS=viewer, **CLIENT, **google.settings,
        )  # fmt: skip
        arguments = [
            "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
            "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--ignore-certificate-errors",
            f"--host-resolver-rules=MAP storage.googleapis.com:443 127.0.0.1:{google.port}",
        ]  # fmt: skip
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
            context = browser.new_context(ignore_https_errors=True, viewport={"width": 700, "height": 500})
            context.set_default_timeout(PATIENCE)
            gateway = server.origin.replace("127.0.0.1", "localhost")
            found = Lab(viewer, gateway, google, database, context)
            found.change(_facts)
            yield found
            context.close()
            browser.close()


def _facts(opened: Any) -> None:
    users.add(opened, "ada@example.org")
    datasets.add(opened, "fish2")
    datasets.add_location(opened, "fish2", "gs://fish2/v1")
    datasets.add(opened, "fly")
    datasets.add_location(opened, "fly", "gs://fly")
    ada = grants.principal_subject(users.find(opened.database, "ada@example.org"))
    grants.add(opened, ada, grants.Target("fish2", "view"))
    terms.add(opened, "fish2 terms", "# Be kind\n", dataset="fish2")


def sees_the_pattern(page: Any) -> bool:
    """Whether the checker pattern is on the screen: black and white alternate along a line through the middle."""
    from PIL import Image

    with Image.open(io.BytesIO(page.screenshot())) as picture:
        grey = picture.convert("L")
        width, height = grey.size
        line = [grey.getpixel((x, height // 2 + 5)) for x in range(width)]
    bright = [pixel > 200 for pixel in line if pixel > 200 or pixel < 40]
    changes = sum(one != other for one, other in itertools.pairwise(bright))
    return changes >= 6


def log_in_by_popup(page: Any) -> Any:
    """Click what the viewer offers; returns the popup."""
    with page.expect_popup() as opened:
        page.get_by_role("button", name="login").or_(page.get_by_text("Login", exact=False)).first.click()
    return opened.value


def test_a_scientist_signs_in_accepts_the_terms_and_sees_data(lab: Lab) -> None:
    page = lab.open()
    popup = log_in_by_popup(page)
    popup.get_by_role("heading", name="Be kind").wait_for()
    with popup.expect_event("close"):
        popup.get_by_role("button", name="Accept").click()
    waits_for(page, lambda: sees_the_pattern(page), "the pattern")
    assert "fish2/v1/full/0-64_0-64_0-64" in lab.google.served
    assert all("v1/" in json.dumps(rules) for rules in lab.google.exchanged)


def signed_in(lab: Lab) -> None:
    """The browser has the gateway's cookie, and its user has accepted all terms."""
    lab.change(lambda opened: terms.accept(opened, 1, "ada@example.org"))
    page = lab.context.new_page()
    page.goto(f"{lab.gateway}/auth/login?next=/success")
    page.get_by_role("heading").first.wait_for()
    page.close()


def waits_for(page: Any, ready: Callable[[], bool], what: str) -> None:
    """`wait_until`, while the browser goes on."""
    wait_until(lambda: ready() or page.wait_for_timeout(100), what=what)


def test_with_a_cookie_the_data_comes_without_a_click(lab: Lab) -> None:
    signed_in(lab)
    page = lab.open()
    waits_for(page, lambda: sees_the_pattern(page), "the pattern")


def test_a_bucket_without_permission_shows_an_error_and_no_data(lab: Lab) -> None:
    signed_in(lab)
    page = lab.open("fly/v1")
    page.locator(".neuroglancer-layer-item").first.click(button="right")
    page.get_by_text("HTTP error 403").first.wait_for()
    assert lab.google.exchanged == lab.google.served == []


def test_a_disabled_user_sees_nothing_more(lab: Lab) -> None:
    signed_in(lab)
    page = lab.open()
    waits_for(page, lambda: sees_the_pattern(page), "the pattern")
    lab.change(users.set_active, "ada@example.org", False)
    lab.google.served.clear()
    with page.expect_response("**/token") as reply:
        page.reload()
    assert reply.value.status == 401
    assert lab.google.served == []


def test_only_what_lies_below_the_prefix_can_be_read_and_listed(lab: Lab) -> None:
    """With the very token that the viewer got."""
    signed_in(lab)
    page = lab.open()
    waits_for(page, lambda: "fish2/v1/info" in lab.google.served, "data")
    token = next(iter(lab.google.tokens))
    storage = f"https://localhost:{lab.google.port}/storage/v1/b/fish2/o"

    def status(path: str) -> int:
        return int(lab.context.request.get(storage + path, headers={"Authorization": f"Bearer {token}"}).status)

    assert status("/v1%2Finfo?alt=media") == 200
    assert status("/other%2Finfo?alt=media") == 403
    assert status("?prefix=v1/") == 200
    assert status("?prefix=") == status("?prefix=other/") == status("?prefix=v") == 403
