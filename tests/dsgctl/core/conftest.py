"""Fixtures of the tests of core."""

import pytest

from dsgctl.store import Database
from tests.dsgctl.core.builders import Run


@pytest.fixture
def run(database: Database) -> Run:
    return Run(database)
