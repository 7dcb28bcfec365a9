"""Any value in any cell of a source: imported, or refused or left out in words, and never a reach that was not there.

More seeds: DSG_TEST_SEEDS=5000 python -m pytest tests/dsgctl/importers/test_any_value.py
"""

import csv
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.core import audit_chain, datasets
from dsgctl.core.errors import DsgError
from dsgctl.core.hidden_characters import has_control
from dsgctl.importers import clio, datasetgateway, middle_auth, neuprint
from dsgctl.importers.datasetgateway.releases import TABLES
from tests.dsgctl.core.builders import Run
from tests.dsgctl.importers.cave_dumps import copy_dumps
from tests.dsgctl.importers.datasetgateway.original import spoil
from tests.dsgctl.importers.datasetgateway.release_sources import make_source

SEEDS = range(int(os.environ.get("DSG_TEST_SEEDS", "15")))
VALUES: list[Any] = [
    None,
    "",
    " ",
    "x",
    "a\nb",
    "a\x00b",
    "\x1b[2J",
    "\u202e",
    "é✓",
    "trailing ",
    "'; DROP TABLE grant; --",
    "x" * 300,
    "x" * 3000,
    0,
    1,
    -1,
    2,
    2**53,
    2**63 - 1,
    -(2**63),
    1.5,
    float("inf"),
    b"\xff\xfe",
    b"",
    "1",
    "true",
    "NaN",
    "2026-13-45",
    "0001-01-01",
    "9999-12-31T23:59:59-12:00",
    "null",
    "[]",
    "user2@example.org",
    "USER2@EXAMPLE.ORG",
    "a@b",
    "@",
    "public",
    "admin",
]


def attempt(run: Run, work: Callable[..., Any], source: Any, *, skip_conflicts: bool) -> bool:
    """Whether it was imported. If not, nothing is left of it, and the error is one line."""
    before = run.content()
    try:
        run(work, source, skip_conflicts=skip_conflicts)
    except DsgError as error:
        assert not has_control(f"{error.message}{error.hint}"), ascii(error.message)
        assert "fault of dsgctl" not in error.message
        assert run.content() == before
        return False
    assert audit_chain.verify(run.database) is None
    return True


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_database_of_datasetgateway(run: Run, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    source = tmp_path / "db.sqlite3"
    make_source(source, 17)
    spoil(source, "PRAGMA foreign_keys = 0")
    connection = apsw.Connection(str(source))
    there = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for _ in range(dice.choice((1, 1, 3))):
        table = dice.choice([name for name in TABLES if name in there])
        column = dice.choice([str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')])
        where = f"WHERE id = {dice.randrange(1, 30)}" if dice.random() < 0.8 else ""
        try:
            connection.execute(f'UPDATE OR IGNORE "{table}" SET "{column}" = ? {where}', (dice.choice(VALUES),))
        except apsw.Error:
            continue
    connection.close()
    imported = attempt(run, datasetgateway.Importer().run, source, skip_conflicts=False)
    if not imported and attempt(run, datasetgateway.Importer().run, source, skip_conflicts=True):
        before = run.content()
        assert not run(datasetgateway.Importer().run, source, skip_conflicts=True).changed
        assert run.content() == before


@pytest.mark.parametrize("seed", SEEDS)
def test_in_dumps_of_middle_auth(run: Run, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    copy_dumps(tmp_path / "dumps", whole=True)
    for _ in range(dice.choice((1, 1, 3))):
        path = dice.choice(sorted((tmp_path / "dumps").glob("*.csv")))
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        if len(rows) < 2:
            continue
        row = dice.choice(rows[1:])
        row[dice.randrange(len(row))] = str(dice.choice(VALUES) or "")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator=dice.choice(("\n", "\r\n", "\r"))).writerows(rows)
    dumps = str(tmp_path / "dumps")
    if not attempt(run, middle_auth.Importer().run, dumps, skip_conflicts=False):
        attempt(run, middle_auth.Importer().run, dumps, skip_conflicts=True)


def _value(dice: random.Random, depth: int = 0) -> Any:
    if depth < 3 and dice.random() < 0.4:
        keys = dice.choices(
            ["public", "name", "groups", "datasets", "global_roles", "disabled", "vnc", "", "a\nb"], k=2
        )
        if dice.random() < 0.5:
            return {key: _value(dice, depth + 1) for key in keys}
        return [_value(dice, depth + 1) for _ in keys]
    value = dice.choice([*VALUES, True, False, "clio_write", "clio_general", "dataset_admin"])
    return "bytes" if isinstance(value, bytes) else None if value == float("inf") else value


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_json_document(run: Run, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    run(datasets.add, "fish2")
    people = {
        f"p{number}@example.org": {
            "datasets": {"vnc": ["clio_write"]},
            **dict.fromkeys(
                dice.choices(["name", "groups", "datasets", "global_roles", "disabled", "org"], k=2), _value(dice)
            ),
        }
        for number in range(3)
    }
    document = {"users": people, "datasets": {"vnc": _value(dice), str(dice.choice(VALUES)): {"public": _value(dice)}}}
    source = tmp_path / "clio.json"
    source.write_text(json.dumps(document, indent=dice.choice((None, 1))))
    if not attempt(run, clio.Importer().run, source, skip_conflicts=False):
        attempt(run, clio.Importer().run, source, skip_conflicts=True)
    source.write_text(json.dumps({str(dice.choice(VALUES)): _value(dice), "a@example.org": _value(dice)}))

    levels = neuprint.Importer(("fish2",)).run
    if not attempt(run, levels, source, skip_conflicts=False):
        attempt(run, levels, source, skip_conflicts=True)
