"""Every answer of the hot path, asked over and over, is right at the next request after every kind of change.

The same change is made with dsgctl, and as the sqlite3 shell makes it.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core.clock import now
from dsgctl.core.token_queries import list_tokens
from dsgserve.gateway import Gateway
from tests.dsgctl.commands.running import Quick
from tests.dsgserve.clients.windows import ATLAS, register, take_key
from tests.dsgserve.conftest import Client, Lab
from tests.dsgserve.routes import NAMES
from tests.dsgserve.wire import listening
from tests.patience import PATIENCE

SERVICE, TABLE, ROOT = (NAMES[name] for name in ("service", "table", "root"))
PREPARATION = """
service add clio
service set clio --mode dag
dataset version add fish v1 --ordinal 1
dataset version set fish v2 --ordinal 2
dataset version add fish side --branch side --ordinal 5
grant add fish edit --user bo@example.org --version v2
grant add fish edit --user cy@example.org --service clio
service translation add clio pisces fish
service translation add clio pisces fish --name-version old --version v1
dataset add worm
"""
AUTHORIZE = "/api/dsg/v1/authorize"  # beside the hot path: no cache has its answer
DECISIONS = json.dumps({"service": "clio", "entries": [{"name": "fish", "version": "side"}]}).encode()
QUESTIONS = [
    AUTHORIZE,
    "/api/v1/user/cache",
    "/api/v1/user/cache?service=clio",
    "/api/dsg/v1/user",
    *(
        f"/api/v1/gate?dataset={dataset}{version}&permission={permission}{service}"
        for dataset in ("fish", "pisces", "fly")
        for version in ("", "&version=v1", "&version=v2", "&version=1", "&version=old")
        for permission in ("view", "edit")
        for service in ("", "&service=clio")
    ),
    f"/api/v1/service/{SERVICE}/table/{TABLE}/dataset",
    f"/api/v1/table/{TABLE}/has_public",
    f"/api/v1/table/{TABLE}/root/{ROOT}/is_public",
]
FISH, CLIO = "(SELECT id FROM datasets WHERE name = 'fish')", "(SELECT id FROM services WHERE name = 'clio')"
V2, CY = "(SELECT id FROM versions WHERE name = 'v2')", "(SELECT id FROM principals WHERE email = 'cy@example.org')"
LONG_AGO = "2020-01-01T00:00:00.000000Z"

# What dsgctl is told, and what the sqlite3 shell is. KEY is the id of cy's delegated key.
CHANGES: dict[str, tuple[str, str]] = {
    "a translation is moved": (
        "service translation remove clio pisces && service translation add clio pisces worm",
        "UPDATE translations SET dataset_id = (SELECT id FROM datasets WHERE name = 'worm') "
        "WHERE client_version IS NULL",
    ),
    "a translation of a version is moved": (
        "service translation remove clio pisces --name-version old && "
        "service translation add clio pisces fish --name-version old --version v2",
        f"UPDATE translations SET version_id = {V2} WHERE client_version = 'old'",
    ),
    "a name is translated": (
        "service translation add clio fly fish",
        f"INSERT INTO translations (service_id, client_name, dataset_id) VALUES ({CLIO}, 'fly', {FISH})",
    ),
    "an ordinal is changed": (
        "dataset version set fish v1 --ordinal 7",
        "UPDATE versions SET ordinal = 7 WHERE name = 'v1'",
    ),
    "a branch is changed": (
        "dataset version set fish v2 --branch other",
        "UPDATE versions SET branch = 'other' WHERE name = 'v2'",
    ),
    "a mode is changed": ("service set clio --mode linear", "UPDATE services SET mode = 'linear'"),
    "a version is public": (
        "dataset version set fish v2 --public",
        "UPDATE versions SET public = 1 WHERE name = 'v2'",
    ),
    "a version is removed": ("dataset version remove fish v2 -y", f"DELETE FROM versions WHERE id = {V2}"),
    "a dataset is public": ("dataset set fish --public", f"UPDATE datasets SET access = 'public' WHERE id = {FISH}"),
    "a grant for a service is revoked": (
        "grant revoke fish edit --user cy@example.org --service clio",
        f"DELETE FROM grants WHERE service_id = {CLIO}",
    ),
    "a grant for a service is given": (
        "grant add fish edit --service-account robot --service clio",
        f"UPDATE grants SET service_id = {CLIO} WHERE principal_id = (SELECT id FROM principals WHERE slug = 'robot')",
    ),
    "a service is removed": ("service remove clio -y", f"DELETE FROM services WHERE id = {CLIO}"),
    "a client is removed": ("client remove atlas -y", "DELETE FROM clients"),
    "a key is revoked": ("token revoke KEY", f"UPDATE tokens SET revoked = '{LONG_AGO}' WHERE id = KEY"),
    "a person is disabled": ("user disable cy@example.org", f"UPDATE principals SET active = 0 WHERE id = {CY}"),
    "terms are accepted elsewhere": (
        "terms accept FLY bo@example.org",
        "INSERT INTO acceptances (principal_id, terms_id, accepted, recorded_by) "
        f"SELECT id, FLY, '{LONG_AGO}', 'x' FROM principals WHERE email = 'bo@example.org'",
    ),
    "a table is moved": (
        f"service table remove {SERVICE} {TABLE} -y && service table add {SERVICE} {TABLE} worm",
        "UPDATE service_tables SET dataset_id = (SELECT id FROM datasets WHERE name = 'worm')",
    ),
    "a root is private": (f"service root remove {SERVICE} {TABLE} {ROOT}", "DELETE FROM public_roots"),
}


@pytest.fixture
def dsgctl(tmp_path: Path, path: Path) -> Quick:
    return Quick(tmp_path, path)


@pytest.fixture
def key(client: Client, lab: Lab, dsgctl: Quick) -> str:
    """A key of cy's, in the database of the questions."""
    for line in PREPARATION.strip().splitlines():
        dsgctl(*shlex.split(line)).ok()
    register(lab, ATLAS)
    return take_key(client, lab.cy, ATLAS)


