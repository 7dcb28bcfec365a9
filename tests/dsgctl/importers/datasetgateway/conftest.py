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


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the original's database, to be spoilt."""
    copy = tmp_path / "original" / "db.sqlite3"
    copy.parent.mkdir()
    shutil.copyfile(ORIGINAL, copy)
    return copy


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
