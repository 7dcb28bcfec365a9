"""The command line for a test: on an empty database, or on one where there is something of everything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dsgctl.commands import world
from tests.dsgctl.commands.running import Process, Quick


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the commands of a test run."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def dsgctl(home: Path, path: Path) -> Process:
    """``dsgctl`` as a process, on an empty database."""
    return Process(home, path)


@pytest.fixture
def quick(home: Path, path: Path) -> Quick:
    """``dsgctl`` in this process, on the same empty database."""
    return Quick(home, path)


@dataclass(frozen=True)
class World:
    """A filled database, a directory with the files of the examples, and both ways to run ``dsgctl`` on them."""

    database: Path
    directory: Path
    token: str  # good, of the service account nightly-export

    @property
    def run(self) -> Process:
        return Process(self.directory, self.database)

    @property
    def quick(self) -> Quick:
        return Quick(self.directory, self.database)


@pytest.fixture(scope="session")
def built_world(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> World:
    """Filled once; nobody writes to it."""
    directory = tmp_path_factory.mktemp("world")
    database = directory / "dsg.sqlite3"
    database.write_bytes(empty_database.read_bytes())
    return World(database, directory, world.build(directory, database))


@pytest.fixture
def new_world(tmp_path: Path, built_world: World) -> Iterator[Callable[[], World]]:
    """Makes fresh copies, for a test that needs several."""
    count = 0

    def make() -> World:
        nonlocal count
        count += 1
        directory = tmp_path / f"world{count}"
        directory.mkdir()
        world.make_files(directory, built_world.token)
        database = directory / "dsg.sqlite3"
        database.write_bytes(built_world.database.read_bytes())
        return World(database, directory, built_world.token)

    yield make


@pytest.fixture
def filled(new_world: Callable[[], World]) -> World:
    """A fresh copy of the filled database."""
    return new_world()
