"""Registered clients: added, changed, disabled and deleted, and what becomes of their keys."""

from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import clients, delegated_keys, token_checks, users
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.store import models as m
from dsgctl.store.models import Client
from tests.dsgctl.core.builders import AT, Run, refused
from tests.dsgctl.store.builders import with_apsw

ATLAS: dict[str, Any] = {"origin": "https://lab.github.io", "owner": "ana@x.org"}


@pytest.fixture
def atlas(run: Run) -> Client:
    for name in ("ana", "bea"):
        run(users.add, f"{name}@x.org")
    client: Client = run(clients.add, "atlas", **ATLAS)[0]
    return client


def test_a_client_is_added_once(run: Run, atlas: Client) -> None:
    before = run.content()
    assert run(clients.add, "atlas", origin="https://lab.github.io", owner="ANA@x.org") == (atlas, False)
    assert run.content() == before
    assert list(clients.list_clients(run.database)) == [
        {"id": atlas.id, "name": "atlas", **ATLAS, "active": True, "created": AT}
    ]
    assert run.records()[-1]["after"] == {**ATLAS, "app_urls": []}


@pytest.mark.parametrize(
    "other",
    [{"origin": "https://other.example"}, {"owner": "bea@x.org"}, {"app_urls": ["https://data.example"]}],
    ids=repr,
)
def test_a_client_that_is_there_and_differs_is_a_conflict(run: Run, atlas: Client, other: dict[str, Any]) -> None:
    with refused(Conflict, "client atlas exists", "dsgctl client show atlas"):
        run(clients.add, "atlas", **{**ATLAS, **other})


def test_an_origin_has_one_client(run: Run, atlas: Client) -> None:
    with refused(Conflict, "https://lab.github.io is the origin of client atlas"):
        run(clients.add, "my atlas", **ATLAS)
    run(clients.add, "other", origin="https://other.example", owner="bea@x.org")
    with refused(Conflict, "https://lab.github.io is the origin of client atlas"):
        run(clients.set_attributes, "other", origin="https://lab.github.io")


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("", {}, Invalid),
        (" a", {}, Invalid),
        ("a\u202eb", {}, Invalid),
        ("a", {"origin": "https://Lab.github.io"}, Invalid),
        ("a", {"app_urls": ["https://data.example/"]}, Invalid),
        ("a", {"owner": "nobody@x.org"}, NotFound),
    ],
)
def test_a_bad_value_is_refused(run: Run, atlas: Client, name: str, values: dict[str, Any], error: Any) -> None:
    with refused(error):
        run(clients.add, name, **{"origin": "https://new.example", "owner": "ana@x.org", **values})


@pytest.mark.parametrize("function", [clients.set_attributes, clients.remove])
def test_an_unknown_client_is_not_found(run: Run, function: Any) -> None:
    for name in ("atlas", "a\0"):
        with refused(NotFound, "there is no client", "dsgctl client list"):
            run(function, name)


def test_app_urls_are_replaced_together(run: Run, atlas: Client) -> None:
    assert run(
        clients.set_attributes, "atlas", app_urls=["https://b.example", "https://a.example", "https://b.example"]
    )
    assert clients.list_app_urls(run.database, atlas) == ["https://a.example", "https://b.example"]
    assert not run(clients.set_attributes, "atlas", app_urls=["https://b.example", "https://a.example"])
    assert run(clients.set_attributes, "atlas", app_urls=[])
    assert clients.list_app_urls(run.database, atlas) == []
    assert run.records()[-1]["before"] == {"app_urls": ["https://a.example", "https://b.example"]}


@pytest.mark.parametrize(
    ("values", "forgets"),
    [
        ({"origin": "https://other.example"}, True),
        ({"owner": "bea@x.org"}, True),
        ({"app_urls": ["https://data.example"]}, False),
        ({"origin": "https://lab.github.io", "owner": "ana@x.org"}, False),
    ],
    ids=repr,
)
def test_a_new_origin_or_owner_forgets_what_people_agreed_to(
    run: Run, atlas: Client, values: dict[str, Any], forgets: bool
) -> None:
    run(delegated_keys.remember_consent, users.find(run.database, "bea@x.org"), atlas)
    run(clients.set_attributes, "atlas", **values)
    assert clients.show(run.database, "atlas", AT)["consents"] == ([] if forgets else ["bea@x.org"])


