"""Fixtures of the tests of the importers."""

import pytest

from dsgctl.store import Database
from tests.core.builders import Run


@pytest.fixture
def run(database: Database) -> Run:
    return Run(database)
