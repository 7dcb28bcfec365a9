"""Fixtures of the tests of the importers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import buckets, iam_ledger
from dsgctl.core.rules.iam_policy import Difference
from dsgctl.importers import datasetgateway
from dsgctl.importers.engine.report import Report
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgctl.transfer import export
from tests.conftest import FIXTURES
from tests.dsgctl.core.builders import AT, Run
from tests.dsgctl.importers import cave_dumps

WHOLE = {"token_hashes": True, "invitations": True}


@pytest.fixture
def run(database: Database) -> Run:
    return Run(database)


@pytest.fixture(scope="module")
def gateway(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A gateway with something of everything; not to be written to."""
    path = tmp_path_factory.mktemp("gateway") / "dsg.sqlite3"
    path.write_bytes(empty_database.read_bytes())
    with open_database(path) as database:
        run = Run(database)
        run(datasetgateway.Importer().run, FIXTURES / "datasetgateway.sqlite3")
        bucket = next(row["name"] for row in buckets.list_buckets(database))
        run(buckets.set_attributes, bucket, iam=True)
        run(iam_ledger.finish, bucket, Difference(add=("user:ada@example.org",)))
        run(iam_ledger.begin, bucket, Difference(add=("user:bo@example.org",)))
        yield database


@contextmanager
def open_database(path: Path) -> Iterator[Database]:
    database = open_current(path)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture(scope="module")
def document(gateway: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of that gateway."""
    return write_export(gateway, tmp_path_factory.mktemp("document") / "dsg.json", **WHOLE)


def write_export(database: Database, path: Path, **settings: Any) -> Path:
    path.write_bytes(b"".join(export.build_document(database, AT, **settings)))
    return path


def count_added(report: Report) -> dict[str, int]:
    """How many of each kind an import added, without the kinds of which it added none."""
    return {kind: count for kind, count in report.added.items() if count}


@pytest.fixture
def other(tmp_path: Path, empty_database: Path) -> Iterator[Run]:
    """A second gateway, without facts."""
    path = tmp_path / "other.sqlite3"
    path.write_bytes(empty_database.read_bytes())
    with open_database(path) as database:
        yield Run(database)


@pytest.fixture
def dumps(tmp_path: Path) -> Path:
    """A copy of the dumps in which nothing stands against anything, to be spoilt."""
    copy = tmp_path / "dumps"
    cave_dumps.copy_dumps(copy)
    return copy
