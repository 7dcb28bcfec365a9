"""What every test may use: a real, empty database in a directory of its own."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dsgctl.core.clock import now
from dsgctl.store import Database
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.times import utc_text

FIXTURES = Path(__file__).parent / "fixtures"

# The same search in every run, on every machine, however slow: `make fuzz` searches freely.
settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")

# A run in the background of a script is told to ignore Ctrl-C, and so would be the programs that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database that nobody writes to; copy it."""
    path = tmp_path_factory.mktemp("empty") / "dsg.sqlite3"
    migrate(path, now=utc_text(now()))
    return path


@pytest.fixture
def path(tmp_path: Path, empty_database: Path) -> Path:
    """The file of a migrated, empty database."""
    copy = tmp_path / "dsg.sqlite3"
    copy.write_bytes(empty_database.read_bytes())
    return copy


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """A handle on `path`."""
    current = open_current(path)
    yield current
    current.close()
