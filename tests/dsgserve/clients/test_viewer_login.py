"""GET /api/v1/authorize: when it is the window of a viewer, and when it signs in as before."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from dsgctl.core import clients
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.login.dev_login import DevProvider
from tests.dsgserve.clients.windows import ATLAS, register
from tests.dsgserve.conftest import PAGE, Client, Lab

WINDOW = {"accept": PAGE, "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    """With a provider, so that sign-in is possible."""
    yield Client(make_app(replace(gateway, provider=DevProvider(gateway.reader))))


# The Referer of the first request -> the viewer that the window is of; None for a sign-in as before.
REFERERS = {
    f"{ATLAS}/": ATLAS,
    f"{ATLAS}/x/y?z": ATLAS,
    ATLAS: ATLAS,
    "": "*",
    "https://evil.example/": "https://evil.example",
    f"{ATLAS}.evil.example/": f"{ATLAS}.evil.example",
    "https://auth.example.org/": None,
    "https://user@lab.github.io/": None,
    "null": None,
    "about:client": None,
    "android-app://com.example": None,
    "https://": None,
}


@pytest.mark.parametrize("referer", REFERERS)
def test_the_page_that_opens_the_window_decides_which_viewer_it_is(client: Client, lab: Lab, referer: str) -> None:
    register(lab)
    for cookie in (None, lab.ada):
        headers = {**WINDOW, **({"referer": referer} if referer else {})}
        reply = client.get("/api/v1/authorize", cookie=cookie, **headers)
        assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"
        if REFERERS[referer] is None:
            assert (reply.status, "Choose an account" in reply.text) == (200, True)
        else:
            assert reply.status == 303
            assert urlsplit(reply.headers["location"]).path == "/login"
            assert parse_qs(urlsplit(reply.headers["location"]).query) == {"viewer": [REFERERS[referer]]}


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?redirect=https://cave.example/x", {}),
        ("?service=cave", {}),
        ("?dataset=fly", {}),
        ("?x", {}),
        ("", {"sec_fetch_site": "none"}),
        ("", {"sec_fetch_site": "same-origin"}),
        ("", {"x_requested_with": "XMLHttpRequest"}),
        ("", {"accept": "*/*"}),
    ],
    ids=repr,
)
def test_whatever_is_no_window_of_a_viewer_signs_in_as_before(
    client: Client, lab: Lab, query: str, headers: dict[str, str]
) -> None:
    def ask() -> tuple[int, str | None, bool]:
        reply = client.get(f"/api/v1/authorize{query}", cookie=lab.ada, **{**WINDOW, "referer": f"{ATLAS}/", **headers})
        return reply.status, reply.headers.get("location"), "Choose an account" in reply.text

    before = ask()
    register(lab)
    assert ask() == before


def test_without_a_registered_client_the_window_signs_in_as_before(client: Client, lab: Lab) -> None:
    register(lab)
    with lab.change() as change:
        clients.remove(change, "atlas")
    reply = client.get("/api/v1/authorize", **WINDOW, referer=f"{ATLAS}/")
    assert (reply.status, "Choose an account" in reply.text) == (200, True)


def test_the_sign_in_on_the_way_keeps_the_viewer(client: Client, lab: Lab) -> None:
    register(lab)
    window = client.get("/api/v1/authorize", **WINDOW, referer=f"{ATLAS}/")
    reply = client.get(window.headers["location"], accept=PAGE, referer="https://accounts.example/")
    target = urlsplit(reply.headers["location"])
    assert (reply.status, target.path) == (303, "/auth/login")
    assert parse_qs(urlsplit(parse_qs(target.query)["next"][0]).query) == {"viewer": [ATLAS]}
