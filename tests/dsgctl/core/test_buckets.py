"""Buckets and their settings."""

from typing import Any

import pytest

from dsgctl.core import buckets, datasets, iam_ledger, locations, versions
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.rules.iam_policy import Difference
from tests.dsgctl.core.builders import Run, refused


def test_a_bucket_names_its_credential(run: Run) -> None:
    run(datasets.add, "fish2")
    run(locations.add, "fish2", "gs://lab-data/a")
    run(locations.add, "fish2", "gs://lab-data/b")
    assert buckets.find_credential(run.database, "lab-data") is None
    assert run(
        buckets.set_attributes, "lab-data", credential="impersonate:reader@lab.example.org", project="lab-project"
    )
    assert not run(buckets.set_attributes, "lab-data", credential="impersonate:reader@lab.example.org")
    assert list(buckets.list_buckets(run.database)) == [
        {
            "name": "lab-data",
            "credential": "impersonate:reader@lab.example.org",
            "project": "lab-project",
            "iam": False,
            "datasets": 1,
        },
    ]
    assert run(buckets.set_attributes, "lab-data", default=True, project="other-project")
    assert buckets.find_credential(run.database, "lab-data") is None
    assert [row["project"] for row in buckets.list_buckets(run.database)] == ["other-project"]
    assert run(buckets.set_attributes, "lab-data", iam=True)
    assert not run(buckets.set_attributes, "lab-data", iam=True)
    assert [row["iam"] for row in buckets.list_buckets(run.database)] == [True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"credential": "key.json"}, "is not a credential"),
        ({"credential": "/etc/dsg/\x1bkey.json"}, "is not a credential"),
        ({"credential": "impersonate:nobody"}, "is not an email address"),
        ({"project": "Lab Project"}, "is not a project"),
    ],
)
def test_an_invalid_credential_is_refused(run: Run, settings: dict[str, Any], message: str) -> None:
    run(datasets.add, "fish2")
    run(locations.add, "fish2", "gs://lab-data")
    with refused(Invalid, message):
        run(buckets.set_attributes, "lab-data", **settings)
    with refused(NotFound, "no dataset has a location in the bucket", "dsgctl bucket list"):
        run(buckets.set_attributes, "nowhere")


def bucket_names(run: Run) -> set[str]:
    return {row["name"] for row in buckets.list_buckets(run.database)}


GONE: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "location": ((locations.remove, "fish", "gs://b-whole/a"), {}),
    "location of a version": ((locations.remove, "fish", "gs://b-version/a"), {"version": "v1"}),
    "version": ((versions.remove, "fish", "v1"), {}),
    "dataset": ((datasets.remove, "fish"), {}),
}


@pytest.mark.parametrize("how", GONE)
def test_a_bucket_without_settings_is_removed_with_its_last_location(run: Run, how: str) -> None:
    run(datasets.add, "fish")
    run(datasets.add, "fly")
    run(versions.add, "fish", "v1")
    run(locations.add, "fish", "gs://b-whole/a")
    run(locations.add, "fish", "gs://b-version/a", version="v1")
    run(locations.add, "fish", "gs://b-both/a")
    run(locations.add, "fly", "gs://b-both/a")
    run(locations.add, "fish", "gs://b-two/a")
    run(locations.add, "fish", "gs://b-two/b")
    for bucket, setting in (
        ("project", {"project": "lab-project"}),
        ("credential", {"credential": "/k.json"}),
        ("iam", {"iam": True}),
    ):
        run(locations.add, "fish", f"gs://b-{bucket}")
        run(buckets.set_attributes, f"b-{bucket}", **setting)
    before = bucket_names(run)
    (function, *words), options = GONE[how]
    run(function, *words, **options)
    gone = {"location": {"b-whole"}, "dataset": {"b-whole", "b-version", "b-two"}}.get(how, {"b-version"})
    assert before - bucket_names(run) == gone
    if how == "dataset":
        for name in ("project", "credential"):
            run(buckets.set_attributes, f"b-{name}", default=True)
        run(buckets.set_attributes, "b-iam", iam=False)
        assert bucket_names(run) == {"b-both"}, "nor does one stay whose settings are taken away afterwards"


def test_a_bucket_stays_while_our_members_may_be_in_its_policy(run: Run) -> None:
    run(datasets.add, "fish")
    run(locations.add, "fish", "gs://lab-data/fish")
    run(buckets.set_attributes, "lab-data", iam=True)
    run(iam_ledger.finish, "lab-data", Difference(add=("user:ada@example.org",)))
    with refused(Conflict, "fish has a location in gs://lab-data"):
        run(buckets.remove, "lab-data")
    run(locations.remove, "fish", "gs://lab-data/fish")
    with refused(Conflict, "1 may still be there", "dsgctl iam sync"):
        run(buckets.remove, "lab-data")
    run(buckets.set_attributes, "lab-data", iam=False)
    assert bucket_names(run) == {"lab-data"}
    run(iam_ledger.finish, "lab-data", Difference(remove=("user:ada@example.org",)))
    assert bucket_names(run) == set()


@pytest.mark.parametrize("outcome", ["gone", "refused"])
def test_a_bucket_is_removed_when_its_last_member_has_left_the_ledger(run: Run, outcome: str) -> None:
    run(datasets.add, "fish")
    run(locations.add, "fish", "gs://lab-data/fish")
    run(buckets.set_attributes, "lab-data", iam=True)
    member = ("user:ada@example.org",)
    new = run(iam_ledger.begin, "lab-data", Difference(add=member))
    run(locations.remove, "fish", "gs://lab-data/fish")
    run(buckets.set_attributes, "lab-data", iam=False)
    assert bucket_names(run) == {"lab-data"}
    if outcome == "gone":
        run(iam_ledger.begin, "lab-data", Difference(vanished=member))
    else:
        run(iam_ledger.withdraw, "lab-data", new)
    assert bucket_names(run) == set()


def test_a_bucket_that_is_removed_is_in_the_log_with_its_settings(run: Run) -> None:
    run(datasets.add, "fish")
    run(locations.add, "fish", "gs://lab-data/fish")
    run(buckets.set_attributes, "lab-data", project="lab-project", iam=True)
    run(locations.remove, "fish", "gs://lab-data/fish")
    run(buckets.remove, "lab-data")
    last = run.records()[-1]
    assert (last["action"], last["target"]) == ("bucket.remove", "bucket:lab-data")
    assert last["before"] == {"credential": None, "project": "lab-project", "iam": True}
    with refused(NotFound, "there is no bucket 'lab-data'"):
        run(buckets.remove, "lab-data")
