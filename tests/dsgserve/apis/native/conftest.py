"""A server that serves the native API from the data of the recorded answers."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsgctl.config import Config
from dsgctl.store.migrations import open_current
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from tests.dsgserve.conftest import KEY, Client, Reply
from tests.native_answers import AUTHORIZE, fill

ORIGIN = "https://auth.example.org"


@pytest.fixture(scope="session")
def native_database(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """The data of the recorded answers, written once; no test writes to the file."""
    path = tmp_path_factory.mktemp("native") / "dsg.sqlite3"
    shutil.copyfile(empty_database, path)
    database = open_current(path)
    fill(database)
    database.close()
    return path


@pytest.fixture
def path(tmp_path: Path, native_database: Path) -> Path:
    copy = tmp_path / "dsg.sqlite3"
    shutil.copyfile(native_database, copy)
    return copy


@pytest.fixture
def gateway(path: Path) -> Iterator[Gateway]:
    """Without the other APIs, and with the native one's data."""
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
