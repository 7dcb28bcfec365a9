"""Links to go to after a sign-in that are as long as neuPrintExplorer's and longer, through nginx over TLS."""

import base64
import hashlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from dsgctl.core import datasets, grants, terms, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgserve.login.login_state import LoginStateStore
from tests.e2e.cave import send_form
from tests.e2e.conftest import KEY, Server
from tests.e2e.lab import CHROMIUM
from tests.e2e.provider import ADA, CLIENT, Browser, Provider, needs_node
from tests.e2e.proxy import HOST, Loopback, run_nginx
from tests.patience import PATIENCE

pytestmark = [needs_node, pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")]

AUTH = f"https://{HOST}"
CLIO = "https://cave.example.org"  # a service, for which the provider's certificate is good
# How far the length that fits varies: the cookie is compressed, and has random parts.
SLACK = 40


def noise(length: int) -> str:
    """An address that compresses badly."""
    digests = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(250))
    return (f"{CLIO}/?" + base64.urlsafe_b64encode(digests).decode())[:length]


def explorer_link(queries: int) -> str:
    """An address as neuPrintExplorer writes it, with a few hundred characters for each query."""
    parameters = {"dataset": "hemibrain:v1.2.1", "qt": "findneurons", "tab": "0"}
    for number in range(queries):
        name = f"qr[{number}]"
        parameters |= {
            f"{name}[code]": "fn",
            f"{name}[ds]": "hemibrain:v1.2.1",
            f"{name}[pm][dataset]": "hemibrain:v1.2.1",
            f"{name}[pm][all_segments]": "false",
            f"{name}[pm][input_ROIs][]": "EB",
            f"{name}[pm][neuron_name]": f"EPG{number}.*",
            f"{name}[visProps][rowsPerPage]": "25",
        }
    return f"{CLIO}/results?{urlencode(parameters)}"


def longest_fitting() -> int:
    logins = LoginStateStore((KEY,), secure=True)
    return max(length for length in range(100, 4097, 10) if all(logins.fits(noise(length)) for _ in range(5)))


@dataclass(frozen=True)
class Front:
    port: int  # of nginx
    certificate: Path

    def browser(self) -> Browser:
        browser = Browser(AUTH, self.certificate)
        for origin in (AUTH, CLIO):
            browser.session.mount(origin, Loopback(self.port))
        return browser

    def sign_in(self, path: str) -> tuple[list[str], str]:
        """Begin a sign-in at a path, and go through it.

        Returns:
            The cookies that the first response sets, and where the last one leads.
        """
        browser = self.browser()
        first = browser.get(path, follow=False)
        assert first.status_code == 302, first.text
        callback = browser.get(first.headers["Location"], follow=False).headers["Location"]
        last = browser.get(callback, follow=False)
        cookies = [value for name, value in first.raw.headers.items() if name.lower() == "set-cookie"]
        browser.session.close()
        return cookies, last.headers["Location"]


@pytest.fixture
def front(serve: Callable[..., Server], provider: Provider, tmp_path: Path, database: Database) -> Iterator[Front]:
    provider.configure(claims=ADA)
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        datasets.add(change, "fish2")
        grants.add(change, principal_subject(ada), Target("fish2", "view"))
        terms.add(change, "fish2 terms", "# Be kind\n", dataset="fish2")
    server = serve(
        DSG_ORIGIN=AUTH,
        DSG_OIDC_ISSUER=provider.issuer,
        REQUESTS_CA_BUNDLE=str(provider.certificate),
        DSG_ALLOWED_REDIRECTS=CLIO,
        **CLIENT,
    )
    with run_nginx(tmp_path, provider.certificate, server.origin.removeprefix("http://")) as port:
        yield Front(port, provider.certificate)


