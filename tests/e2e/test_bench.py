"""`make bench` measures, on a quiet machine; here only that it does: no test depends on how busy a machine is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(not shutil.which("wrk"), reason="apt-get install wrk"),
    pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light"),
]


def bench(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_benchmark_measures_prints_and_compares_with_the_limits(tmp_path: Path) -> None:
    process = bench("--quick", "--json", str(tmp_path / "rows.json"), "warm", "staleness")
    rows = {row["what"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert rows["user/cache, 8 connections, over bare waitress"]["value"] > 0
    for author in ("sqlite3", "a server", "dsgctl"):
        assert rows[f"answers that do not show a change by {author}, 2 busy processes"]["value"] == 0
    for row in rows.values():
        assert row["what"] in process.stdout
    assert process.returncode == (0 if all(row["reached"] for row in rows.values()) else 1), process.stderr


def test_maintenance_is_compared_with_scripts_that_do_the_same(tmp_path: Path) -> None:
    process = bench("--quick", "--json", str(tmp_path / "rows.json"), "importing_csv", "checking")
    rows = {row["what"].strip(): row["value"] for row in json.loads((tmp_path / "rows.json").read_text())}
    assert list(rows) == [
        "import csv of 2,000 people, over the same inserts",
        "its memory, MB",
        "audit verify of 5,000 records, over a plain SHA-256 chain",
        "db check, over SQLite's own checks",
    ], process.stderr
    assert min(rows.values()) > 0


def test_an_unknown_measurement_is_refused() -> None:
    process = bench("nonsense")
    assert process.returncode == 1
    assert process.stderr.startswith("there is no measurement nonsense; there are memory, warm")
