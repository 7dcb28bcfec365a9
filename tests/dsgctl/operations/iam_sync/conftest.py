"""``dsgctl`` beside a Google that keeps policies."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsgctl.operations.iam_sync
from tests.dsgctl.commands.running import Quick, Result, execute
from tests.dsgctl.operations.iam_sync.lab import OTHERS, Do
from tests.e2e.google import Google, run_google
from tests.e2e.google_iam import BucketPolicies
from tests.e2e.local import make_certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"), "localhost")


@pytest.fixture
def google(tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with run_google(tmp_path, certificate) as started:
        for name, value in started.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DSG_STORAGE_URL", f"https://localhost:{started.port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        monkeypatch.setattr(dsgctl.operations.iam_sync, "PAUSE", 0.001)
        yield started


@pytest.fixture
def policies(google: Google) -> BucketPolicies:
    google.policies.put("lab-data", json.loads(json.dumps(OTHERS)))
    return google.policies


@pytest.fixture(scope="session")
def built_lab(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Ada and Bo may view fish2, which is in lab-data; root is an admin. Built once; no test writes to the file."""
    directory = tmp_path_factory.mktemp("iam-lab")
    database = directory / "dsg.sqlite3"
    shutil.copyfile(empty_database, database)
    quick = Quick(directory, database)
    for line in (
        "group add lab",
        *(f"user add {name}@example.org" for name in ("Ada", "bo", "cy", "guest")),
        "user add root@example.org --admin",
        "service-account add robot",
        "group member add lab bo@example.org",
        "dataset add fish2",
        "dataset location add fish2 gs://lab-data/fish2",
        "grant add fish2 view --user ada@example.org",
        "grant add fish2 edit --group lab",
        "grant add fish2 view --user root@example.org",
        "grant add fish2 view --service-account robot",
        "bucket set lab-data --iam",
    ):
        quick(*line.split()).ok()
    execute(database, "PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file alone has everything
    return database


@pytest.fixture
def path(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path) -> Path:
    """The file of a migrated database: empty, or that lab's for a test that uses `do`."""
    source = request.getfixturevalue("built_lab") if "do" in request.fixturenames else empty_database
    copy = tmp_path / "dsg.sqlite3"
    shutil.copyfile(source, copy)
    return copy


@pytest.fixture
def do(quick: Quick, policies: BucketPolicies) -> Do:
    """Runs ``dsgctl`` on a copy of that lab."""

    def run(line: str, code: int = 0) -> Result:
        result = quick(*line.split())
        assert result.code == code, result
        return result

    return run