def test_an_address_of_up_to_the_length_that_fits_is_reached_and_a_longer_one_is_too_long(front: Front) -> None:
    longest = longest_fitting()
    assert longest > 2900
    for length in (1700, 2048, 2500, longest - SLACK):
        cookies, end = front.sign_in("/api/v1/authorize?redirect=" + quote(noise(length), safe=""))
        assert end == noise(length)
        assert [len(cookie) <= 4096 for cookie in cookies] == [True], "a browser would not store it"
    browser = front.browser()
    for length in (longest + SLACK, 4096, 4097, 8000, 10_000):
        path = "/api/v1/authorize?redirect=" + quote(noise(length), safe="") + "x" * (length - len(noise(length)))
        page = browser.get(path)
        assert (page.status_code, "too long" in page.text, "not allowed" in page.text) == (400, True, False), length
        assert browser.get(path, Accept="*/*").json()["error"] == "redirect_too_long"
    # Beyond the largest request line, nginx itself answers, with the status for this.
    assert browser.get("/api/v1/authorize?redirect=" + "x" * 33_000).status_code == 414
    browser.session.close()


@pytest.mark.parametrize("queries", [6, 8])
def test_a_link_of_neuprintexplorer_is_reached_through_sign_in_and_terms(front: Front, queries: int) -> None:
    link = explorer_link(queries)
    assert len(link) > 1700
    way = f"/activate?dataset=fish2%3Av1&redirect={quote(link, safe='')}"
    assert front.sign_in(f"/api/v1/authorize?dataset=fish2%3Av1&redirect={quote(link, safe='')}")[1] == way
    browser = front.browser()
    page = browser.get(way.replace("/activate", "/api/v1/authorize"))
    assert (page.status_code, "Be kind" in page.text) == (200, True)
    reply = send_form(browser, page)
    assert reply.history[-1].headers["Location"] == link
    # Nothing is left to accept: the browser goes straight on.
    assert browser.get(way, follow=False).headers["Location"] == link
    assert browser.get(f"/api/v1/logout?redirect={quote(link, safe='')}", follow=False).headers["Location"] == link
    browser.session.close()


def test_an_address_that_fits_a_sign_in_but_not_its_terms_is_too_long_before_anything_is_accepted(front: Front) -> None:
    link = quote(explorer_link(13), safe="")
    assert len(explorer_link(13)) < 4096 < len(link)
    assert front.sign_in(f"/api/v1/authorize?redirect={link}")[1] == explorer_link(13)
    browser = front.browser()
    browser.get("/auth/login?next=/success")
    for path in ("/api/v1/authorize?dataset=fish2&redirect=", "/activate?redirect="):
        page = browser.get(path + link)
        assert (page.status_code, "too long" in page.text, "Be kind" in page.text) == (400, True, False), path
    send_form(browser, browser.get("/activate"))
    assert browser.get("/activate?redirect=" + link, follow=False).headers["Location"] == explorer_link(13)
    browser.session.close()


def test_a_long_address_in_a_json_body_is_taken(front: Front) -> None:
    browser, link = front.browser(), explorer_link(6)
    reply = browser.session.post(
        f"{AUTH}/api/v1/authorize", json={"redirect": link}, headers={"X-Requested-With": "x"}, timeout=PATIENCE
    )
    url = reply.json()["authorization_url"]
    assert url.startswith(f"{AUTH}/api/v1/authorize?")
    assert front.sign_in(url.removeprefix(AUTH))[1] == link
    reply = browser.session.post(f"{AUTH}/api/v1/authorize", json={"redirect": noise(9000)}, timeout=PATIENCE)
    assert (reply.status_code, "too long" in reply.text) == (400, True)
    browser.session.close()


@pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium")
@pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="pip install playwright")
def test_chromium_stores_the_cookie_of_the_longest_address(front: Front) -> None:
    from playwright.sync_api import sync_playwright  # not at the top: playwright need not be installed

    link = noise(longest_fitting() - SLACK)
    rules = ", ".join(f"MAP {name}:443 127.0.0.1:{front.port}" for name in (HOST, "cave.example.org"))
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", f"--host-resolver-rules={rules}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(ignore_https_errors=True)
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{AUTH}/api/v1/authorize?redirect={quote(link, safe='')}")
        page.wait_for_url(link)
        browser.close()
