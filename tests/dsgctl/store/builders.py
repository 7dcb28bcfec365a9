"""What the tests of the store share: rows, and other programs and users at the same file."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.core import new_users, user_queries
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database, StoreError
from tests.dsgctl.core.builders import add_people
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
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


AS_SOMEBODY = f"""
import os, sys

from dsgctl.core import user_queries, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database, StoreError
from dsgctl.store.migrations import list_migrations, migrate, open_current
from tests.dsgctl.core.builders import add_people
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


Write = Callable[[str], None]


def add(database: Database, *emails: str) -> None:
    with begin_change(database, "os:test") as change:
        add_people(change, [new_users.NewUser(email, {}) for email in emails])


def emails(database: Database) -> list[str]:
    return [row["email"] for row in user_queries.list_users(database)]


FILLED = """
    INSERT INTO principals (id, kind, email, created, created_by)
      VALUES (1, 'user', 'a@x.org', '{t}', 'x'), (2, 'user', 'a2@x.org', '{t}', 'x');
    INSERT INTO affiliations VALUES (1, 'HHMI');
    INSERT INTO groups (id, name, created) VALUES (1, 'a', '{t}'), (2, 'a2', '{t}');
    INSERT INTO memberships VALUES (1, 1, 0);
    INSERT INTO services (id, name) VALUES (1, 'a');
    INSERT INTO datasets (id, name, created) VALUES (1, 'a', '{t}'), (2, 'a2', '{t}');
    INSERT INTO terms (id, name, text, dataset_id, invite_token, effective)
      VALUES (1, 'a', 'x', 1, 'a', '2020-01-01T00:00:00.000000Z'), (2, 'a2', 'x', 1, 'a2', '{t}');
    UPDATE datasets SET own_terms_id = 1 WHERE id = 1;
    INSERT INTO versions (id, dataset_id, name, ordinal) VALUES (1, 1, 'v1', 1);
    INSERT INTO translations VALUES (1, 1, 'a', NULL, 1, NULL);
    INSERT INTO buckets (name) VALUES ('bucket'), ('alone');
    INSERT INTO locations (id, dataset_id, bucket, prefix) VALUES (1, 1, 'bucket', 'a/');
    INSERT INTO grants (id, principal_id, dataset_id, permission, source, granted_by, created)
      VALUES (1, 1, 1, 'edit', 'manual', 'x', '{t}');
    INSERT INTO acceptances (principal_id, terms_id, accepted, recorded_by) VALUES (1, 1, '{t}', 'x');
    INSERT INTO tokens (id, principal_id, kind, hash, prefix, created)
      VALUES (1, 1, 'api', x'{hash}', '', '{t}');
    INSERT INTO service_tables (id, service, name, dataset_id) VALUES (1, 'a', 'a', 1);
    INSERT INTO public_roots VALUES (1, 1);
    INSERT INTO clients (id, name, owner_id, origin, created) VALUES (1, 'a', 1, 'https://a.org', '{t}');
    INSERT INTO audit (at, actor, action, target, hash) VALUES ('{t}', 'x', 'x', 'x', zeroblob(32));
""".replace("{hash}", "ab" * 32)


def fill_in(statement: str) -> str:
    return statement.replace("{t}", MOMENT)
