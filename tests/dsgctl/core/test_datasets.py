"""Datasets, their versions and where they lie."""

from typing import Any

import pytest

from dsgctl.core import datasets, grants, iam_ledger, services, terms, users, validation
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.rules.iam_policy import Difference
from dsgctl.store import models as m
from tests.dsgctl.core.builders import AT, Run, refused


def test_a_dataset_is_made_once(run: Run) -> None:
    dataset, new = run(datasets.add, "fish2", description="a\nfish", public=True)
    assert new
    before = run.content()
    assert run(datasets.add, "fish2", description="a\nfish", public=True) == (dataset, False)
    assert run.content() == before
    assert datasets.show(run.database, "fish2") == {
        "id": dataset.id,
        "name": "fish2",
        "description": "a\nfish",
        "access": "public",
        "own_terms": None,
        "created": AT,
        "versions": [],
        "locations": [],
        "grants": [],
        "terms": [],
        "service_tables": [],
    }


@pytest.mark.parametrize(("other", "what"), [({"description": "b"}, "description"), ({"public": True}, "access")])
def test_a_dataset_that_is_there_and_differs_is_a_conflict(run: Run, other: dict[str, Any], what: str) -> None:
    run(datasets.add, "fish2", description="a")
    with refused(Conflict, "fish2", what, "dsgctl dataset set fish2"):
        run(datasets.add, "fish2", **{"description": "a", **other})


def test_names_are_compared_exactly(run: Run) -> None:
    run(datasets.add, "fish2")
    with refused(NotFound, "'Fish2'", "dsgctl dataset list"):
        datasets.find(run.database, "Fish2")


@pytest.mark.parametrize("name", ["", "fish 2", "../fish", "a\x00"])
def test_a_bad_name_is_refused(run: Run, name: str) -> None:
    with refused(Invalid, "is not a name for a dataset"):
        run(datasets.add, name)


@pytest.mark.parametrize("name", ["Kite Retina", "larva/left", "魚の脳", 'ds,comma"quote'])
def test_a_name_of_another_system_may_be_any_line(run: Run, name: str) -> None:
    with refused(Invalid, "is not a name for a dataset"):
        run(datasets.add, name)
    assert run(datasets.add, validation.foreign(name, "dataset name"), kept_id=7)[0].id == 7
    assert datasets.find(run.database, name).name == name
    assert not run(datasets.add, name)[1], "one that is there may be named by anybody"


def test_only_what_is_named_changes(run: Run) -> None:
    run(datasets.add, "fish2", description="a", public=True)
    assert run(datasets.set_attributes, "fish2", description="b")
    assert datasets.show(run.database, "fish2")["access"] == "public"
    assert run(datasets.set_attributes, "fish2", public=False)
    assert datasets.show(run.database, "fish2")["description"] == "b"
    assert run.records()[-1]["before"] == {"access": "public"}
    before = run.content()
    assert not run(datasets.set_attributes, "fish2", description="b", public=False)
    assert not run(datasets.set_attributes, "fish2")
    assert run.content() == before


def test_all_that_hangs_on_a_dataset_goes_with_it(run: Run) -> None:
    user, _ = run(users.add, "ana@x.org")
    for name in ("fish2", "fly"):
        run(datasets.add, name)
        run(datasets.add_version, name, "v1")
        run(datasets.add_location, name, "gs://bucket/" + name, version="v1")
        run(grants.add, grants.principal_subject(user), grants.Target(name, "view", "v1"))
        run(terms.add, f"{name} terms", "Be kind.", dataset=name)
        run(services.add_table, "cave", name, name)
    gone = run(datasets.remove, "fish2")
    assert gone == {
        "versions": ["v1"],
        "locations": ["gs://bucket/fish2/"],
        "grants": ["view ana@x.org"],
        "terms": ["1 fish2 terms"],
        "service_tables": ["cave fish2"],
    }
    for table in (m.Dataset, m.Version, m.Location, m.Grant, m.Terms, m.ServiceTable):
        assert run.database.count(table.select()) == 1, table
    assert datasets.show(run.database, "fly")["own_terms"] == 2
    assert run.database.integrity_problems() == []
    with refused(NotFound):
        run(datasets.remove, "fish2")


