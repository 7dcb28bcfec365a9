"""A server with the data of a middle_auth server, imported."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsgctl.config import Config
from dsgctl.importers import middle_auth
from dsgctl.store.migrations import open_current
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from tests.dsgctl.core.builders import Run
from tests.dsgctl.importers import cave_dumps
from tests.dsgserve.conftest import KEY, Client


@pytest.fixture(scope="session")
def imported(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dumps, imported; not to be written to."""
    directory = tmp_path_factory.mktemp("imported")
    cave_dumps.copy_dumps(directory / "dumps")
    path = directory / "dsg.sqlite3"
    shutil.copyfile(empty_database, path)
    database = open_current(path)
    Run(database)(middle_auth.Importer().run, str(directory / "dumps"), skip_conflicts=True)
    database.close()
    return path


@pytest.fixture
def cave_gateway(imported: Path, tmp_path: Path) -> Iterator[Gateway]:
    path = tmp_path / "cave.sqlite3"
    shutil.copyfile(imported, path)
    gateway = Gateway.open(
        Config(
            database=path,
            origin="https://auth.example.org",
            secret_keys=(KEY,),
            token_names=("middle_auth_token",),
            apis=("cave",),
        )
    )
    yield gateway
    gateway.close()


@pytest.fixture
def cave(cave_gateway: Gateway) -> Client:
    return Client(make_app(cave_gateway))
