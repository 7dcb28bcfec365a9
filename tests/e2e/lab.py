"""Runs a lab: a real browser, the real Neuroglancer, the gateway behind nginx, and a stand-in for Google."""

import io
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dsgctl.core import acceptances, datasets, grants, locations, terms, users
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.google import Google, put_volume, run_google
from tests.e2e.local import free_port, wait_until
from tests.e2e.provider import ADA, CLIENT, Provider
from tests.e2e.proxy import HOST, run_nginx

VIEWER = Path(__file__).parent / "viewer" / "dist"
CHROMIUM = shutil.which("chromium")
PATIENCE = 120_000  # milliseconds; long, because the machine may be busy


class Site(Enum):
    """Which sites viewer and gateway are on; this decides whether the browser sends the cookie."""

    LOCAL = "one site, http://localhost, as on a developer's machine"
    BLOCKED = "two sites over https; the browser blocks third-party cookies"
    ALLOWED = "two sites over https; the browser allows third-party cookies"


@dataclass
class Lab:
    """A running lab. Ada may view fish2 at gs://fish2/v1, which has terms; nobody may view fly at gs://fly."""

    viewer: str
    gateway: str
    google: Google
    database: Database
    context: Any  # playwright's

    def open(self, location: str = "fish2/v1") -> Any:
        """Open the viewer with the volume at ``gs://LOCATION``, read through the gateway. Returns the page."""
        scheme, _, rest = self.gateway.partition("://")
        source = f"precomputed://gs+ngauth+{scheme}://{rest}/{location}/"
        page = self.context.new_page()
        page.goto(viewer_address(self.viewer, source, {axis: [8e-9, "m"] for axis in "xyz"}))
        return page

    def sign_in(self) -> None:
        """Accept the terms for Ada, and sign her in, so that her browser has the cookie."""
        self.change(lambda change: acceptances.accept(change, 1, "ada@example.org"))
        page = self.context.new_page()
        page.goto(f"{self.gateway}/auth/login?next=/success")
        page.get_by_role("heading").first.wait_for()
        page.close()

    def change(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with begin_change(self.database, "os:test") as change:
            return function(change, *arguments, **options)


def viewer_address(viewer: str, source: str, dimensions: Mapping[str, list[object]]) -> str:
    """The address of a viewer that shows one volume, of which a voxel is five pixels."""
    state = {
        "dimensions": dimensions,
        "position": [32, 32, 32],
        "crossSectionScale": 0.2,
        "layers": [{"type": "image", "source": source, "name": "data"}],
        "layout": "xy",
        "showAxisLines": False,
    }
    return f"{viewer}/index.html#!{quote(json.dumps(state))}"


@contextmanager
def run_lab(
    site: Site, serve: Callable[..., Server], provider: Provider, database: Database, *, allowed: bool
) -> Iterator[Lab]:
    """Start the whole lab; stop it at the end.

    Args:
        allowed: whether the gateway allows the viewer's origin.
    """
    from playwright.sync_api import (
        sync_playwright,  # not at the top: without playwright, the tests that need it are skipped
    )

    provider.configure(claims=ADA)
    # nginx serves the viewer in all cases; on LOCAL the browser asks the gateway directly.
    directory = Path(database.path).parent
    plain = free_port()
    viewer = f"http://localhost:{plain}" if site is Site.LOCAL else "https://viewer.test"
    more = viewer_site("viewer.test localhost", f"listen 127.0.0.1:{plain};")
    with run_google(directory, provider.certificate) as google:
        for location in ("fish2/v1", "fish2/other", "fly/v1"):
            put_volume(google, location)
        settings = {} if site is Site.LOCAL else {"DSG_ORIGIN": f"https://{HOST}"}
        server = serve(
            DSG_OIDC_ISSUER=provider.issuer,
            REQUESTS_CA_BUNDLE=str(provider.certificate),
            NGAUTH_ALLOWED_ORIGINS=viewer if allowed else "https://viewer.example",
            DSG_VIEWER_URL=f"{viewer}/index.html",
            **settings,
            **CLIENT,
            **google.settings,
        )
        upstream = server.origin.removeprefix("http://")
        gateway = settings.get("DSG_ORIGIN", f"http://{upstream.replace('127.0.0.1', 'localhost')}")
        with (
            run_nginx(directory, provider.certificate, upstream, more) as tls,
            sync_playwright() as playwright,
            run_browser(
                playwright,
                site,
                {"storage.googleapis.com": google.port, HOST: tls, "viewer.test": tls},
                directory / "profile",
            ) as context,
        ):
            lab = Lab(viewer, gateway, google, database, context)
            lab.change(_add_data)
            yield lab


def viewer_site(names: str, more: str = "") -> str:
    """A site for nginx that has the viewer, under these names; as ``more`` of `run_nginx`."""
    return f"""
        types {{ text/html html; text/javascript js; text/css css; application/wasm wasm; }}
        server {{
            listen 127.0.0.1:PORT ssl;
            {more}
            server_name {names};
            ssl_certificate CERTIFICATES/dsg.pem;
            ssl_certificate_key CERTIFICATES/dsg.key;
            root {VIEWER};
        }}"""


@contextmanager
def run_browser(playwright: Any, site: Site, ports: Mapping[str, int], profile: Path) -> Iterator[Any]:
    """Chromium with an empty profile.

    Args:
        ports: names of hosts -> the port of loopback that stands for port 443 of each.
    """
    (profile / "Default").mkdir(parents=True)
    preferences = {"profile": {"cookie_controls_mode": 0 if site is Site.ALLOWED else 1}}
    (profile / "Default" / "Preferences").write_text(json.dumps(preferences))
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--ignore-certificate-errors",
        "--host-resolver-rules=" + ", ".join(f"MAP {name}:443 127.0.0.1:{port}" for name, port in ports.items()),
    ]
    context = playwright.chromium.launch_persistent_context(
        profile,
        executable_path=CHROMIUM,
        args=arguments,
        ignore_https_errors=True,
        viewport={"width": 700, "height": 500},
    )
    context.set_default_timeout(PATIENCE)
    try:
        yield context
    finally:
        context.close()


