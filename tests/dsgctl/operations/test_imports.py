"""What an import reports about people who have more than one account because of it."""

from pathlib import Path

import pytest

from dsgctl.core import datasets, users
from dsgctl.importers.csv import Importer
from dsgctl.importers.engine.report import Report
from dsgctl.operations.imports import run_import
from dsgctl.store import Database
from tests.dsgctl.core.builders import Run


@pytest.fixture
def run(database: Database) -> Run:
    """Makes changes in a database that has the dataset fish2."""
    run = Run(database)
    run(datasets.add, "fish2")
    return run


def _import_people(run: Run, file: Path, *emails: str) -> Report:
    file.write_text("\n".join(["email", *emails]) + "\n")
    report: Report = run(lambda change: run_import(Importer("fish2"), change, str(file), skip_conflicts=False))
    return report


def test_only_accounts_that_the_import_added_are_remarked_on(run: Run, tmp_path: Path) -> None:
    for email in ("ann@x.org", "ann+old@x.org", "bo@x.org"):
        run(users.add, email)
    remarks = _import_people(run, tmp_path / "people.csv", "bo+lab@x.org", "cy@x.org").remarks
    assert remarks == ["bo@x.org and bo+lab@x.org most likely reach the same person, and are 2 accounts"]
    assert _import_people(run, tmp_path / "people.csv", "bo+lab@x.org", "dan@x.org").remarks == []


def test_many_such_people_are_counted(run: Run, tmp_path: Path) -> None:
    emails = [f"p{number}{tag}@x.org" for number in range(23) for tag in ("", "+lab")]
    remarks = _import_people(run, tmp_path / "people.csv", *emails).remarks
    assert len(remarks) == 21 and remarks[-1] == "and 3 more such people: dsgctl doctor"
