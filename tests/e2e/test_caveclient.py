"""The real caveclient, from PyPI, against the gateway behind nginx over TLS."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import groups, token_checks, tokens, users
from dsgctl.core.clock import now
from dsgctl.core.token_checks import PresentedToken
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.cave import AUTH, Cave, add_cave_data, needs_cave, run_cave
from tests.e2e.conftest import Server
from tests.e2e.lab import CHROMIUM
from tests.e2e.provider import ADA, Provider
from tests.e2e.real_clients import ClientError, Clients, needs_clients, run_clients
from tests.patience import PATIENCE

pytestmark = [*needs_cave, needs_clients]

LOOK_UP = "get_user_information"


@pytest.fixture
def cave(serve: Callable[..., Server], provider: Provider, database: Database, tmp_path: Path) -> Iterator[Cave]:
    provider.configure(claims=ADA)
    with begin_change(database, "os:test") as change:
        secrets = add_cave_data(change)
    with run_cave(serve, provider, secrets, tmp_path, apis="cave") as started:
        yield started


@pytest.fixture
def clients(cave: Cave, tmp_path: Path) -> Iterator[Clients]:
    browser = tmp_path / "browser"  # that the client opens: it notes the address
    browser.write_text('#!/bin/sh\necho "$1" > "$HOME/opened"\n')
    browser.chmod(0o700)
    with run_clients(cave.port, cave.certificate, tmp_path / "home", BROWSER=str(browser)) as started:
        yield started


def ask(clients: Clients, token: str | None, method: str, /, **arguments: Any) -> Any:
    """What `method` of ``client.auth`` returns."""
    return clients.call("auth_client", server=AUTH, token=token, method=method, arguments=arguments)


def ask_and_fail(clients: Clients, token: str | None, method: str, /, **arguments: Any) -> int | None:
    """The HTTP status of the error that `method` of ``client.auth`` raises."""
    with pytest.raises(ClientError) as failure:
        ask(clients, token, method, **arguments)
    assert failure.value.kind == "HTTPError", failure.value
    return failure.value.status


def test_user_information_has_those_whom_the_caller_may_look_up(
    cave: Cave, clients: Clients, database: Database
) -> None:
    ids = {user: users.find(database, f"{user}@example.org").id for user in ("ada", "leader", "stranger")}

    def names(who: str) -> list[str]:
        rows = ask(clients, cave.secrets[who], LOOK_UP, user_ids=[*ids.values(), 10**6])
        return sorted(row["name"] for row in rows)

    assert names("root") == names("bot") == ["ada", "leader", "stranger"]
    assert names("leader") == ["leader"], "leads a group that has nobody else"
    with begin_change(database, "os:test") as change:
        groups.add_member(change, "rulers", "stranger@example.org")
    assert names("leader") == ["leader", "stranger"]
    (ada,) = ask(clients, cave.secrets["root"], LOOK_UP, user_ids=[ids["ada"]])
    assert (ada["id"], ada["email"], ada["pi"], ada["service_account"]) == (ids["ada"], "ada@example.org", "", False)


def test_an_error_has_its_status_and_a_message_that_the_client_can_read(cave: Cave, clients: Clients) -> None:
    assert ask_and_fail(clients, cave.secrets["stranger"], LOOK_UP, user_ids=[1]) == 403
    assert ask_and_fail(clients, "x" * 40, LOOK_UP, user_ids=[1]) == 401
    assert ask_and_fail(clients, None, LOOK_UP, user_ids=[1]) == 401, (
        "no redirect to a page, which it would take for an answer"
    )
    with pytest.raises(ClientError, match="requires admin privilege"):
        ask(clients, cave.secrets["stranger"], LOOK_UP, user_ids=[1])


def test_the_people_of_a_group(cave: Cave, clients: Clients, database: Database) -> None:
    lab = groups.find(database, "rulers").id
    leader = {"id": users.find(database, "leader@example.org").id, "name": "", "admin": True}
    for who in ("leader", "root", "bot"):
        assert ask(clients, cave.secrets[who], "get_group_users", group_id=lab) == [leader], who
    assert ask(clients, cave.secrets["root"], "get_group_users", group_id=10**6) == []
    assert ask_and_fail(clients, cave.secrets["ada"], "get_group_users", group_id=lab) == 403


def test_a_revoked_token_is_refused_to_the_next_call(cave: Cave, clients: Clients, database: Database) -> None:
    assert ask(clients, cave.secrets["bot"], LOOK_UP, user_ids=[1])
    with begin_change(database, "os:test") as change:
        token = token_checks.check(database, PresentedToken(cave.secrets["bot"]), now()).token
        assert token is not None
        tokens.revoke(change, token.id)
    assert ask_and_fail(clients, cave.secrets["bot"], LOOK_UP, user_ids=[1]) == 401


# A person who has no token yet


def make_token_in_browser(cave: Cave, address: str, description: str) -> tuple[str, str]:
    """Open an address in Chromium, sign in, and create a token. Returns it, and the page when it is opened again."""
    from playwright.sync_api import sync_playwright  # not at the top: playwright need not be installed

    rules = f"MAP auth.example.org:443 127.0.0.1:{cave.port}"
    arguments = ["--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", f"--host-resolver-rules={rules}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(ignore_https_errors=True)
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(address)
        page.get_by_label("What is it for?").fill(description)
        page.get_by_role("button", name="Create a token").click()
        secret = page.locator("#token").inner_text()
        page.goto(address)
        again = page.content()
        browser.close()
    return secret, again


@pytest.mark.skipif(not CHROMIUM, reason="apt-get install chromium")
@pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="pip install playwright")
@pytest.mark.parametrize(
    ("make_new", "opened"), [(True, "/auth/api/v1/create_token"), (False, "/sticky_auth/settings/tokens")]
)
def test_a_person_gets_a_token_on_the_page_that_the_client_opens(
    cave: Cave, clients: Clients, make_new: bool, opened: str
) -> None:
    assert ask_and_fail(clients, None, "get_tokens") == 401
    ask(clients, None, "setup_token", make_new=make_new)
    address = (clients.home / "opened").read_text().strip()
    assert address == AUTH + opened and address in clients.printed
    secret, again = make_token_in_browser(cave, address, "my laptop")
    assert secret not in again and "my laptop" in again
    ask(clients, None, "save_token", token=secret)
    newest = ask(clients, None, "get_tokens")[0]  # by a new client, which reads its file
    assert (newest["description"], secret.startswith(newest["token"])) == ("my laptop", True)
    assert newest["token"] != secret, "only the beginning is stored"
