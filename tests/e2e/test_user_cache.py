"""The main job: what a running server answers, and that it sees every change at the next request."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from dsgctl.core import datasets, grants, groups, service_accounts, services, terms, token_queries, tokens, users
from dsgctl.core.clock import now
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.importers import datasetgateway
from dsgctl.store import Database
from tests.conftest import FIXTURES
from tests.e2e.conftest import Server
from tests.e2e.local import wait_until
from tests.level_table import TABLE, included_levels, leave_out_unrecorded
from tests.patience import PATIENCE

Serve = Callable[..., Server]
Dsgctl = Callable[..., str]


EDIT, MANAGE = sorted(included_levels("edit")), sorted(included_levels("manage"))
READ_ONLY_MANAGE = sorted(included_levels("manage") - {row.name for row in TABLE if row.lost_if_read_only})


@pytest.fixture
def lab(database: Database) -> dict[str, str]:
    """Ada, who may edit fish2 through lab-1, and a service account that may view it. Their tokens."""
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org", name="Ada")
        groups.add(change, "lab-1")
        groups.add_member(change, "lab-1", "ada@example.org")
        datasets.add(change, "fish2")
        grants.add(change, group_subject(database, "lab-1"), Target("fish2", "edit"))
        bot, _ = service_accounts.add(change, "bot")
        grants.add(change, principal_subject(bot), Target("fish2", "view"))
        return {"ada": tokens.mint(change, ada)[1], "bot": tokens.mint(change, bot)[1]}


def as_sets(answer: Any) -> Any:
    """Lists compared as sets: their order is no promise."""
    if isinstance(answer, dict):
        return {key: as_sets(value) for key, value in answer.items()}
    return frozenset(json.dumps(part, sort_keys=True) for part in answer) if isinstance(answer, list) else answer


def test_the_server_answers_as_the_original_did_from_an_imported_database(database: Database, serve: Serve) -> None:
    with begin_change(database, "os:test") as change:
        datasetgateway.Importer().run(change, FIXTURES / "datasetgateway.sqlite3")
    server = serve()
    expected = json.loads((FIXTURES / "datasetgateway.user_cache.json").read_text())
    assert len(expected) == 73
    for entry in expected:
        for service, response in entry["responses"].items():
            got = server.ask(entry["token"], **({"service": service} if service else {}))
            assert got.status_code == response["status"], entry["token"]
            if response["json"] is not None:
                answer, wanted = as_sets(leave_out_unrecorded(got.json())), as_sets(response["json"])
                if entry["kind"] == "service-account":  # one id space: theirs may differ
                    del answer["id"], wanted["id"]
                assert answer == wanted


def test_each_change_by_dsgctl_is_seen_by_the_next_request_in_every_process(
    lab: dict[str, str], serve: Serve, dsgctl: Dsgctl, path: Path
) -> None:
    servers = [serve(), serve()]

    def ask_servers(name: str = "ada") -> list[Any]:
        replies = [server.ask(lab[name]) for server in servers for _ in range(2)]
        permissions = [reply.json().get("permissions_v2", reply.json().get("error")) for reply in replies]
        assert all(answer == permissions[0] for answer in permissions)
        return [replies[0].status_code, permissions[0]]

    assert ask_servers() == [200, {"fish2": EDIT}]
    dsgctl("grant", "revoke", "fish2", "edit", "--group", "lab-1")
    assert ask_servers() == [200, {}]
    dsgctl("grant", "add", "fish2", "manage", "--user", "ada@example.org")
    assert ask_servers() == [200, {"fish2": MANAGE}]
    dsgctl("user", "set", "ada@example.org", "--read-only")
    assert ask_servers() == [200, {"fish2": READ_ONLY_MANAGE}]
    (path.parent / "terms.md").write_text("Be kind.")
    dsgctl("terms", "add", "fish2 terms", "--file", str(path.parent / "terms.md"), "--dataset", "fish2")
    assert ask_servers() == [200, {}]
    dsgctl("terms", "accept", "1", "ada@example.org")
    assert ask_servers() == [200, {"fish2": READ_ONLY_MANAGE}]
    dsgctl("user", "disable", "ada@example.org")
    assert ask_servers() == [401, "account_disabled"]
    dsgctl("user", "enable", "ada@example.org")
    assert ask_servers() == [200, {"fish2": READ_ONLY_MANAGE}]
    dsgctl("token", "revoke", "1")
    assert ask_servers() == [401, "invalid_token"]
    assert ask_servers("bot") == [200, {"fish2": ["view"]}]
    dsgctl("service-account", "remove", "bot", "-y")
    assert ask_servers("bot") == [401, "invalid_token"]


def test_a_change_with_the_sqlite3_shell_is_seen_by_the_next_request(
    lab: dict[str, str], serve: Serve, path: Path
) -> None:
    server = serve()
    assert server.ask(lab["ada"]).json()["permissions_v2"] == {"fish2": EDIT}
    # Python's own SQLite stands for the shell: another program, with another library.
    statement = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    subprocess.run([sys.executable, "-c", statement, str(path), "DELETE FROM grants"], check=True)
    assert server.ask(lab["ada"]).json()["permissions_v2"] == {}


@pytest.mark.parametrize("ending", ["token", "grant", "terms begin", "terms end"])
def test_a_cached_answer_expires_at_the_next_date_in_its_facts(
    ending: str, lab: dict[str, str], database: Database, serve: Serve
) -> None:
    """Where the machine is too slow to ask before that date, it is tried again with a later one."""
    server = serve()
    for seconds in (2, 10, 60, 300):
        if _differs_at(server, database, lab["ada"], ending, now() + timedelta(seconds=seconds)):
            return
    raise AssertionError("this machine takes minutes for one request")


def _differs_at(server: Server, database: Database, token: str, ending: str, moment: datetime) -> bool:
    """Whether both questions were asked in time; then both answers were right."""
    service = f"clio-{moment:%H%M%S}"  # new at each try: earlier terms hold nothing back
    with begin_change(database, "os:test") as change:
        if ending == "token":
            token = tokens.mint(change, users.find(database, "ada@example.org"), expires=moment)[1]
        elif ending == "grant":
            grants.add(change, group_subject(database, "lab-1"), Target("fish2", "edit"), expires=moment)
        else:
            services.add(change, service)
            start = moment if ending == "terms begin" else now()
            document, _ = terms.add(change, "clio terms", "Be kind.", dataset="fish2", service=service, effective=start)
            if ending == "terms end":
                terms.retire(change, document.id, on=moment)

    def read_answer() -> Any:
        reply = server.ask(token, service=service)
        return reply.json().get("permissions_v2", reply.json().get("error"))

    with_it = {"fish2": EDIT}
    before, after = {
        "token": (with_it, "expired_token"),
        "grant": (with_it, {}),
        "terms begin": (with_it, {}),
        "terms end": ({}, with_it),
    }[ending]
    first = read_answer()
    if now() >= moment:
        return False
    assert first == before
    wait_until(lambda: now() >= moment, event="the date")
    assert read_answer() == after
    return True


def test_the_first_source_that_has_a_token_is_used(lab: dict[str, str], serve: Serve) -> None:
    url = serve().origin + "/api/v1/user/cache"
    good, bad = lab["ada"], "x" * 64

    def status(cookie: str | None = None, header: str | None = None, query: str | None = None) -> int:
        return requests.get(
            url,
            cookies={"dsg_token": cookie} if cookie else {},
            headers={"Authorization": header} if header else {},
            params={"dsg_token": query} if query else {},
            timeout=PATIENCE,
        ).status_code

    assert status(cookie=good) == 200
    assert status(header=f"Bearer {good}") == status(header=f"bearer {good}") == status(header=f"BEARER {good}") == 200
    assert status(query=good) == 200
    assert status(cookie=good, header=f"Bearer {bad}", query=bad) == 200
    assert status(cookie=bad, header=f"Bearer {good}", query=good) == 401
    assert status(header=f"Bearer {bad}", query=good) == 401
    assert status(header=f"Basic {good}") == 401
    assert status(header=f"Basic {good}", query=good) == 200


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "missing_token"),
        ("x", "invalid_token"),
        ("x" * 20_000, "invalid_token"),
        ("dsg_" + "0" * 38, "invalid_token"),
        ("%00%ff", "invalid_token"),
    ],
)
def test_a_request_without_a_usable_token_is_refused(
    token: str | None, code: str, lab: dict[str, str], serve: Serve
) -> None:
    reply = serve().ask(token)
    assert reply.status_code == 401
    assert reply.json()["error"] == code
    assert reply.json()["message"]
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="DatasetGateway"'
    assert reply.headers["Cache-Control"] == "no-store"


def test_an_answer_is_json_that_must_not_be_stored(lab: dict[str, str], serve: Serve) -> None:
    reply = serve().ask(lab["bot"])
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in reply.headers
    assert reply.json()["email"] == "bot@service-account.dsg.local"


def test_other_names_for_the_cookie_and_the_query_can_be_set(lab: dict[str, str], serve: Serve) -> None:
    server = serve(DSG_TOKEN_NAMES="dsg_token,middle_auth_token")
    url = server.origin + "/api/v1/user/cache"
    assert requests.get(url, cookies={"middle_auth_token": lab["ada"]}, timeout=PATIENCE).status_code == 200
    assert requests.get(url, params={"middle_auth_token": lab["ada"]}, timeout=PATIENCE).status_code == 200
    assert requests.get(url, params={"other": lab["ada"]}, timeout=PATIENCE).status_code == 401


def test_last_used_is_recorded_after_the_request_and_does_not_change_the_revision(
    lab: dict[str, str], serve: Serve, database: Database
) -> None:
    server = serve()
    before = database.revision()
    assert server.ask(lab["ada"]).status_code == 200
    server.process.terminate()
    server.process.wait(timeout=PATIENCE)
    used = next(row["last_used"] for row in token_queries.list_tokens(database, at=now()) if row["user"])
    assert abs((now() - used).total_seconds()) < 120
    assert used.second == used.microsecond == 0
    assert database.revision() == before


def test_answers_are_correct_while_facts_change_under_many_requests(
    lab: dict[str, str], serve: Serve, database: Database
) -> None:
    """Eight clients ask while the grant comes and goes: each answer is one of the two states, and
    after the last change every answer is the last state."""
    server = serve()
    states = ({"fish2": EDIT}, {})
    wrong: list[Any] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            permissions = server.ask(lab["ada"]).json()["permissions_v2"]
            if permissions not in states:
                wrong.append(permissions)

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    lab_1 = group_subject(database, "lab-1")
    target = Target("fish2", "edit")
    for _ in range(25):
        with begin_change(database, "os:test") as change:
            grants.revoke(change, lab_1, target)
        assert server.ask(lab["ada"]).json()["permissions_v2"] == {}
        with begin_change(database, "os:test") as change:
            grants.add(change, lab_1, target)
        assert server.ask(lab["ada"]).json()["permissions_v2"] == states[0]
    stop.set()
    for client in clients:
        client.join()
    assert not wrong


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_cleanly_on_a_stop_signal(number: signal.Signals, lab: dict[str, str], serve: Serve) -> None:
    server = serve()
    server.process.send_signal(number)
    assert server.process.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in server.log.read_text()


def test_no_token_is_ever_in_the_log(lab: dict[str, str], serve: Serve) -> None:
    server = serve(LOG_LEVEL="DEBUG")
    for token in lab.values():
        server.ask(token)
        requests.get(server.origin + "/api/v1/user/cache", params={"dsg_token": token}, timeout=PATIENCE)
        requests.get(server.origin + "/nowhere", params={"dsg_token": token}, timeout=PATIENCE)
    server.process.terminate()
    server.process.wait(timeout=PATIENCE)
    text = server.log.read_text()
    assert "/api/v1/user/cache" in text
    assert not any(token in text for token in lab.values())


def test_the_server_listens_on_the_configured_address(lab: dict[str, str], serve: Serve) -> None:
    from tests.e2e.local import free_port

    more = free_port()
    server = serve("--listen", f"127.0.0.1:{more}", "--listen", "127.0.0.1:{port}")
    wait_until(lambda: requests.get(f"http://127.0.0.1:{more}/health", timeout=PATIENCE).ok)
    assert server.is_ready()