def test_a_new_dataset_of_an_old_name_has_another_id_and_nothing_of_the_old_one(run: Run) -> None:
    old, _ = run(datasets.add, "fish2")
    run(datasets.add_version, "fish2", "v1")
    run(datasets.remove, "fish2")
    new, _ = run(datasets.add, "fish2")
    assert new.id > old.id
    assert datasets.show(run.database, "fish2")["versions"] == []


class TestVersions:
    @pytest.fixture(autouse=True)
    def dataset(self, run: Run) -> None:
        run(datasets.add, "fish2")

    def test_a_version_is_added_once_and_made_public_by_saying_so(self, run: Run) -> None:
        assert run(datasets.add_version, "fish2", "v1.0 α")
        assert not run(datasets.add_version, "fish2", "v1.0 α")
        assert run(datasets.add_version, "fish2", "v1.0 α", public=True)
        assert [(row["name"], row["public"]) for row in datasets.list_versions(run.database, "fish2")] == [
            ("v1.0 α", True)
        ]
        assert run.actions()[-1] == "dataset.version.set dataset:fish2 version:v1.0 α"

    def test_two_datasets_may_have_versions_of_one_name(self, run: Run) -> None:
        run(datasets.add, "fly")
        assert run(datasets.add_version, "fish2", "v1")
        assert run(datasets.add_version, "fly", "v1")
        run(datasets.remove_version, "fish2", "v1")
        assert [row["name"] for row in datasets.list_versions(run.database, "fly")] == ["v1"]

    def test_what_names_a_version_goes_with_it_and_nothing_else(self, run: Run) -> None:
        user, _ = run(users.add, "ana@x.org")
        for version in ("v1", "v2"):
            run(datasets.add_version, "fish2", version)
            run(datasets.add_location, "fish2", "gs://bucket/" + version, version=version)
            run(grants.add, grants.principal_subject(user), grants.Target("fish2", "view", version))
            run(terms.add, "terms", "Be kind.", dataset="fish2", version=version)
        assert run(datasets.remove_version, "fish2", "v1") == {"grants": 1, "locations": 1, "terms": 1}
        assert [row["version"] for row in grants.list_grants(run.database)] == ["v2"]
        assert [row["version"] for row in datasets.list_locations(run.database, "fish2")] == ["v2"]
        assert [row["version"] for row in terms.list_terms(run.database)] == ["v2"]

    def test_an_unknown_version_is_not_found(self, run: Run) -> None:
        with refused(NotFound, "fish2 has no version 'v1'", "dsgctl dataset version list fish2"):
            run(datasets.remove_version, "fish2", "v1")
        with refused(NotFound, "no dataset 'fly'"):
            run(datasets.add_version, "fly", "v1")

    @pytest.mark.parametrize("name", ["", " v1", "v\n1"])
    def test_a_bad_name_is_refused(self, run: Run, name: str) -> None:
        with refused(Invalid):
            run(datasets.add_version, "fish2", name)


