"""The form of new tokens, whichever way they are made, against what clients accept; and that they work."""

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from dsgctl.core import clients as applications
from dsgctl.core import users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.real_clients import needs_clients, run_clients
from tests.e2e.visitor import Visitor
from tests.patience import PATIENCE

# What R's fafbseg accepts, 32 characters or 43 to 44; and what scanners of secrets look for (the manual, "Tokens").
FAFBSEG = re.compile(r"(?s:.{32}|.{43,44})")
SCANNER = re.compile(r"dsgt[0-9A-Za-z]{39}")
ATLAS = "https://lab.github.io"
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@dataclass
class Site:
    """A gateway with the APIs that make tokens, and ada, who is signed in with a browser."""

    origin: str
    dsgctl: Callable[..., str]
    ada: Visitor
    token: str = ""

    def send(self, path: str, method: str = "POST", token: str = "") -> str:
        """What a program gets from a route that makes a token."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        reply = requests.request(method, self.origin + path, headers=headers, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        return str(answer["token"] if isinstance(answer, dict) else answer)

    def open(self, path: str) -> str:
        """A page, in ada's browser."""
        reply = self.ada.session.get(self.origin + path, headers=PAGE, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        return reply.text

    def send_form(self, page: str, path: str, **fields: str) -> str:
        """Send the form of a page to ``path``, with its hidden fields. Returns the next page."""
        hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
        body = {name: html.unescape(value) for name, value in hidden} | fields
        headers = PAGE | {"Origin": self.origin}
        reply = self.ada.session.post(self.origin + path, data=body, headers=headers, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        return reply.text


def read_email(site: Site, token: str) -> str | None:
    """Of the owner of a token; None if the token is not valid."""
    headers = {"Authorization": f"Bearer {token}"}
    reply = requests.get(f"{site.origin}/api/v1/user/cache", headers=headers, timeout=PATIENCE)
    return str(reply.json()["email"]) if reply.status_code == 200 else None


def mint_with_dsgctl(site: Site) -> str:
    return site.dsgctl("token", "mint", "--user", "ada@example.org", "-o", "value")


def mint_for_service_account(site: Site) -> str:
    site.dsgctl("service-account", "add", "bot")
    return site.dsgctl("token", "mint", "--service-account", "bot", "-o", "value")


def rotate_with_dsgctl(site: Site) -> str:
    mint_with_dsgctl(site)
    token_id = site.dsgctl("token", "list", "--user", "ada@example.org", "-o", "value").split()[-1]
    return site.dsgctl("token", "rotate", token_id, "-o", "value")


def sign_in(site: Site) -> str:
    return site.ada.token


def create_on_page(site: Site) -> str:
    page = site.send_form(site.open("/settings/tokens"), "/settings/tokens", description="my laptop")
    secret = re.search(r'id="token">([^<]*)<', page)
    assert secret, page
    return secret[1]


def allow_application(site: Site) -> str:
    page = site.open(f"/login?origin={ATLAS}&token=api")
    answer = site.send_form(page, "/login", decision="allow")
    messages = re.search(r'data-messages="([^"]*)"', answer)
    assert messages, answer
    ((_, message),) = json.loads(html.unescape(messages[1]))
    return str(message["token"])


def rotate_long_lived(site: Site) -> str:
    return site.send("/api/v1/long_lived_token/rotate", token=site.send("/api/v1/long_lived_token", "GET"))


def refresh_only_token(site: Site) -> str:
    """Of bo, who has one."""
    bo = Visitor(site.origin)
    login = bo.sign_in("bo@example.org")
    bo.session.close()
    only = site.send("/api/v1/create_token", token=login)
    fresh = site.send("/api/v1/refresh_token", token=login)
    assert read_email(site, only) is None
    return fresh


WAYS: dict[str, Callable[[Site], str]] = {
    "dsgctl token mint": mint_with_dsgctl,
    "dsgctl token mint --service-account": mint_for_service_account,
    "dsgctl token rotate": rotate_with_dsgctl,
    "a sign-in": sign_in,
    "the tokens page": create_on_page,
    "an application's key": allow_application,
    "create_token": lambda site: site.send("/api/v1/create_token"),
    "user/token": lambda site: site.send("/api/v1/user/token"),
    "refresh_token": refresh_only_token,
    "long_lived_token": lambda site: site.send("/api/v1/long_lived_token", "GET"),
    "long_lived_token/rotate": rotate_long_lived,
}
OWNERS = {"dsgctl token mint --service-account": "bot@service-account.dsg.local", "refresh_token": "bo@example.org"}


@pytest.fixture
def site(serve: Callable[..., Server], dsgctl: Callable[..., str], database: Database) -> Iterator[Site]:
    with begin_change(database, "os:test") as change:
        for name in ("ada", "bo"):
            users.add(change, f"{name}@example.org")
        applications.add(change, "atlas", origin=ATLAS, owner="ada@example.org")
    server = serve(DSG_APIS="cave,native", DSG_DEV_LOGIN="1")
    ada = Visitor(server.origin)
    site = Site(ada.origin, dsgctl, ada)
    site.token = ada.sign_in("ada@example.org")
    yield site
    ada.session.close()


@needs_clients
def test_a_token_works_and_has_a_form_that_every_client_accepts_however_it_was_made(site: Site, tmp_path: Path) -> None:
    tokens = {}
    for way, make in WAYS.items():
        tokens[way] = make(site)
        assert read_email(site, tokens[way]) == OWNERS.get(way, "ada@example.org"), way
    for pattern in (SCANNER, FAFBSEG):
        assert not [way for way, token in tokens.items() if not pattern.fullmatch(token)], pattern.pattern
    certificate = tmp_path / "unused.pem"
    with run_clients(0, certificate, tmp_path / "home") as clients:
        accepted = clients.call("accept_tokens", tokens=list(tokens.values()))
    assert dict(zip(tokens, accepted, strict=True)) == dict.fromkeys(WAYS, True)
    assert len(set(tokens.values())) == len(WAYS)
