"""CAVE's own client, middle_auth_client, in a small Flask service, against the gateway behind nginx over TLS."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from dsgctl.core import datasets, grants, groups, service_accounts, terms, tokens, users
from dsgctl.core.change import Change, change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.local import free_port, wait_until
from tests.e2e.provider import ADA, CLIENT, Browser, Provider, needs_node
from tests.e2e.proxy import HOST, Loopback, nginx

CAVE, ELSEWHERE = "https://cave.example.org", "https://cave.other.test"
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

pytestmark = [
    needs_node,
    pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light"),
    pytest.mark.skipif(not importlib.util.find_spec("middle_auth_client"), reason="pip install middle-auth-client"),
]


@dataclass
class Cave:
    """A gateway, a service, and nginx in front of both."""

    port: int
    certificate: Path
    secrets: dict[str, str]

    def browser(self) -> Browser:
        found = Browser(f"https://{HOST}", self.certificate)
        for origin in (found.origin, CAVE, ELSEWHERE):
            found.session.mount(origin, Loopback(self.port))
        return found

    def ask(self, path: str, who: str) -> requests.Response:
        """As a program asks the service."""
        headers = {"Authorization": f"Bearer {self.secrets.get(who, who)}"}
        return self.browser().session.get(CAVE + path, headers=headers, timeout=20, allow_redirects=False)


def facts(opened: Change) -> dict[str, str]:
    """A small lab. Returns tokens, by name."""
    database = opened.database
    for email in ("ada", "reader", "ruler", "root", "stranger"):
        users.add(opened, f"{email}@example.org", admin=email == "root", read_only=email == "reader")
    groups.add(opened, "lab-1")
    groups.add_member(opened, "lab-1", "ada@example.org")
    for name in ("fish2", "fly"):
        datasets.add(opened, name)
    terms.add(opened, "fly terms", "# Be kind\n", dataset="fly")
    edit = grants.Target("fish2", "edit")
    grants.add(opened, grants.group_subject(database, "lab-1"), edit)
    grants.add(opened, grants.group_subject(database, "lab-1"), grants.Target("fly", "view"))
    grants.add(opened, grants.principal_subject(users.find(database, "reader@example.org")), edit)
    ruler = grants.principal_subject(users.find(database, "ruler@example.org"))
    grants.add(opened, ruler, grants.Target("fish2", "admin"))
    bot, _ = service_accounts.add(opened, "bot")
    grants.add(opened, grants.principal_subject(bot), grants.Target("fish2", "view"))
    owners = {user["email"].split("@")[0]: users.find(database, user["email"]) for user in users.listed(database)}
    return {name: tokens.mint(opened, owner)[1] for name, owner in {**owners, "bot": bot}.items()}


@pytest.fixture
def cave(serve: Callable[..., Server], provider: Provider, database: Database, tmp_path: Path) -> Iterator[Cave]:
    provider.how(claims=ADA)
    with change(database, "os:test") as opened:
        secrets = facts(opened)
    server = serve(
        DSG_ORIGIN=f"https://{HOST}",
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
    with nginx(tmp_path, provider.certificate, server.origin.removeprefix("http://"), more) as tls:
        environment = {
            "PATH": os.environ["PATH"],
            "AUTH_URL": f"localhost:{tls}",  # where the service asks
            "STICKY_AUTH_URL": HOST,  # where it sends browsers
            "TOKEN_CACHE_TTL": "0",  # the client may keep an answer for 300 s: its delay, not ours
            "REQUESTS_CA_BUNDLE": str(provider.certificate),
        }
        with subprocess.Popen([sys.executable, "-m", "tests.e2e.cave_service", str(port)], env=environment) as service:
            try:
                wait_until(lambda: _alive(port), what="the service")
                yield Cave(tls, provider.certificate, secrets)
            finally:
                service.terminate()


def _alive(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/alive", timeout=2).ok
    except requests.ConnectionError:
        return False


LETS_IN = {
    "/required": {"ada", "reader", "ruler", "root", "stranger", "bot"},
    "/view": {"ada", "reader", "ruler", "bot"},
    "/edit": {"ada", "ruler"},
    "/admin": {"root"},
    "/group": {"ada"},
    "/dataset-admin": {"ruler"},
}


def test_each_guard_of_the_client_lets_in_whom_the_facts_do(cave: Cave, database: Database) -> None:
    for path, allowed in LETS_IN.items():
        seen = {who: cave.ask(path, who) for who in cave.secrets}
        assert {who for who, reply in seen.items() if reply.status_code == 200} == allowed, path
        assert {reply.status_code for who, reply in seen.items() if who not in allowed} <= {403}, path
    assert cave.ask("/required", "bot").json() == {"email": "bot@service-account.dsg.local"}
    assert cave.ask("/required", "x" * 40).status_code == 401

    with change(database, "os:test") as opened:
        users.set_active(opened, "ada@example.org", False)
        service_accounts.set_active(opened, "bot", False)
    assert cave.ask("/view", "ada").status_code == 401
    assert cave.ask("/view", "bot").status_code == 401


def test_a_browser_is_sent_to_sign_in_and_back(cave: Cave, database: Database) -> None:
    """The service is below the cookie's domain: it reads our cookie."""
    browser = cave.browser()
    reply = browser.get(f"{CAVE}/view?x=1")
    assert reply.json() == {"email": "ada@example.org"}
    assert browser.went[-1] == f"{CAVE}/view?x=1"
    assert any(address.startswith(f"https://{HOST}/api/v1/authorize?redirect=") for address in browser.went)
    assert browser.get(f"{CAVE}/edit", follow=False).status_code == 200

    browser.get("/api/v1/logout")
    assert browser.get(f"{CAVE}/view", follow=False).status_code == 302


def test_a_service_outside_the_domain_is_handed_the_token_and_keeps_its_own_cookie(cave: Cave) -> None:
    browser = cave.browser()
    reply = browser.get(f"{ELSEWHERE}/view")
    assert reply.json() == {"email": "ada@example.org"}
    assert browser.went[-1] == f"{ELSEWHERE}/view", "the token stayed in the address"
    handed = next(address for address in browser.went if f"{TOKEN_NAME}=" in address)
    assert handed.startswith(f"{ELSEWHERE}/view?{TOKEN_NAME}=dsg_")
    assert browser.get(f"{ELSEWHERE}/edit", follow=False).status_code == 200


def test_missing_terms_lead_to_a_page_that_accepts_and_back(cave: Cave) -> None:
    program = cave.ask("/fly", "ada")
    assert (program.status_code, program.json()["error"]) == (403, "missing_tos")
    assert program.json()["data"]["tos_form_url"] == f"https://{HOST}/api/v1/tos/1/accept"

    browser = cave.browser()
    page = browser.get(f"{CAVE}/fly")
    assert page.url.startswith(f"https://{HOST}/api/v1/tos/1/accept?redirect=")
    assert "Be kind" in page.text
    fields = dict(_hidden_fields(page.text))
    accepted = browser.session.post(f"https://{HOST}/api/v1/tos/1/accept", data=fields, timeout=20)
    assert accepted.url == f"{CAVE}/fly"
    assert accepted.json() == {"email": "ada@example.org"}


def _hidden_fields(html: str) -> Iterator[tuple[str, str]]:
    from html.parser import HTMLParser

    found: list[tuple[str, str]] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            known = dict(attrs)
            if tag == "input" and known.get("type") == "hidden":
                found.append((known["name"] or "", known["value"] or ""))

    Parser().feed(html)
    return iter(found)
