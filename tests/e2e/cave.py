"""Runs a CAVE service with the real middle_auth_client, and the gateway that it asks, both behind nginx over TLS."""

import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from dsgctl.core import (
    datasets,
    grants,
    groups,
    service_accounts,
    service_tables,
    services,
    terms,
    tokens,
    user_queries,
    users,
)
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.local import free_port, run_service
from tests.e2e.provider import ADA, CLIENT, Browser, Provider, needs_node
from tests.e2e.proxy import HOST, Loopback, build_site, run_nginx
from tests.patience import PATIENCE

AUTH = f"https://{HOST}"
CAVE = "https://cave.example.org"  # below the cookie's domain
ELSEWHERE = "https://cave.other.test"  # outside it
TOKEN_NAME = "middle_auth_token"  # the client's default

needs_cave = [
    needs_node,
    pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light"),
    pytest.mark.skipif(
        not (importlib.util.find_spec("middle_auth_client") and importlib.util.find_spec("flask")),
        reason="pip install middle-auth-client flask",
    ),
]


@dataclass
class Cave:
    """The running programs.

    Attributes:
        port: of nginx.
        secrets: tokens by the names of `add_cave_data`.
    """

    port: int
    certificate: Path
    secrets: dict[str, str]
    browsers: list[Browser] = field(default_factory=list)

    def browser(self) -> Browser:
        """A new browser that reaches gateway and service."""
        browser = Browser(AUTH, self.certificate)
        for origin in (AUTH, CAVE, ELSEWHERE):
            browser.session.mount(origin, Loopback(self.port))
        self.browsers.append(browser)
        return browser

    def ask(self, path: str, name: str | None, **headers: str) -> requests.Response:
        """Ask the service as a program does.

        Args:
            name: whose token to send, or another token; None for none.
        """
        if name is not None:
            headers["Authorization"] = f"Bearer {self.secrets.get(name, name)}"
        return self.browser().get(CAVE + path, follow=False, Accept="application/json", **headers)

    def post(self, path: str, body: object, name: str | None) -> requests.Response:
        """Send JSON to the service as a program does; see `ask`."""
        headers = {"X-Requested-With": "x"}
        if name is not None:
            headers["Authorization"] = f"Bearer {self.secrets[name]}"
        return self.browser().session.post(CAVE + path, json=body, headers=headers, timeout=PATIENCE)

    def gateway_status(self, name: str) -> int:
        """The status of user/cache, asked as the service asks."""
        headers = {"Authorization": f"Bearer {self.secrets[name]}"}
        return self.browser().get("/api/v1/user/cache", **headers).status_code


def add_cave_data(change: Change) -> dict[str, str]:
    """Add a small lab. Returns tokens by the names of their owners."""
    database = change.database
    for email in ("ada", "reader", "ruler", "leader", "root", "stranger"):
        users.add(change, f"{email}@example.org", admin=email == "root", read_only=email == "reader")
    for group, member in (("lab-1", "ada"), ("rulers", "leader")):
        groups.add(change, group)
        groups.add_member(change, group, f"{member}@example.org", leads=member == "leader")
    for name in ("fish2", "fly", "worm"):
        datasets.add(change, name, public=name == "worm")
    services.add(change, "atlas")
    terms.add(change, "fly terms", "# Be kind\n", dataset="fly")
    terms.add(change, "worm terms", "# Wash your hands\n", dataset="worm")
    terms.add(change, "atlas terms", "# Cite us\n", dataset="fly", service="atlas")
    edit, lab = Target("fish2", "edit"), group_subject(database, "lab-1")
    grants.add(change, lab, edit)
    grants.add(change, lab, Target("fly", "view"))
    grants.add(change, user_subject(change, "reader"), edit)
    grants.add(change, user_subject(change, "ruler"), Target("fish2", "admin"))
    grants.add(change, group_subject(database, "rulers"), Target("fish2", "admin"))
    bot, _ = service_accounts.add(change, "bot")
    grants.add(change, principal_subject(bot), Target("fish2", "view"))
    owners = {
        user["email"].split("@")[0]: users.find(database, user["email"]) for user in user_queries.list_users(database)
    }
    return {name: tokens.mint(change, owner)[1] for name, owner in {**owners, "bot": bot}.items()}


