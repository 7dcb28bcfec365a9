"""A server that serves the native API from the data of the recorded answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsgctl.config import Config
from dsgctl.store import Database
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from tests.dsgserve.conftest import KEY, Client, Reply
from tests.native_answers import AUTHORIZE, fill

ORIGIN = "https://auth.example.org"


@pytest.fixture
def gateway(path: Path, database: Database) -> Iterator[Gateway]:
    """Without the other APIs, and with the native one's data."""
    fill(database)
    gateway = Gateway.open(
        Config(database=path, origin=ORIGIN, secret_keys=(KEY,), cookie_domain=".example.org", apis=("native",))
    )
    yield gateway
    gateway.close()


@pytest.fixture
def client(gateway: Gateway) -> Client:
    return Client(make_app(gateway))


Ask = Callable[..., Reply]


@pytest.fixture
def ask(client: Client) -> Ask:
    """POST /api/dsg/v1/authorize with a token, or without one for None."""

    def send(token: str | None, body: Any, **options: Any) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}"} if token else {}
        options = {"content_type": "application/json", **headers, **options}
        return client.request("POST", AUTHORIZE, body=content, **options)

    return send
