"""The long-lived token and its rotation: who may, and what lives on."""

from dataclasses import replace
from typing import Any

import pytest

from dsgctl.core import clients, delegated_keys, long_lived_tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.models import Token
from dsgserve.apis.native import ROUTES
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.http.route import Request
from dsgserve.http.routing import RoutingTable
from tests.dsgserve.conftest import Client

MINT, ROTATE, CREATE = "/api/v1/long_lived_token", "/api/v1/long_lived_token/rotate", "/api/v1/create_token"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def mint(client: Client) -> str:
    reply = client.get(MINT, **bearer("tok-ada-login"))
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    return str(reply.json()["token"])


def works(client: Client, token: str) -> bool:
    return client.get("/api/dsg/v1/user", **bearer(token)).status == 200


def test_each_request_gets_a_new_token_and_the_newest_ten_live(client: Client) -> None:
    made = [mint(client) for _ in range(long_lived_tokens.MAX_TOKENS + 2)]
    assert [works(client, token) for token in made] == [False] * 2 + [True] * long_lived_tokens.MAX_TOKENS
    assert works(client, "tok-ada")  # other tokens are left alone
    assert client.get("/api/dsg/v1/user", **bearer(made[-1])).json()["email"] == "ada@example.org"


def test_a_rotation_ends_the_token_that_was_sent_and_no_other(client: Client) -> None:
    first, second = mint(client), mint(client)
    reply = client.post(ROTATE, **bearer(first))
    assert reply.status == 200
    assert [works(client, token) for token in (first, second, reply.json()["token"])] == [False, True, True]
    assert client.post(ROTATE, **bearer(first)).status == 401
    assert client.post(ROTATE, **bearer(reply.json()["token"])).status == 200


def test_of_two_rotations_one_is_lost(client: Client, gateway: Gateway) -> None:
    token, statuses = mint(client), []
    route = next(route for route in ROUTES if route.path == ROTATE)
    endpoint = route.endpoints[0]

    def admit_late(gateway: Gateway, request: Request[None]) -> Any:
        """Another request with the same token passes everything first."""
        login = endpoint.admits(gateway, request)
        statuses.append(client.post(ROTATE, **bearer(token)).status)
        return login

    late = replace(route, endpoints=(replace(endpoint, admits=admit_late),))
    reply = Client(make_app(gateway, RoutingTable([late]))).post(ROTATE, **bearer(token))
    assert (statuses, reply.status, reply.json()["error"]) == ([200], 409, "conflict")


def make_key(database: Database, email: str) -> str:
    """A key that an application was handed."""
    with begin_change(database, "os:test") as change:
        client = clients.add(change, "coda", origin="https://coda.example", owner=email)[0]
        return delegated_keys.mint(change, users.find(database, email), client)


@pytest.fixture
def long_lived(client: Client) -> str:
    return mint(client)


# The headers of a request, and its status at the three routes. LONG, KEY stand for tokens that a test makes.
CALLERS: dict[str, tuple[dict[str, str], int, int, int]] = {
    "nobody": ({}, 401, 401, 401),
    "an unknown token": (bearer("nonsense"), 401, 401, 401),
    "a disabled account": (bearer("tok-off"), 401, 401, 401),
    "an expired token": (bearer("tok-expired"), 401, 401, 401),
    "another scheme": ({"authorization": "Token tok-ada"}, 401, 401, 401),
    "a service account": (bearer("tok-pipe-bot"), 403, 403, 403),
    "a key of an application": (bearer("KEY"), 403, 403, 403),
    "a cookie": ({"cookie": "tok-ada"}, 403, 403, 403),
    "a cookie of the long-lived token": ({"cookie": "LONG"}, 403, 403, 403),
    "an unknown cookie": ({"cookie": "nonsense"}, 401, 401, 401),
    "a login": (bearer("tok-ada-login"), 200, 403, 200),
    "another token": (bearer("tok-ada"), 200, 403, 200),
    "the long-lived token": (bearer("LONG"), 200, 200, 200),
    "the long-lived token, with a cookie": ({**bearer("LONG"), "cookie": "tok-ada"}, 200, 403, 200),
    "the long-lived token of somebody else, with its cookie": ({**bearer("tok-bo"), "cookie": "LONG"}, 200, 403, 200),
}


@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize(("method", "address", "place"), [("GET", MINT, 1), ("POST", ROTATE, 2), ("POST", CREATE, 3)])
def test_only_a_person_manages_tokens_with_a_token_in_the_header(
    client: Client, database: Database, long_lived: str, name: str, method: str, address: str, place: int
) -> None:
    headers, *statuses = CALLERS[name]
    key = make_key(database, "root@example.org") if "KEY" in str(headers) else ""
    headers = {header: value.replace("LONG", long_lived).replace("KEY", key) for header, value in headers.items()}
    count = database.count(Token.select())
    reply = client.request(method, address, **headers)
    assert reply.status == statuses[place - 1]
    assert database.count(Token.select()) == count + (reply.status == 200)


@pytest.mark.parametrize(("method", "address"), [("GET", MINT), ("POST", ROTATE), ("POST", CREATE)])
def test_a_link_with_a_token_makes_nothing(client: Client, method: str, address: str) -> None:
    assert client.request(method, f"{address}?dsg_token=tok-ada").status == 403


@pytest.mark.parametrize(
    ("method", "address"), [("HEAD", MINT), ("POST", MINT), ("GET", ROTATE), ("GET", CREATE), ("HEAD", CREATE)]
)
def test_other_methods_make_nothing(client: Client, method: str, address: str) -> None:
    assert client.request(method, address, **bearer("tok-ada")).status == 405
