"""Fixtures of the tests of core."""

import pytest

from dsgctl.core import users
from dsgctl.core.audit import Record
from dsgctl.store import Database
from tests.dsgctl.core.builders import AT, DAY, Run


@pytest.fixture
def run(database: Database) -> Run:
    return Run(database)


@pytest.fixture
def six_records(run: Run) -> None:
    """Six records of the audit log: 1 to 6."""
    run(users.add, "ana@x.org", actor="os:eve", name="Zoë 陈", at=AT - DAY)
    run(users.set_attributes, "ana@x.org", name="Ana")
    run(users.add, "100%_sure@x.org", actor="user:ana@x.org")
    run(users.set_active, "ana@x.org", False, actor="os:mallory as root", at=AT + DAY)
    run(lambda change: change.add_record(Record(AT - 9 * DAY, "old", "did", "what", None, {"b": 1, "a": [2]}, "old:1")))
    run(users.remove, "ana@x.org", at=AT + 2 * DAY)
