"""Google credentials, and Google's answers about each bucket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import buckets, datasets, grants, locations, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
from tests.dsgctl.operations.doctor.installation import Installation
from tests.dsgctl.operations.doctor.planting import (
    REFUSED,
    Examine,
    Fault,
    each_fault,
    find_row,
    require_reported,
    write_settings,
)
from tests.e2e.google import run_google

FAULTS: list[Fault] = [
    (
        "credential for all",
        lambda here: here.write(GOOGLE_APPLICATION_CREDENTIALS=str(_key(here, 0o644))),
        "credential",
        "failed",
        ("everybody on this host", "chmod 640"),
    ),
    (
        "credential is gone",
        write_settings(GOOGLE_APPLICATION_CREDENTIALS="/nowhere/key.json"),
        "credential",
        "failed",
        ("there is no /nowhere/key.json",),
    ),
    (
        "credential for nobody",
        lambda here: (
            here.write(GOOGLE_APPLICATION_CREDENTIALS=str(_key(here, 0o600))),
            here.close_to_the_service(here.etc / "google.json"),
        ),
        "credential",
        "failed",
        (REFUSED, "read"),
    ),
]


@each_fault(FAULTS)
def test_a_planted_fault_is_reported(fault: Fault, here: Installation, examine: Examine) -> None:
    require_reported(fault, here, examine)


@pytest.fixture
def google(here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with run_google(tmp_path, here.site.certificate) as started:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://localhost:{started.port}")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(started.credentials))
        yield started


def test_doctor_reports_the_state_of_each_bucket_at_google(here: Installation, examine: Examine, google: Any) -> None:
    uniform = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}
    google.buckets = {
        "good-bucket": {**uniform, "cors": [{"origin": ["*"]}]},
        "no-cors": uniform,
        "not-uniform": {"cors": [{"origin": ["*"]}]},
        "not-readable": {**uniform, "held": []},
        "no-policy": {**uniform, "held": ["storage.objects.get", "storage.objects.list"]},
        "requester-pays": {**uniform, "cors": [{"origin": ["*"]}], "billing": {"requesterPays": True}},
        "chosen": {**uniform, "held": ["storage.objects.get", "storage.objects.list", "storage.buckets.getIamPolicy"]},
    }
    database = open_current(here.database)
    with begin_change(database, "os:test") as change:
        for name in ("fish", "fly"):
            datasets.add(change, name)
        for bucket in (*google.buckets, "unknown-bucket"):
            locations.add(change, "fish", f"gs://{bucket}/fish")
        locations.add(change, "fly", "gs://good-bucket")
        locations.add(change, "fish", "gs://bad-key")
        buckets.set_attributes(change, "chosen", iam=True)
        buckets.set_attributes(change, "bad-key", credential="/nowhere/key.json")
    database.close()
    _, rows = examine()
    find_row(rows, "bucket good-bucket", "ok", "readable, uniform access, CORS")
    find_row(rows, "bucket no-cors", "warning", "no CORS rule", "--cors-file")
    find_row(rows, "bucket not-uniform", "failed", "--uniform-bucket-level-access")
    find_row(rows, "bucket not-readable", "failed", "lacks storage.objects.get, storage.objects.list")
    find_row(rows, "bucket no-policy", "warning", "may not read its policy")
    find_row(rows, "bucket chosen", "failed", "may not change its policy", "storage.buckets.setIamPolicy", "--no-iam")
    find_row(rows, "bucket unknown-bucket", "failed", "denies access to the gateway", "no storage.buckets.get access")
    find_row(rows, "bucket bad-key", "failed", "no credential", "/nowhere/key.json")
    find_row(rows, "credential", "failed", "there is no /nowhere/key.json")
    find_row(rows, "bucket requester-pays", "failed", "viewers name no project", "--no-requester-pays")
    find_row(rows, "buckets", "warning", "who may view fly reads all of gs://good-bucket, where fish is stored too")


def test_doctor_reports_who_is_affected_by_googles_limits(here: Installation, examine: Examine, google: Any) -> None:
    database = open_current(here.database)
    with begin_change(database, "os:test") as change:
        datasets.add(change, "fish")
        datasets.add(change, "bad")
        locations.add(change, "bad", "gs://lab-data/o'neil", any_prefix=True)
        for number in range(61):
            locations.add(change, "fish", f"gs://lab-data/{number}")
    find_row(examine()[1], "buckets", "failed", "nobody gets a token for bad at gs://lab-data/o'neil/")
    with begin_change(database, "os:test") as change:
        locations.remove(change, "bad", "gs://lab-data/o'neil")
        for name in ("ada", "bo"):
            user, _ = users.add(change, f"{name}@example.org")
            grants.add(change, principal_subject(user), Target("fish", "view"))
    database.close()
    find_row(examine()[1], "buckets", "failed", "ada@example.org and 1 more may view more folders of gs://lab-data")


def test_a_bucket_without_a_dataset_is_not_checked(here: Installation, examine: Examine) -> None:
    database = open_current(here.database)
    with begin_change(database, "os:test") as change:
        datasets.add(change, "fish")
        locations.add(change, "fish", "gs://old-data")
        buckets.set_attributes(change, "old-data", project="lab-project")
        locations.remove(change, "fish", "gs://old-data")
    find_row(
        examine()[1], "bucket old-data", "warning", "no dataset has a location in it", "dsgctl bucket remove old-data"
    )
    with begin_change(database, "os:test") as change:
        buckets.remove(change, "old-data")
    database.close()
    assert "old-data" not in str(examine()[1])


def _key(here: Installation, bits: int) -> Path:
    path = here.etc / "google.json"
    path.write_text("{}")
    path.chmod(bits)
    return path
