"""The command line for a test: on an empty database, or on one with something of everything."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsgctl import settings
from tests.dsgctl.commands.running import Process, Quick
from tests.dsgctl.commands.world import World, build, make_files


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The directory in which the commands of a test run."""
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


@pytest.fixture(scope="session")
def built_world(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> World:
    """Filled once; no test writes to it."""
    directory = tmp_path_factory.mktemp("world")
    database = directory / "dsg.sqlite3"
    database.write_bytes(empty_database.read_bytes())
    return World(database, directory, build(directory, database))


@pytest.fixture
def new_world(tmp_path: Path, built_world: World) -> Iterator[Callable[[], World]]:
    """Makes fresh copies, for a test that needs several."""
    count = 0

    def make() -> World:
        nonlocal count
        count += 1
        directory = tmp_path / f"world{count}"
        directory.mkdir()
        make_files(directory, built_world.token)
        database = directory / "dsg.sqlite3"
        database.write_bytes(built_world.database.read_bytes())
        return World(database, directory, built_world.token)

    yield make


@pytest.fixture
def filled(new_world: Callable[[], World]) -> World:
    """A fresh copy of the filled database."""
    return new_world()


@pytest.fixture
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "DEFAULT_ENV_FILE", str(tmp_path / "none.env"))


@pytest.fixture
def env_file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a settings file; returns its name."""

    def write(text: str) -> str:
        path = tmp_path / "dsg.env"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return str(path)

    return write
