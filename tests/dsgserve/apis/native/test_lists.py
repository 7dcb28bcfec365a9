"""The lists of the native API: who sees what. The recorded lists are replayed in test_native.py."""

import json
from collections.abc import Callable
from urllib.parse import quote, unquote

import pytest

from dsgctl.core import clients, delegated_keys, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store import models as m
from tests.dsgctl.core.builders import AT, DAY
from tests.dsgserve.conftest import Client, Reply

Get = Callable[..., Reply]


@pytest.fixture
def get(client: Client) -> Get:
    return lambda path, token="tok-ada": client.get(unquote(path, "latin-1"), authorization=f"Bearer {token}")


def list_names(reply: Reply) -> list[str]:
    return [row["name"] for row in reply.json()]


def test_a_grant_that_has_ended_shows_nothing(get: Get, database: Database) -> None:
    assert "secret" in list_names(get("/api/dsg/v1/datasets", "tok-mgr"))
    database.run(m.Grant.update(expires=AT - 365 * DAY).where(m.Grant.dataset == 7))
    assert "secret" not in list_names(get("/api/dsg/v1/datasets", "tok-mgr"))
    assert get("/api/dsg/v1/datasets/secret/versions", "tok-mgr").status == 404


def test_a_key_of_an_application_does_not_see_all_that_an_admin_does(get: Get, database: Database) -> None:
    with begin_change(database, "os:test") as change:
        client = clients.add(change, "coda", origin="https://coda.example", owner="ada@example.org")[0]
        key = delegated_keys.mint(change, users.find(database, "root@example.org"), client)
    assert "secret" in list_names(get("/api/dsg/v1/datasets", "tok-root"))
    assert list_names(get("/api/dsg/v1/datasets", key)) == ["fly", "moss", "worm", "yeast"]
    assert get("/api/dsg/v1/datasets/secret/versions", key).status == 404
    assert get("/api/dsg/v1/groups/lab/members", key).status == 404
    assert get("/api/dsg/v1/user", key).json()["admin"] is False


# Names in a path, as the databases of services have them, and the status for an admin.
NAMES = {
    "": 404,
    "lab": 200,
    "LAB": 404,
    "lab ": 404,
    "лаборатория": 200,
    "²": 404,
    "a b/c": 404,  # an encoded slash names no route
    "..": 404,
    "x' OR '1'='1": 404,
    '"': 404,
    "%": 404,
    "_ab": 404,
    "l" * 10_000: 404,
    "\x00": 404,
}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("prefix", ["/api/dsg/v1", "/api/v1"])
def test_any_name_of_a_group_has_its_status(get: Get, prefix: str, name: str) -> None:
    reply = get(f"{prefix}/groups/{quote(name, safe='')}/members", "tok-root")
    assert reply.status == NAMES[name]


@pytest.mark.parametrize("name", ["", "nowhere", "²", "fish'", "fish%2Fv1", "魚", "\x00", "f" * 10_000])
def test_any_other_name_of_a_dataset_is_not_found(get: Get, name: str) -> None:
    reply = get(f"/api/dsg/v1/datasets/{quote(name, safe='%')}/versions")
    assert (reply.status, set(reply.json())) == (404, {"error", "message"})


def test_what_may_not_be_seen_is_answered_like_what_does_not_exist(get: Get) -> None:
    for hidden, missing in (
        ("/api/dsg/v1/datasets/secret/versions", "/api/dsg/v1/datasets/nowhere/versions"),
        ("/api/dsg/v1/groups/lab/members", "/api/dsg/v1/groups/nowhere/members"),
    ):
        answers = [get(path, "tok-dee") for path in (hidden, missing)]
        assert len({(reply.status, reply.body) for reply in answers}) == 1


# Who asks for the members of lab, and the status.
READERS = {
    "tok-bo": 200,  # a member
    "tok-lab-member": 200,  # its lead
    "tok-root": 200,
    "tok-pipe-bot": 200,
    "tok-ada": 404,
    "tok-off": 401,  # a member, disabled
    "nonsense": 401,
}


@pytest.mark.parametrize("token", READERS)
def test_members_admins_and_service_accounts_see_who_is_in_a_group(get: Get, token: str) -> None:
    reply = get("/api/v1/groups/lab/members", token)
    assert reply.status == READERS[token]
    if reply.status == 200:
        assert reply.json() == ["bo@example.org", "lab-member@example.org", "off@example.org"]


@pytest.mark.parametrize("service", ["nowhere", "", "²", "x" * 4000, "neuprint&service=dvid"])
def test_any_service_gets_an_answer(get: Get, service: str) -> None:
    reply = get(f"/api/dsg/v1/datasets?service={quote(service, safe='&=')}")
    assert reply.status == 200
    assert ("abcd" in list_names(reply)) == service.endswith("dvid")  # the last one counts


def test_a_name_that_stands_for_one_version_is_not_the_name_of_the_dataset(get: Get, database: Database) -> None:
    names = {"service": 4, "client_name": "aaa", "client_version": None, "dataset": 1, "version": 1}
    database.run(m.Translation.insert(**names))
    assert "fish" in list_names(get("/api/dsg/v1/datasets?service=bare"))


def test_versions_have_the_first_of_their_names(get: Get, database: Database) -> None:
    for client_version in ("z", "a", "b"):
        names = {"service": 4, "client_name": "any", "client_version": client_version, "dataset": 1, "version": 2}
        database.run(m.Translation.insert(**names))
    rows = get("/api/dsg/v1/datasets/fish/versions?service=bare").json()
    assert [row["version"] for row in rows] == ["alt1", "loose", "v1", "a", "v3", "20"]
    assert json.dumps(rows).count('"ordinal": null') == 1