class TestLocations:
    @pytest.fixture(autouse=True)
    def dataset(self, run: Run) -> None:
        run(datasets.add, "fish2")
        run(datasets.add_version, "fish2", "v1")

    def test_a_location_is_added_once_however_it_is_written(self, run: Run) -> None:
        assert run(datasets.add_location, "fish2", "gs://bucket/a")
        assert not run(datasets.add_location, "fish2", "gs://bucket/a/")
        assert run(datasets.add_location, "fish2", "gs://bucket/a", version="v1")
        assert run(datasets.add_location, "fish2", "gs://bucket")
        assert [(row["location"], row["version"]) for row in datasets.list_locations(run.database, "fish2")] == [
            ("gs://bucket/a/", None),
            ("gs://bucket/a/", "v1"),
            ("gs://bucket/", None),
        ]

    def test_a_bucket_may_hold_several_datasets(self, run: Run) -> None:
        run(datasets.add, "fly")
        assert run(datasets.add_location, "fish2", "gs://bucket/fish2")
        assert run(datasets.add_location, "fly", "gs://bucket/fly")
        assert run.database.count(m.Bucket.select()) == 1

    def test_the_very_location_is_removed(self, run: Run) -> None:
        run(datasets.add_location, "fish2", "gs://bucket/a")
        run(datasets.add_location, "fish2", "gs://bucket/a", version="v1")
        run(datasets.remove_location, "fish2", "gs://bucket/a/")
        assert [row["version"] for row in datasets.list_locations(run.database, "fish2")] == ["v1"]
        with refused(NotFound, "gs://bucket/a/", "dsgctl dataset location list fish2"):
            run(datasets.remove_location, "fish2", "gs://bucket/a")
        with refused(NotFound, "gs://bucket/ for version v1"):
            run(datasets.remove_location, "fish2", "gs://bucket", version="v1")

    @pytest.mark.parametrize("verb", [datasets.add_location, datasets.remove_location])
    def test_a_bad_url_or_an_unknown_version_is_refused(self, run: Run, verb: Any) -> None:
        with refused(Invalid, "gs://"):
            run(verb, "fish2", "s3://bucket/a")
        with refused(NotFound, "'v2'"):
            run(verb, "fish2", "gs://bucket/a", version="v2")
        with refused(NotFound, "'fly'"):
            run(verb, "fly", "gs://bucket/a")


def test_datasets_are_listed_by_name_with_their_terms(run: Run) -> None:
    for name in ("b", "a"):
        run(datasets.add, name, description=name.upper())
    run(terms.add, "B terms", "Be kind.", dataset="b")
    rows = [
        (row["name"], row["access"], row["terms"], row["description"]) for row in datasets.list_datasets(run.database)
    ]
    assert rows == [("a", "closed", None, "A"), ("b", "closed", "B terms", "B")]


def test_a_bucket_names_the_credential_with_which_it_is_asked_for(run: Run) -> None:
    run(datasets.add, "fish2")
    run(datasets.add_location, "fish2", "gs://lab-data/a")
    run(datasets.add_location, "fish2", "gs://lab-data/b")
    assert datasets.find_credential(run.database, "lab-data") is None
    assert run(datasets.set_bucket, "lab-data", credential="impersonate:reader@lab.example.org", project="lab-project")
    assert not run(datasets.set_bucket, "lab-data", credential="impersonate:reader@lab.example.org")
    assert list(datasets.list_buckets(run.database)) == [
        {
            "name": "lab-data",
            "credential": "impersonate:reader@lab.example.org",
            "project": "lab-project",
            "iam": False,
            "datasets": 1,
        },
    ]
    assert run(datasets.set_bucket, "lab-data", default=True, project="other-project")
    assert datasets.find_credential(run.database, "lab-data") is None
    assert [row["project"] for row in datasets.list_buckets(run.database)] == ["other-project"]
    assert run(datasets.set_bucket, "lab-data", iam=True)
    assert not run(datasets.set_bucket, "lab-data", iam=True)
    assert [row["iam"] for row in datasets.list_buckets(run.database)] == [True]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"credential": "key.json"}, "is not a credential"),
        ({"credential": "/etc/dsg/\x1bkey.json"}, "is not a credential"),
        ({"credential": "impersonate:nobody"}, "is not an email address"),
        ({"project": "Lab Project"}, "is not a project"),
    ],
)
def test_a_credential_that_cannot_be_is_refused(run: Run, settings: dict[str, Any], what: str) -> None:
    run(datasets.add, "fish2")
    run(datasets.add_location, "fish2", "gs://lab-data")
    with refused(Invalid, what):
        run(datasets.set_bucket, "lab-data", **settings)
    with refused(NotFound, "no dataset lies in the bucket", "dsgctl bucket list"):
        run(datasets.set_bucket, "nowhere")


