"""Locations of datasets and versions."""

from typing import Any

import pytest

from dsgctl.core import datasets, locations, terms, versions
from dsgctl.core.errors import Invalid, NotFound
from dsgctl.core.locations import Overlap
from dsgctl.store import models as m
from tests.dsgctl.core.builders import Run, refused


@pytest.fixture(autouse=True)
def dataset(run: Run) -> None:
    run(datasets.add, "fish2")
    run(versions.add, "fish2", "v1")


def test_a_location_is_added_once_however_it_is_written(run: Run) -> None:
    assert run(locations.add, "fish2", "gs://bucket/a")
    assert not run(locations.add, "fish2", "gs://bucket/a/")
    assert run(locations.add, "fish2", "gs://bucket/a", version="v1")
    assert run(locations.add, "fish2", "gs://bucket")
    assert [(row["location"], row["version"]) for row in locations.list_locations(run.database, "fish2")] == [
        ("gs://bucket/a/", None),
        ("gs://bucket/a/", "v1"),
        ("gs://bucket/", None),
    ]


def test_a_bucket_may_hold_several_datasets(run: Run) -> None:
    run(datasets.add, "fly")
    assert run(locations.add, "fish2", "gs://bucket/fish2")
    assert run(locations.add, "fly", "gs://bucket/fly")
    assert run.database.count(m.Bucket.select()) == 1


def test_remove_deletes_the_location_of_that_url_and_version(run: Run) -> None:
    run(locations.add, "fish2", "gs://bucket/a")
    run(locations.add, "fish2", "gs://bucket/a", version="v1")
    run(locations.remove, "fish2", "gs://bucket/a/")
    assert [row["version"] for row in locations.list_locations(run.database, "fish2")] == ["v1"]
    with refused(NotFound, "gs://bucket/a/", "dsgctl dataset location list fish2"):
        run(locations.remove, "fish2", "gs://bucket/a")
    with refused(NotFound, "gs://bucket/ for version v1"):
        run(locations.remove, "fish2", "gs://bucket", version="v1")


@pytest.mark.parametrize("verb", [locations.add, locations.remove])
def test_a_bad_url_or_an_unknown_version_is_refused(run: Run, verb: Any) -> None:
    with refused(Invalid, "gs://"):
        run(verb, "fish2", "s3://bucket/a")
    with refused(NotFound, "'v2'"):
        run(verb, "fish2", "gs://bucket/a", version="v2")
    with refused(NotFound, "'fly'"):
        run(verb, "fly", "gs://bucket/a")


# Locations (dataset, version, folder) -> the overlaps: outer folder, its owner, the owners inside it.
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
def test_a_location_inside_another_is_reported(run: Run, case: str) -> None:
    places, overlaps = OVERLAPS[case]
    for name in ("fish", "fly", "worm"):
        run(datasets.add, name)
    for version in ("v1", "v2"):
        run(versions.add, "fish", version)
    run(terms.add, "T", "Be kind.", dataset="fish", version="v2")
    for name, of_version, folder in places:
        run(locations.add, name, f"gs://lab-data/{folder}", version=of_version)
    assert list(locations.find_overlaps(run.database)) == [
        Overlap(f"gs://lab-data/{outer}", owner, tuple(inside)) for outer, owner, inside in overlaps
    ]
