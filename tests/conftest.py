"""What every test may use: a real, empty database in a directory of its own."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dsgctl.core.clock import now
from dsgctl.store import Database
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.times import utc_text

FIXTURES = Path(__file__).parent / "fixtures"
MEMORY = Path("/dev/shm")

# The same search in every run, on every machine, however slow: `make fuzz` searches freely.
settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")

# A run in the background of a script is told to ignore Ctrl-C, and so would be the programs that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _has_room(directory: Path) -> bool:
    """Whether the files of the tests, programs among them, fit there: a container may have 64 MB."""
    if not os.access(directory, os.W_OK):
        return False
    system = os.statvfs(directory)
    return system.f_bavail * system.f_frsize > 2**31 and not system.f_flag & os.ST_NOEXEC


# Every commit waits until the disk has the data, which takes longer than most tests: their directories are in memory.
if "TMPDIR" not in os.environ and _has_room(MEMORY):
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


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
