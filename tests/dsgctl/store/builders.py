"""What the tests of the store share: other programs and other users at the same file."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.store import StoreError
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
MOMENT = "2026-11-20T12:00:00.000000Z"
SOMEBODY = 54321  # a user id that nobody has

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@contextmanager
def refused(*parts: str) -> Iterator[None]:
    """Inside, a `StoreError` is raised, in one line that has each of ``parts``, with a one-line hint."""
    with pytest.raises(StoreError) as caught:
        yield
    whole = f"{caught.value.message}; {caught.value.hint}"
    assert "\n" not in whole
    assert caught.value.hint, whole
    for part in parts:
        assert part in whole


def python(code: str, *arguments: object) -> str:
    """Run code in a Python of its own; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


AS_SOMEBODY = f"""
import os, sys
from dsgctl.core import user_queries, users
from dsgctl.core.transaction import begin_change as change
from dsgctl.store import Database, StoreError
from dsgctl.store.migrations import list_migrations, migrate, open_current
list_migrations()
os.setgroups([])
os.setgid({SOMEBODY})
os.setuid({SOMEBODY})
path = sys.argv[1]
"""


def as_somebody(code: str, path: Path, needs: str = "") -> str:
    """Run code as the user `SOMEBODY`, who is in no other group; ``path`` is the file.

    Args:
        needs: imports, to be made while they can be read.
    """
    return python(f"{needs}\n{AS_SOMEBODY}{code}", path)


def with_apsw(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements as another program does, without our pragmas; returns the rows of the last."""
    connection = apsw.Connection(str(path))
    try:
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            rows = list(connection.execute(statement))
        return rows
    finally:
        connection.close()


def files(directory: Path) -> dict[str, bytes]:
    """Every file of a directory with its content."""
    return {entry.name: entry.read_bytes() for entry in directory.iterdir() if entry.is_file()}


def modes(directory: Path) -> dict[str, str]:
    return {entry.name: oct(entry.stat().st_mode & 0o7777) for entry in directory.iterdir()}
