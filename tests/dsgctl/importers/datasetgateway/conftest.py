"""The original's database, to be spoilt or imported."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsgctl.importers import datasetgateway
from dsgctl.importers.engine.report import Report
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from tests.dsgctl.core.builders import Run
from tests.dsgctl.importers.datasetgateway.original import ORIGINAL
from tests.dsgctl.importers.datasetgateway.release_sources import NEWEST, make_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the original's database, to be spoilt."""
    copy = tmp_path / "original" / "db.sqlite3"
    copy.parent.mkdir()
    shutil.copyfile(ORIGINAL, copy)
    return copy


@pytest.fixture
def newest_source(tmp_path: Path) -> Path:
    """A database of the newest release, without rows that only newer releases can have; to be spoilt."""
    make_source(path := tmp_path / "db.sqlite3", 17, facts=False)
    return path


@pytest.fixture(scope="module")
def import_result(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Report]]:
    """The original's database, imported into an empty one; not to be written to."""
    path = tmp_path_factory.mktemp("imported") / "dsg.sqlite3"
    shutil.copyfile(empty_database, path)
    database = open_current(path)
    yield database, Run(database)(datasetgateway.Importer().run, ORIGINAL)
    database.close()


@pytest.fixture
def target(import_result: tuple[Database, Report]) -> Database:
    return import_result[0]


@pytest.fixture(scope="module")
def newest_database(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The newest release's database, imported into an empty one; not to be written to."""
    path = tmp_path_factory.mktemp("newest") / "dsg.sqlite3"
    shutil.copyfile(empty_database, path)
    database = open_current(path)
    report: Report = Run(database)(datasetgateway.Importer().run, NEWEST)
    assert not report.left_out
    yield database
    database.close()