@contextmanager
def connect(gateway: Gateway) -> Iterator[HTTPConnection]:
    """A client of a server with this gateway."""
    with listening(gateway) as wire, closing(HTTPConnection(*wire.address, timeout=PATIENCE)) as connection:
        yield connection


@pytest.fixture
def connection(gateway: Gateway) -> Iterator[HTTPConnection]:
    with connect(gateway) as connection:
        yield connection


@contextmanager
def connect_to_another(gateway: Gateway) -> Iterator[HTTPConnection]:
    """A client of a server that has answered nothing yet."""
    another = Gateway.open(gateway.config)
    with connect(another) as connection:
        yield connection
    another.close()


def ask_all(connection: HTTPConnection, tokens: dict[str, str | None]) -> dict[tuple[str, str], Any]:
    def ask(question: str, token: str | None) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if question == AUTHORIZE:
            connection.request("POST", question, DECISIONS, headers | {"Content-Type": "application/json"})
        else:
            connection.request("GET", question, headers=headers)
        response = connection.getresponse()
        identity = {name: value for name, value in response.getheaders() if name.startswith("X-Auth-Request-")}
        return response.status, response.read(), identity

    return {(who, question): ask(question, token) for who, token in tokens.items() for question in QUESTIONS}


def run_sqlite(path: Path, statement: str) -> None:
    """Change the database with another SQLite than ours, in a process of its own, as the sqlite3 shell does."""
    code = "import sqlite3, sys; shell = sqlite3.connect(sys.argv[1]); shell.execute(sys.argv[2]); shell.commit()"
    subprocess.run([sys.executable, "-c", code, str(path), statement], check=True)


@pytest.mark.parametrize("by", ["dsgctl", "sqlite3"])
@pytest.mark.parametrize("name", CHANGES)
def test_the_next_request_sees_a_change(
    name: str, by: str, connection: HTTPConnection, gateway: Gateway, lab: Lab, dsgctl: Quick, key: str, path: Path
) -> None:
    tokens = {"nobody": None, "ada": lab.ada, "bo": lab.bo, "cy": lab.cy, "robot": lab.robot, "key": key}
    before = ask_all(connection, tokens)
    assert ask_all(connection, tokens) == before, "from the caches"
    (key_id,) = [row["id"] for row in list_tokens(lab.database, at=now()) if row["kind"] == "delegated"]
    command, statement = (text.replace("KEY", str(key_id)).replace("FLY", str(lab.fly_terms)) for text in CHANGES[name])
    if by == "dsgctl":
        for words in command.split(" && "):
            dsgctl(*shlex.split(words)).ok()
    else:
        run_sqlite(path, statement)
    after = ask_all(connection, tokens)
    with connect_to_another(gateway) as another:
        assert after == ask_all(another, tokens)
    assert after != before, "the change showed nowhere, so that nothing was tried"


@pytest.mark.parametrize("by", ["dsgctl", "sqlite3"])
def test_the_next_window_of_a_disabled_client_gets_no_key(
    by: str, client: Client, lab: Lab, dsgctl: Quick, key: str, path: Path
) -> None:
    take_key(client, lab.cy, ATLAS, remember="1")
    window = f"/login?origin={ATLAS}&token=api"
    assert "data-messages" in client.get(window, cookie=lab.cy, accept="text/html").text
    if by == "dsgctl":
        dsgctl("client", "disable", "atlas").ok()
    else:
        run_sqlite(path, "UPDATE clients SET active = 0")
    reply = client.get(window, cookie=lab.cy, accept="text/html")
    assert "badorigin" in reply.text and "dsgt" not in reply.text
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {key}").status == 200, "keys end at their own time"