NEW = "'atlas', 1, 'https://lab.github.io', 1, '2026-11-22T00:00:00.000000Z'"


@pytest.mark.parametrize(
    ("statement", "forgets"),
    [
        ("UPDATE clients SET origin = 'https://evil.example'", True),
        ("UPDATE clients SET owner_id = 2", True),
        ("UPDATE clients SET id = 7", True),
        (f"REPLACE INTO clients (id, name, owner_id, origin, active, created) VALUES (1, {NEW})", True),
        (f"REPLACE INTO clients (name, owner_id, origin, active, created) VALUES ({NEW})", True),
        ("DELETE FROM clients", True),
        ("UPDATE clients SET active = 0, name = 'other'", False),
    ],
)
def test_a_change_by_the_sqlite3_shell_ends_consents_too(
    run: Run, path: Path, atlas: Client, statement: str, forgets: bool
) -> None:
    run(delegated_keys.remember_consent, users.find(run.database, "bea@x.org"), atlas)
    with_apsw(path, statement)
    assert with_apsw(path, "SELECT count(*) FROM client_consents") == [(0 if forgets else 1,)]


def test_a_disabled_client_is_not_found_by_its_origin_and_its_keys_go_on(run: Run, atlas: Client) -> None:
    key = run(delegated_keys.mint, users.find(run.database, "bea@x.org"), atlas)
    assert clients.find_active(run.database, "https://lab.github.io") == atlas
    assert [run(clients.set_active, "atlas", False) for _ in range(2)] == [True, False]
    assert clients.find_active(run.database, "https://lab.github.io") is None
    assert clients.list_active(run.database) == [] and clients.have_any(run.database)
    assert token_checks.check(run.database, PresentedToken(key), AT).problem is None
    run(clients.set_active, "atlas", True)
    assert clients.find_active(run.database, "https://lab.github.io") == atlas


def test_removing_a_client_revokes_its_keys_and_keeps_them_in_the_list(run: Run, atlas: Client) -> None:
    bea = users.find(run.database, "bea@x.org")
    key = run(delegated_keys.mint, bea, atlas)
    run(delegated_keys.remember_consent, bea, atlas)
    token = run.database.objects(m.Token.select())[0]
    assert run(clients.remove, "atlas") == {"keys": [token.id], "consents": ["bea@x.org"]}
    assert token_checks.check(run.database, PresentedToken(key), AT).problem is TokenError.REVOKED
    assert run.actions()[-2:] == [f"token.revoke token:{token.id} user:bea@x.org", "client.remove client:atlas"]
    assert not clients.have_any(run.database)


def test_the_owner_of_a_client_cannot_be_deleted(run: Run, atlas: Client) -> None:
    with refused(Conflict, "ana@x.org is responsible for client atlas", "dsgctl client set atlas --owner EMAIL"):
        run(users.remove, "ana@x.org")
    run(clients.set_attributes, "atlas", owner="bea@x.org")
    run(users.remove, "ana@x.org")


def test_a_client_whose_owner_the_shell_deleted_gets_no_key_and_can_be_given_to_another(
    run: Run, atlas: Client, path: Path
) -> None:
    with_apsw(path, "DELETE FROM principals WHERE email = 'ana@x.org'")
    assert clients.find_active(run.database, "https://lab.github.io") is None
    assert [row["owner"] for row in clients.list_clients(run.database)] == [None]
    assert clients.show(run.database, "atlas", AT)["owner"] is None
    run(clients.set_attributes, "atlas", owner="bea@x.org")
    assert clients.find_active(run.database, "https://lab.github.io") is not None