def test_a_dataset_whose_terms_hold_back_another_one_is_not_removed(run: Run) -> None:
    """Imports bring such; without its terms the other one would be open."""
    run(datasets.add, "fish2")
    run(datasets.add, "fly")
    shared, _ = run(terms.add, "both", "Be kind.", dataset="fish2")
    run(lambda change: terms.import_own_terms(change, datasets.find(change.database, "fly"), shared.id))
    with refused(Conflict, f"terms {shared.id} of fish2 are fly's own too", "terms add"):
        run(datasets.remove, "fish2")
    run(terms.add, "of its own", "Be kind.", dataset="fly")
    run(datasets.remove, "fish2")


# Buckets


def known_buckets(run: Run) -> set[str]:
    return {row["name"] for row in datasets.list_buckets(run.database)}


GONE: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "location": ((datasets.remove_location, "fish", "gs://b-whole/a"), {}),
    "location of a version": ((datasets.remove_location, "fish", "gs://b-version/a"), {"version": "v1"}),
    "version": ((datasets.remove_version, "fish", "v1"), {}),
    "dataset": ((datasets.remove, "fish"), {}),
}


@pytest.mark.parametrize("how", GONE)
def test_a_bucket_without_settings_goes_with_its_last_location(run: Run, how: str) -> None:
    run(datasets.add, "fish")
    run(datasets.add, "fly")
    run(datasets.add_version, "fish", "v1")
    run(datasets.add_location, "fish", "gs://b-whole/a")
    run(datasets.add_location, "fish", "gs://b-version/a", version="v1")
    run(datasets.add_location, "fish", "gs://b-both/a")
    run(datasets.add_location, "fly", "gs://b-both/a")
    run(datasets.add_location, "fish", "gs://b-two/a")
    run(datasets.add_location, "fish", "gs://b-two/b")
    for bucket, setting in (
        ("project", {"project": "lab-project"}),
        ("credential", {"credential": "/k.json"}),
        ("iam", {"iam": True}),
    ):
        run(datasets.add_location, "fish", f"gs://b-{bucket}")
        run(datasets.set_bucket, f"b-{bucket}", **setting)
    before = known_buckets(run)
    (function, *words), options = GONE[how]
    run(function, *words, **options)
    gone = {"location": {"b-whole"}, "dataset": {"b-whole", "b-version", "b-two"}}.get(how, {"b-version"})
    assert before - known_buckets(run) == gone
    if how == "dataset":
        for name in ("project", "credential"):
            run(datasets.set_bucket, f"b-{name}", default=True)
        run(datasets.set_bucket, "b-iam", iam=False)
        assert known_buckets(run) == {"b-both"}, "nor does one stay whose settings are taken away afterwards"


def test_a_bucket_stays_while_members_of_ours_may_be_in_its_policy(run: Run) -> None:
    run(datasets.add, "fish")
    run(datasets.add_location, "fish", "gs://lab-data/fish")
    run(datasets.set_bucket, "lab-data", iam=True)
    run(iam_ledger.finish, "lab-data", Difference(add=("user:ada@example.org",)))
    with refused(Conflict, "fish has a location in gs://lab-data"):
        run(datasets.remove_bucket, "lab-data")
    run(datasets.remove_location, "fish", "gs://lab-data/fish")
    with refused(Conflict, "1 may still be there", "dsgctl iam sync"):
        run(datasets.remove_bucket, "lab-data")
    run(datasets.set_bucket, "lab-data", iam=False)
    assert known_buckets(run) == {"lab-data"}
    run(iam_ledger.finish, "lab-data", Difference(remove=("user:ada@example.org",)))
    assert known_buckets(run) == set()