SERVICE = "pychunkedgraph"
PUBLIC_ROOT = 1 << 32


def add_cave_tables(change: Change) -> None:
    """Give the lab tables with a public root, and groups that some of its people share."""
    for table, dataset in (("fish2_v1", "fish2"), ("fly_v1", "fly")):
        service_tables.add_table(change, SERVICE, table, dataset)
    service_tables.add_roots(change, SERVICE, "fish2_v1", [PUBLIC_ROOT, PUBLIC_ROOT + 1])
    groups.add_member(change, "lab-1", "reader@example.org")
    groups.add(change, "everybody")
    for name in ("ada", "stranger"):
        groups.add_member(change, "everybody", f"{name}@example.org")


def user_subject(change: Change, name: str) -> Subject:
    return principal_subject(users.find(change.database, f"{name}@example.org"))


@contextmanager
def run_cave(
    serve: Callable[..., Server],
    provider: Provider,
    secrets: dict[str, str],
    directory: Path,
    *,
    apis: str = "",
    **client: str,
) -> Iterator[Cave]:
    """Start gateway, nginx and service; stop them at the end.

    Args:
        apis: of the gateway. With cave, the service asks under /auth and sends browsers to /sticky_auth, as CAVE's do.
        client: settings of middle_auth_client and of the service.
    """
    auth, sticky = ("/auth", "/sticky_auth") if apis else ("", "")
    server = serve(
        DSG_APIS=apis,
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
    more = build_site(port, "cave.example.org", "cave.other.test")
    with run_nginx(directory, provider.certificate, server.origin.removeprefix("http://"), more) as tls:
        environment = {
            "PATH": os.environ["PATH"],
            "AUTH_URL": f"localhost:{tls}{auth}",  # that the service asks
            "STICKY_AUTH_URL": HOST + sticky,  # that it sends browsers to
            # By default the client caches a response for 300 s, which delays changes. 0 caches none.
            "TOKEN_CACHE_TTL": "0",
            "REQUESTS_CA_BUNDLE": str(provider.certificate),
            **client,
        }
        cave = Cave(tls, provider.certificate, secrets)
        with run_service("tests.e2e.cave_service", port, **environment):
            try:
                yield cave
            finally:
                for browser in cave.browsers:
                    browser.session.close()


@contextmanager
def run_cave_with_tables(
    serve: Callable[..., Server], provider: Provider, database: Database, directory: Path, **settings: str
) -> Iterator[Cave]:
    """`run_cave` with the data of this module and the API cave; the service's own token is that of bot."""
    provider.configure(claims=ADA)
    with begin_change(database, "os:test") as change:
        secrets = add_cave_data(change)
        add_cave_tables(change)
    with run_cave(serve, provider, secrets, directory, apis="cave", SERVICE_TOKEN=secrets["bot"], **settings) as cave:
        yield cave


def send_form(browser: Browser, page: requests.Response) -> requests.Response:
    """Send the only form of a page, and follow redirects, which the page's policy must allow."""
    form = _Form()
    form.feed(page.text)
    assert form.action, page.text
    response = browser.session.post(urljoin(page.url, form.action), data=form.fields, timeout=PATIENCE)
    policy = re.search("form-action ([^;]*)", page.headers["Content-Security-Policy"])
    allowed = policy[1].replace("'self'", AUTH).split() if policy else []
    for step in (*response.history, response):  # Chromium applies the policy to redirects too
        address = urlsplit(step.url)
        assert f"{address.scheme}://{address.netloc}" in allowed, step.url
    return response


class _Form(HTMLParser):
    """The action and the hidden fields of a page's form."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert not self.action, "there are several forms"
            self.action = attributes["action"]
        elif tag == "input" and attributes.get("type") == "hidden":
            self.fields[attributes["name"]] = attributes["value"]
