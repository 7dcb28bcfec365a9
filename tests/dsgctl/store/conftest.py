"""Places for new databases, and another program at the same one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dsgctl.store.builders import Write

OTHER_SQLITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("SELECT * FROM principals_search LIMIT 1")
for statement in sys.stdin:
    print(connection.execute(statement).rowcount, flush=True)
"""


@pytest.fixture
def write_elsewhere(path: Path) -> Iterator[Write]:
    """Writes through another program, whose SQLite is not ours and has no pragmas set.

    In a process of its own: two libraries of SQLite in one process break each other's locks.
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-c", OTHER_SQLITE, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr

        def write(statement: str) -> None:
            assert process.stdin and process.stdout and process.stderr
            process.stdin.write(" ".join(statement.split()) + "\n")
            process.stdin.flush()
            changed = process.stdout.readline()
            if not changed:
                error = process.stderr.read()
                if "no such module" in error or "malformed database schema" in error:
                    pytest.skip("the other SQLite here cannot read our tables")
                pytest.fail(error)
            assert int(changed) == 1, statement

        yield write
        process.stdin.close()


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Where there is no file yet, in a directory of its own."""
    (tmp_path / "new").mkdir()
    return tmp_path / "new" / "dsg.sqlite3"
