"""An installation on which ``dsgctl doctor`` runs."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsgctl.operations import doctor
from tests.dsgctl.operations.doctor.installation import Installation, Site, open_installation, running_site
from tests.dsgctl.operations.doctor.planting import Examine, Rows, run_doctor, worst_state
from tests.e2e.conftest import KEY


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Site]:
    if not shutil.which("nginx"):
        pytest.skip("apt-get install nginx-light")
    place = tmp_path_factory.mktemp("site")
    database = place / "dsg.sqlite3"
    shutil.copyfile(empty_database, database)
    with running_site(place, database) as started:
        yield started


@pytest.fixture
def here(site: Site, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    for name in [name for name in os.environ if name.startswith("DSG_")] + ["REQUESTS_CA_BUNDLE", "NO_COLOR"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    with open_installation(site, empty_database) as installation:
        yield installation


@pytest.fixture
def examine(here: Installation) -> Examine:
    """Runs ``dsgctl doctor`` on the installation."""

    def run(*words: str, host: doctor.Host | None = None) -> tuple[int, Rows]:
        result = run_doctor(here, *words, host=host)
        rows: Rows = json.loads(result.out)
        for row in rows:
            assert row["state"] in ("ok", "warning", "failed") and bool(row["do"]) == (row["state"] != "ok"), row
            assert row["found"].isprintable() and KEY not in f"{row['found']} {row['do']}", row
        failing = any(row["state"] == "failed" for row in rows)
        assert result.code == (1 if failing or ("--strict" in words and worst_state(rows) != "ok") else 0)
        return result.code, rows

    return run
