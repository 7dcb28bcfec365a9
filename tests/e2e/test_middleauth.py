"""The real viewer reads private data from a disk: nginx/gate.conf, Neuroglancer's ``middleauth+https://``, Chromium."""

import importlib.util
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import clients, datasets, grants, token_queries, tokens, users
from dsgctl.core.change import Change
from dsgctl.core.clock import now
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.gated import DATA, Gated, run_gated_nginx, run_upstream
from tests.e2e.lab import (
    CHROMIUM,
    VIEWER,
    Site,
    log_in_by_popup,
    run_browser,
    shows_pattern,
    source_panel,
    viewer_address,
    viewer_site,
    wait_in_browser,
)
from tests.e2e.provider import ADA, CLIENT, Provider, needs_node
from tests.e2e.proxy import HOST

pytestmark = [
    needs_node,
    pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium"),
    pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light"),
    pytest.mark.skipif(not (VIEWER / "index.html").exists(), reason="the viewer is not built: make viewer"),
    pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="pip install playwright"),
]

REGISTERED, STRANGER = "https://viewer.test", "https://other.test"  # both have the viewer
NANOMETRES = {axis: [8e-9, "m"] for axis in "xyz"}
VOXELS = {axis: [1, ""] for axis in "xyz"}
# 64 x 64 x 128 voxels in two chunks, one behind the other, with a checker pattern of squares of 8 voxels.
ROW = [bytes(255 if (x // 8 + odd) % 2 else 0 for x in range(64)) for odd in (0, 1)]
CHUNK = b"".join(ROW[(y // 8) % 2] for _ in range(64) for y in range(64))
N5_HEADER = struct.pack(">HHIII", 0, 3, 64, 64, 64)  # default mode, dimensions
FORMATS = {  # what is opened -> its files, the two chunks last, and the dimensions in which the viewer shows it
    "precomputed": (
        {
            "info": json.dumps(
                {
                    "@type": "neuroglancer_multiscale_volume",
                    "type": "image",
                    "data_type": "uint8",
                    "num_channels": 1,
                    "scales": [
                        {
                            "key": "full",
                            "size": [64, 64, 128],
                            "voxel_offset": [0, 0, 0],
                            "resolution": [8, 8, 8],
                            "chunk_sizes": [[64, 64, 64]],
                            "encoding": "raw",
                        }
                    ],
                }
            ).encode(),
            "full/0-64_0-64_0-64": CHUNK,
            "full/0-64_0-64_64-128": CHUNK,
        },
        NANOMETRES,
    ),
    "zarr": (
        {
            ".zarray": json.dumps(
                {
                    "zarr_format": 2,
                    "shape": [64, 64, 128],
                    "chunks": [64, 64, 64],
                    "dtype": "|u1",
                    "compressor": None,
                    "filters": None,
                    "fill_value": 0,
                    "order": "F",
                }
            ).encode(),
            ".zattrs": json.dumps({"_ARRAY_DIMENSIONS": ["x", "y", "z"]}).encode(),
            "0.0.0": CHUNK,
            "0.0.1": CHUNK,
        },
        VOXELS,
    ),
    "n5": (
        {
            "attributes.json": json.dumps(
                {
                    "dimensions": [64, 64, 128],
                    "blockSize": [64, 64, 64],
                    "dataType": "uint8",
                    "compression": {"type": "raw"},
                    "axes": ["x", "y", "z"],
                    "units": ["nm", "nm", "nm"],
                    "resolution": [8, 8, 8],
                }
            ).encode(),
            "0/0/0": N5_HEADER + CHUNK,
            "0/0/1": N5_HEADER + CHUNK,
        },
        NANOMETRES,
    ),
}


@dataclass
class Lab:
    """Ada may view fish2, whose files the gate has; nobody may view fly. One viewer is registered, another is not."""

    site: Gated
    database: Database
    context: Any  # playwright's

    def open(self, format: str, path: str, viewer: str = REGISTERED) -> Any:
        page = self.context.new_page()
        source = f"{format}://middleauth+https://{DATA}/{path}/"
        page.goto(viewer_address(viewer, source, FORMATS[format][1]))
        return page

    def change(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with begin_change(self.database, "os:test") as change:
            return function(change, *arguments, **options)

    def statuses(self, path: str) -> list[int]:
        """The statuses with which a file was answered, in order; without preflights."""
        lines = [line for line in self.site.log.read_text().splitlines() if f'GET {path}"' in line]
        return [int(line.partition('" ')[2].split()[0]) for line in lines]


def _add_data(change: Change) -> None:
    ada, _ = users.add(change, "ada@example.org")
    for name in ("fish2", "fly"):
        datasets.add(change, name)
    grants.add(change, principal_subject(ada), Target("fish2", "view"))
    clients.add(change, "viewer", origin=REGISTERED, owner="ada@example.org", app_urls=(f"https://{DATA}",))


@pytest.fixture
def lab(serve: Callable[..., Server], provider: Provider, database: Database, tmp_path: Path) -> Iterator[Lab]:
    from playwright.sync_api import sync_playwright

    provider.configure(claims=ADA)
    with begin_change(database, "os:test") as change:
        _add_data(change)
    for name, (files, _) in FORMATS.items():
        for directory in (f"data/fish2/{name}", f"data/fly-v1/{name}"):
            for file, content in files.items():
                (tmp_path / directory / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / directory / file).write_bytes(content)
    server = serve(
        DSG_ORIGIN=f"https://{HOST}",
        DSG_APIS="gate",
        DSG_OIDC_ISSUER=provider.issuer,
        REQUESTS_CA_BUNDLE=str(provider.certificate),
        **CLIENT,
    )
    gateway = server.origin.removeprefix("http://")
    viewers = viewer_site("viewer.test other.test")
    with (
        run_upstream() as upstream,
        run_gated_nginx(tmp_path, provider.certificate, gateway, upstream, more=viewers) as site,
        sync_playwright() as playwright,
        run_browser(
            playwright,
            Site.BLOCKED,
            dict.fromkeys((HOST, DATA, "viewer.test", "other.test"), site.port),
            tmp_path / "profile",
        ) as context,
    ):
        yield Lab(site, database, context)


def allow(popup: Any, page: Any) -> None:
    """Answer the gateway's question in the popup, which the viewer then closes."""
    popup.get_by_role("heading", name="Allow viewer to act for you?").wait_for()
    popup.get_by_role("button", name="Allow").click()
    wait_in_browser(page, popup.is_closed, "the popup's end")


def stored_keys(page: Any) -> list[str]:
    return list(page.evaluate("Object.keys(localStorage).filter(key => key.startsWith('auth_token'))"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_scientist_signs_in_allows_the_viewer_and_sees_data_until_the_key_is_revoked(format: str, lab: Lab) -> None:
    page = lab.open(format, f"fish2/{format}")
    allow(log_in_by_popup(page), page)
    wait_in_browser(page, lambda: shows_pattern(page), "the pattern")
    first, second = (f"/fish2/{format}/{name}" for name in list(FORMATS[format][0])[-2:])
    assert lab.statuses(first) == [200]
    page.reload()
    wait_in_browser(page, lambda: shows_pattern(page), "the pattern without a click")
    assert lab.statuses(second) == []
    (key_id,) = [row["id"] for row in token_queries.list_tokens(lab.database, at=now()) if row["kind"] == "delegated"]
    lab.change(tokens.revoke, key_id)
    with page.expect_response(f"https://{DATA}{second}") as reply:
        page.evaluate("viewer.navigationState.position.value = new Float32Array([32, 32, 100])")
    assert reply.value.status == 401
    page.get_by_role("button", name="Request login.").wait_for()
    assert lab.statuses(second) == [401]


@pytest.mark.parametrize("format", FORMATS)
def test_without_permission_there_is_an_error_and_no_data(format: str, lab: Lab) -> None:
    page = lab.open(format, f"fly/v1/{format}")
    allow(log_in_by_popup(page), page)
    metadata, *_, chunk = (f"/fly/v1/{format}/{name}" for name in FORMATS[format][0])
    wait_in_browser(page, lambda: 403 in lab.statuses(metadata), "a refusal")
    source_panel(page).locator(".neuroglancer-message-error").first.wait_for()
    assert set(lab.statuses(metadata)) == {403} and lab.statuses(chunk) == []
    assert not shows_pattern(page)


def test_a_viewer_that_is_not_registered_opens_the_popup_and_gets_nothing(lab: Lab) -> None:
    page = lab.open("precomputed", "fish2/precomputed", STRANGER)
    page.evaluate("window.messages = []; addEventListener('message', event => messages.push(event.data))")
    popup = log_in_by_popup(page)
    popup.get_by_role("heading", name="This application is not registered").wait_for()
    # The same window, for somebody who is signed in and has allowed another viewer.
    other = lab.open("precomputed", "fish2/precomputed")
    allow(log_in_by_popup(other), other)
    wait_in_browser(other, lambda: shows_pattern(other), "the pattern of the registered viewer")
    popup.reload()
    popup.get_by_role("heading", name="This application is not registered").wait_for()
    assert stored_keys(other) and not stored_keys(page)
    assert not [message for message in page.evaluate("messages") if "token" in str(message)]
    assert set(lab.statuses("/fish2/precomputed/info")) == {200} and not shows_pattern(page)


def test_a_registered_viewer_whose_registration_does_not_name_the_data_shows_none(lab: Lab) -> None:
    lab.change(clients.set_attributes, "viewer", app_urls=())
    page = lab.open("precomputed", "fish2/precomputed")
    allow(log_in_by_popup(page), page)
    page.get_by_text(f"unverified app https://{DATA}").first.wait_for()
    assert lab.statuses("/fish2/precomputed/info") == []