@pytest.mark.parametrize("what", ["gone", "refused"])
def test_nor_longer_than_that(run: Run, what: str) -> None:
    run(datasets.add, "fish")
    run(datasets.add_location, "fish", "gs://lab-data/fish")
    run(datasets.set_bucket, "lab-data", iam=True)
    member = ("user:ada@example.org",)
    new = run(iam_ledger.begin, "lab-data", Difference(add=member))
    run(datasets.remove_location, "fish", "gs://lab-data/fish")
    run(datasets.set_bucket, "lab-data", iam=False)
    assert known_buckets(run) == {"lab-data"}
    if what == "gone":
        run(iam_ledger.begin, "lab-data", Difference(gone=member))
    else:
        run(iam_ledger.withdraw, "lab-data", new)
    assert known_buckets(run) == set()


def test_a_bucket_that_is_removed_is_in_the_log_with_its_settings(run: Run) -> None:
    run(datasets.add, "fish")
    run(datasets.add_location, "fish", "gs://lab-data/fish")
    run(datasets.set_bucket, "lab-data", project="lab-project", iam=True)
    run(datasets.remove_location, "fish", "gs://lab-data/fish")
    run(datasets.remove_bucket, "lab-data")
    last = run.records()[-1]
    assert (last["action"], last["target"]) == ("bucket.remove", "bucket:lab-data")
    assert last["before"] == {"credential": None, "project": "lab-project", "iam": True}
    with refused(NotFound, "there is no bucket 'lab-data'"):
        run(datasets.remove_bucket, "lab-data")


# Locations (dataset, version, folder) -> what is told of them: outer folder, whose it is, whose lie within.
OVERLAPS: dict[str, tuple[list[tuple[str, str | None, str]], list[tuple[str, str, list[str]]]]] = {
    "apart": ([("fish", None, "a/"), ("fly", None, "b/")], []),
    "begin alike": ([("fish", None, "release-1"), ("fly", None, "release-10")], []),
    "whole bucket": ([("fish", None, ""), ("fly", None, "b"), ("worm", None, "c")], [("", "fish", ["fly", "worm"])]),
    "both whole": ([("fish", None, ""), ("fly", None, "")], [("", "fish", ["fly"]), ("", "fly", ["fish"])]),
    "a folder within": ([("fish", None, "a"), ("fly", None, "a/b")], [("a/", "fish", ["fly"])]),
    "the same folder is shared": ([("fish", None, "a"), ("fly", None, "a")], []),
    "its own versions": ([("fish", None, "a"), ("fish", "v1", "a/v1"), ("fish", None, "a/x")], []),
    "a version with terms": ([("fish", None, "a"), ("fish", "v2", "a/v2")], [("a/", "fish", ["version v2 of fish"])]),
    "in another version": (
        [("fish", "v1", "a"), ("fish", "v2", "a/v2"), ("fish", "v1", "a/v1")],
        [("a/", "version v1 of fish", ["version v2 of fish"])],
    ),
    "deep": (
        [("fish", None, "a"), ("fly", None, "a/b"), ("worm", None, "a/b/c")],
        [("a/", "fish", ["fly", "worm"]), ("a/b/", "fly", ["worm"])],
    ),
}


@pytest.mark.parametrize("case", OVERLAPS)
def test_what_lies_within_the_folder_of_another_is_told(run: Run, case: str) -> None:
    locations, told = OVERLAPS[case]
    for name in ("fish", "fly", "worm"):
        run(datasets.add, name)
    for version in ("v1", "v2"):
        run(datasets.add_version, "fish", version)
    run(terms.add, "T", "Be kind.", dataset="fish", version="v2")
    for dataset, of_version, folder in locations:
        run(datasets.add_location, dataset, f"gs://lab-data/{folder}", version=of_version)
    assert list(datasets.find_overlaps(run.database)) == [
        (f"gs://lab-data/{outer}", whose, others) for outer, whose, others in told
    ]