def _add_data(change: Change) -> None:
    users.add(change, "ada@example.org")
    datasets.add(change, "fish2")
    locations.add(change, "fish2", "gs://fish2/v1")
    datasets.add(change, "fly")
    locations.add(change, "fly", "gs://fly")
    ada = principal_subject(users.find(change.database, "ada@example.org"))
    grants.add(change, ada, Target("fish2", "view"))
    terms.add(change, "fish2 terms", "# Be kind\n", dataset="fish2")


def wait_in_browser(page: Any, ready: Callable[[], bool], event: str) -> None:
    """`wait_until`, while playwright handles the browser's events."""
    wait_until(lambda: ready() or page.wait_for_timeout(100), seconds=PATIENCE / 1000, event=event)


def shows_pattern(page: Any) -> bool:
    """Whether the screen shows the checker pattern: along a line, black and white squares of one size in turn."""
    from PIL import Image

    with Image.open(io.BytesIO(page.screenshot())) as picture:
        grey = picture.convert("L")
        width, height = grey.size
        line = [grey.getpixel((x, height // 2 + 5)) for x in range(width)]
    shades = itertools.groupby(line, lambda pixel: "white" if pixel > 200 else "black" if pixel < 40 else "")
    squares = [shade for shade, run in shades if shade and 35 <= len(list(run)) <= 45]  # 8 voxels of 0.2 a pixel
    return squares[:6] in (["black", "white"] * 3, ["white", "black"] * 3)


def log_in_by_popup(page: Any) -> Any:
    """Click the viewer's sign-in button. Returns the popup."""
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Request login.").click()
    return popup.value


def source_panel(page: Any) -> Any:
    """Open the layer's panel, in which the viewer reports errors of the data. Returns the page."""
    page.locator(".neuroglancer-layer-item").first.click(button="right")
    return page
