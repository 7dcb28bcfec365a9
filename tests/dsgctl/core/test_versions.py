"""Versions of a dataset."""

import pytest

from dsgctl.core import datasets, grants, locations, terms, users, versions
from dsgctl.core.errors import Invalid, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from tests.dsgctl.core.builders import Run, refused


@pytest.fixture(autouse=True)
def dataset(run: Run) -> None:
    run(datasets.add, "fish2")


def test_a_version_is_added_once_and_made_public_by_saying_so(run: Run) -> None:
    assert run(versions.add, "fish2", "v1.0 α")
    assert not run(versions.add, "fish2", "v1.0 α")
    assert run(versions.add, "fish2", "v1.0 α", public=True)
    assert [(row["name"], row["public"]) for row in versions.list_versions(run.database, "fish2")] == [("v1.0 α", True)]
    assert run.actions()[-1] == "dataset.version.set dataset:fish2 version:v1.0 α"


def test_two_datasets_may_have_versions_of_one_name(run: Run) -> None:
    run(datasets.add, "fly")
    assert run(versions.add, "fish2", "v1")
    assert run(versions.add, "fly", "v1")
    run(versions.remove, "fish2", "v1")
    assert [row["name"] for row in versions.list_versions(run.database, "fly")] == ["v1"]


def test_removing_a_version_removes_what_names_it_and_nothing_else(run: Run) -> None:
    user, _ = run(users.add, "ana@x.org")
    for version in ("v1", "v2"):
        run(versions.add, "fish2", version)
        run(locations.add, "fish2", "gs://bucket/" + version, version=version)
        run(grants.add, principal_subject(user), Target("fish2", "view", version))
        run(terms.add, "terms", "Be kind.", dataset="fish2", version=version)
    assert run(versions.remove, "fish2", "v1") == {"grants": 1, "locations": 1, "terms": 1}
    assert [row["version"] for row in grants.list_grants(run.database)] == ["v2"]
    assert [row["version"] for row in locations.list_locations(run.database, "fish2")] == ["v2"]
    assert [row["version"] for row in terms.list_terms(run.database)] == ["v2"]


def test_an_unknown_version_is_not_found(run: Run) -> None:
    with refused(NotFound, "fish2 has no version 'v1'", "dsgctl dataset version list fish2"):
        run(versions.remove, "fish2", "v1")
    with refused(NotFound, "no dataset 'fly'"):
        run(versions.add, "fly", "v1")


@pytest.mark.parametrize("name", ["", " v1", "v\n1"])
def test_a_bad_name_is_refused(run: Run, name: str) -> None:
    with refused(Invalid):
        run(versions.add, "fish2", name)
