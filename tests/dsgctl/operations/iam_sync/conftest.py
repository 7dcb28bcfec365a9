"""``dsgctl`` beside a Google that keeps policies."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsgctl.operations.iam_sync
from tests.dsgctl.commands.running import Quick, Result
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


@pytest.fixture
def do(quick: Quick, policies: BucketPolicies) -> Do:
    """Runs ``dsgctl`` where Ada and Bo may view fish2, which lies in lab-data; root is an admin."""

    def run(line: str, code: int = 0) -> Result:
        result = quick(*line.split())
        assert result.code == code, result
        return result

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
        run(line)
    return run
