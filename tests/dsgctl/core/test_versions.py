"""Versions of a dataset."""

from collections.abc import Callable

import pytest

from dsgctl.core import datasets, grants, locations, services, terms, translations, users, versions
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.translations import ServiceName
from dsgctl.core.versions import Position
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
    run(services.add, "neuprint")
    for version in ("v1", "v2"):
        run(versions.add, "fish2", version)
        run(locations.add, "fish2", "gs://bucket/" + version, version=version)
        run(grants.add, principal_subject(user), Target("fish2", "view", version))
        run(terms.add, "terms", "Be kind.", dataset="fish2", version=version)
        run(translations.add, ServiceName("neuprint", "pisces", version), "fish2", version=version)
    assert run(versions.remove, "fish2", "v1") == {"grants": 1, "locations": 1, "terms": 1, "translations": 1}
    assert [row["version"] for row in grants.list_grants(run.database)] == ["v2"]
    assert [row["version"] for row in locations.list_locations(run.database, "fish2")] == ["v2"]
    assert [row["version"] for row in terms.list_terms(run.database)] == ["v2"]
    assert [row["version"] for row in translations.list_translations(run.database)] == ["v2"]


def test_an_unknown_version_is_not_found(run: Run) -> None:
    with refused(NotFound, "fish2 has no version 'v1'", "dsgctl dataset version list fish2"):
        run(versions.remove, "fish2", "v1")
    with refused(NotFound, "no dataset 'fly'"):
        run(versions.add, "fly", "v1")


@pytest.mark.parametrize("name", ["", " v1", "v\n1"])
def test_a_bad_name_is_refused(run: Run, name: str) -> None:
    with refused(Invalid):
        run(versions.add, "fish2", name)


def positions(run: Run, dataset: str = "fish2") -> dict[str, Position]:
    return {
        row["name"]: Position(row["branch"], row["ordinal"]) for row in versions.list_versions(run.database, dataset)
    }


def test_a_version_is_on_the_main_branch_outside_its_order_unless_said_otherwise(run: Run) -> None:
    run(versions.add, "fish2", "loose")
    run(versions.add, "fish2", "v1", position=Position(ordinal=1))
    run(versions.add, "fish2", "alt1", position=Position("alt", 1))
    assert positions(run) == {"loose": Position("main"), "v1": Position("main", 1), "alt1": Position("alt", 1)}
    assert [record["after"] for record in run.records()[1:]] == [
        {"public": False},
        {"public": False, "branch": "main", "ordinal": 1},
        {"public": False, "branch": "alt", "ordinal": 1},
    ]


def test_adding_a_version_again_leaves_its_position_unless_another_is_named(run: Run) -> None:
    run(versions.add, "fish2", "v1", position=Position("alt", 1))
    assert not run(versions.add, "fish2", "v1")
    assert run(versions.add, "fish2", "v1", position=Position("alt", 2))
    record = run.records()[-1]
    assert (record["action"], record["before"], record["after"]) == (
        "dataset.version.set",
        {"ordinal": 1},
        {"ordinal": 2},
    )


def test_setting_one_attribute_of_a_version_leaves_the_others(run: Run) -> None:
    run(versions.add, "fish2", "v1", public=True, position=Position("alt", 1))
    assert run(versions.set_attributes, "fish2", "v1", position=Position("alt"))
    assert run(versions.set_attributes, "fish2", "v1", public=False)
    assert not run(versions.set_attributes, "fish2", "v1")
    assert positions(run) == {"v1": Position("alt", None)}
    with refused(NotFound, "fish2 has no version 'v2'"):
        run(versions.set_attributes, "fish2", "v2", public=True)


def test_two_versions_of_a_dataset_never_have_the_same_ordinal_on_one_branch(run: Run) -> None:
    run(versions.add, "fish2", "v1", position=Position("main", 1))
    run(versions.add, "fish2", "v2", position=Position("main", 2))
    for verb in (versions.add, versions.set_attributes):
        with refused(Conflict, "'v1' of fish2 has ordinal 1 on branch 'main'", "dsgctl dataset version list fish2"):
            run(verb, "fish2", "v2", position=Position("main", 1))
    with refused(Conflict, "'v1'"):
        run(versions.add, "fish2", "v3", position=Position("main", 1))
    run(datasets.add, "fly")
    assert run(versions.add, "fly", "v1", position=Position("main", 1))
    assert run(versions.add, "fish2", "v3", position=Position("alt", 1))


POSITIONS = {
    "ok/zero": (Position("main", 0), None),
    "ok/greatest": (Position("main", 2**63 - 1), None),
    "ok/unicode": (Position("ветка/2 'x' \"y\"", 1), None),
    "fail/negative": (Position("main", -1), "2^63-1"),
    "fail/too great": (Position("main", 2**63), "2^63-1"),
    "fail/empty branch": (Position("", 1), "is not a branch"),
    "fail/space at the end": (Position("alt ", 1), "is not a branch"),
    "fail/line end": (Position("al\nt", 1), "is not a branch"),
    "fail/nul": (Position("al\0t"), "is not a branch"),
    "fail/surrogate": (Position("al\ud800t"), "is not a branch"),
    "fail/invisible": (Position("al\u200bt"), "is not a branch"),
    "fail/too long": (Position("b" * 256), "is not a branch"),
}


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("verb", [versions.add, versions.set_attributes], ids=["add", "set"])
def test_a_position_is_stored_as_it_is_or_refused(run: Run, name: str, verb: Callable[..., bool]) -> None:
    run(versions.add, "fish2", "v1")
    position, refusal = POSITIONS[name]
    if refusal is None:
        assert run(verb, "fish2", "v1", position=position)
        assert positions(run) == {"v1": position}
    else:
        before = run.content()
        with refused(Invalid, refusal):
            run(verb, "fish2", "v1", position=position)
        with refused(Invalid, refusal):
            run(versions.add, "fish2", "v2", position=position)
        assert run.content() == before
