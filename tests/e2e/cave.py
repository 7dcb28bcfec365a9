"""A gateway, and a CAVE service that asks it with the real middle_auth_client, both behind nginx over TLS."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

from dsgctl.core import datasets, grants, groups, service_accounts, services, terms, tokens, users
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject
from tests.e2e.conftest import Server
from tests.e2e.local import free_port, wait_until
from tests.e2e.provider import CLIENT, Browser, Provider
from tests.e2e.proxy import HOST, ROOT, Loopback, run_nginx
from tests.patience import PATIENCE

AUTH = f"https://{HOST}"
CAVE = "https://cave.example.org"  # below the cookie's domain
ELSEWHERE = "https://cave.other.test"  # and not
TOKEN_NAME = "middle_auth_token"  # as the client has it by default

# A site of the service's own beside the gateway's, so that its addresses are https too.
SITE = """
server {
    listen 127.0.0.1:PORT ssl;
    server_name cave.example.org cave.other.test;
    ssl_certificate CERTIFICATES/dsg.pem;
    ssl_certificate_key CERTIFICATES/dsg.key;
    location / {
        proxy_pass http://127.0.0.1:SERVICE;
        proxy_set_header Host $host;
    }
}
"""


@dataclass
class Cave:
    """What runs, and the tokens of those who are known there."""

    port: int
    certificate: Path
    secrets: dict[str, str]
    browsers: list[Browser] = field(default_factory=list)

    def browser(self) -> Browser:
        found = Browser(AUTH, self.certificate)
        for origin in (AUTH, CAVE, ELSEWHERE):
            found.session.mount(origin, Loopback(self.port))
        self.browsers.append(found)
        return found

    def ask(self, path: str, who: str | None, **headers: str) -> requests.Response:
        """As a program asks the service."""
        if who is not None:
            headers["Authorization"] = f"Bearer {self.secrets.get(who, who)}"
        return self.browser().get(CAVE + path, follow=False, Accept="application/json", **headers)

    def gateway_says(self, who: str) -> int:
        """The status of user/cache, asked as the service asks it."""
        headers = {"Authorization": f"Bearer {self.secrets[who]}"}
        return self.browser().get("/api/v1/user/cache", **headers).status_code


def add_cave_data(opened: Change) -> dict[str, str]:
    """A small lab. Returns tokens, by name."""
    database = opened.database
    for email in ("ada", "reader", "ruler", "leader", "root", "stranger"):
        users.add(opened, f"{email}@example.org", admin=email == "root", read_only=email == "reader")
    for group, member in (("lab-1", "ada"), ("rulers", "leader")):
        groups.add(opened, group)
        groups.add_member(opened, group, f"{member}@example.org", leads=member == "leader")
    for name in ("fish2", "fly", "worm"):
        datasets.add(opened, name, public=name == "worm")
    services.add(opened, "atlas")
    terms.add(opened, "fly terms", "# Be kind\n", dataset="fly")
    terms.add(opened, "worm terms", "# Wash your hands\n", dataset="worm")
    terms.add(opened, "atlas terms", "# Cite us\n", dataset="fly", service="atlas")
    edit, lab = Target("fish2", "edit"), group_subject(database, "lab-1")
    grants.add(opened, lab, edit)
    grants.add(opened, lab, Target("fly", "view"))
    grants.add(opened, user_subject(opened, "reader"), edit)
    grants.add(opened, user_subject(opened, "ruler"), Target("fish2", "admin"))
    grants.add(opened, group_subject(database, "rulers"), Target("fish2", "admin"))
    bot, _ = service_accounts.add(opened, "bot")
    grants.add(opened, principal_subject(bot), Target("fish2", "view"))
    owners = {user["email"].split("@")[0]: users.find(database, user["email"]) for user in users.list_users(database)}
    return {name: tokens.mint(opened, owner)[1] for name, owner in {**owners, "bot": bot}.items()}


def user_subject(opened: Change, name: str) -> Subject:
    return principal_subject(users.find(opened.database, f"{name}@example.org"))


@contextmanager
def run_cave(
    serve: Callable[..., Server], provider: Provider, secrets: dict[str, str], place: Path, **client: str
) -> Iterator[Cave]:
    """Starts all of it, and ends it.

    Args:
        client: settings of middle_auth_client.
    """
    server = serve(
        DSG_ORIGIN=AUTH,
        DSG_OIDC_ISSUER=provider.issuer,
        REQUESTS_CA_BUNDLE=str(provider.certificate),
        AUTH_COOKIE_DOMAIN=".example.org",
        DSG_TOKEN_NAMES=f"{TOKEN_NAME},dsg_token",
        DSG_ALLOWED_REDIRECTS=ELSEWHERE,
        DSG_TOKEN_REDIRECTS=ELSEWHERE,
        **CLIENT,
    )
    port = free_port()
    more = SITE.replace("SERVICE", str(port))
    with run_nginx(place, provider.certificate, server.origin.removeprefix("http://"), more) as tls:
        environment = {
            "PATH": os.environ["PATH"],
            "AUTH_URL": f"localhost:{tls}",  # where the service asks
            "STICKY_AUTH_URL": HOST,  # where it sends browsers
            # The client may keep an answer, or a refusal, for 300 s: its delay, not ours. 0 keeps none.
            "TOKEN_CACHE_TTL": "0",
            "REQUESTS_CA_BUNDLE": str(provider.certificate),
            **client,
        }
        command = [sys.executable, "-m", "tests.e2e.cave_service", str(port)]
        with subprocess.Popen(command, env=environment, cwd=ROOT) as service:
            cave = Cave(tls, provider.certificate, secrets)
            try:
                wait_until(lambda: _alive(port) or service.poll() is not None, what="the service")
                assert service.poll() is None, "the service has ended"
                yield cave
            finally:
                service.terminate()
                for browser in cave.browsers:
                    browser.session.close()


def _alive(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/alive", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def send_form(browser: Browser, page: requests.Response) -> requests.Response:
    """Press the only button of a page, and follow; no further than the page's policy lets a form lead."""
    found = _Form()
    found.feed(page.text)
    assert found.action, page.text
    reply = browser.session.post(urljoin(page.url, found.action), data=found.fields, timeout=PATIENCE)
    policy = re.search("form-action ([^;]*)", page.headers["Content-Security-Policy"])
    allowed = policy[1].replace("'self'", AUTH).split() if policy else []
    for step in (*reply.history, reply):  # Chromium holds every redirect of a form against it
        address = urlsplit(step.url)
        assert f"{address.scheme}://{address.netloc}" in allowed, step.url
    return reply


class _Form(HTMLParser):
    """Where a page's form is sent, and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert not self.action, "there are several forms"
            self.action = known["action"]
        elif tag == "input" and known.get("type") == "hidden":
            self.fields[known["name"]] = known["value"]
