"""Datasets."""

from typing import Any

import pytest

from dsgctl.core import (
    dataset_list,
    datasets,
    grants,
    locations,
    service_tables,
    services,
    terms,
    translations,
    users,
    validation,
    versions,
)
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.translations import ServiceName
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
        "translations": [],
    }


@pytest.mark.parametrize(("other", "differs"), [({"description": "b"}, "description"), ({"public": True}, "access")])
def test_a_dataset_that_is_there_and_differs_is_a_conflict(run: Run, other: dict[str, Any], differs: str) -> None:
    run(datasets.add, "fish2", description="a")
    with refused(Conflict, "fish2", differs, "dsgctl dataset set fish2"):
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
    assert run(datasets.add, validation.foreign(name, "dataset name"), imported_id=7)[0].id == 7
    assert datasets.find(run.database, name).name == name
    assert not run(datasets.add, name)[1], "one that is there may be named by anybody"


def test_set_attributes_changes_only_the_given_attributes(run: Run) -> None:
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


def test_removing_a_dataset_removes_everything_that_belongs_to_it(run: Run) -> None:
    user, _ = run(users.add, "ana@x.org")
    run(services.add, "clio")
    for name in ("fish2", "fly"):
        run(datasets.add, name)
        run(versions.add, name, "v1")
        run(locations.add, name, "gs://bucket/" + name, version="v1")
        run(grants.add, principal_subject(user), Target(name, "view", "v1"))
        run(terms.add, f"{name} terms", "Be kind.", dataset=name)
        run(service_tables.add_table, "cave", name, name)
        run(translations.add, ServiceName("clio", name, "r1"), name, version="v1")
    gone = run(datasets.remove, "fish2")
    assert gone == {
        "versions": ["v1"],
        "locations": ["gs://bucket/fish2/"],
        "grants": ["view ana@x.org"],
        "terms": ["1 fish2 terms"],
        "service_tables": ["cave fish2"],
        "translations": ["clio fish2 r1"],
    }
    for table in (m.Dataset, m.Version, m.Location, m.Grant, m.Terms, m.ServiceTable, m.Translation):
        assert run.database.count(table.select()) == 1, table
    assert datasets.show(run.database, "fly")["own_terms"] == 2
    assert run.database.integrity_problems() == []
    with refused(NotFound):
        run(datasets.remove, "fish2")


def test_a_new_dataset_of_an_old_name_has_another_id_and_nothing_of_the_old_one(run: Run) -> None:
    old, _ = run(datasets.add, "fish2")
    run(versions.add, "fish2", "v1")
    run(datasets.remove, "fish2")
    new, _ = run(datasets.add, "fish2")
    assert new.id > old.id
    assert datasets.show(run.database, "fish2")["versions"] == []


def test_datasets_are_listed_by_name_with_their_terms(run: Run) -> None:
    for name in ("b", "a"):
        run(datasets.add, name, description=name.upper())
    run(terms.add, "B terms", "Be kind.", dataset="b")
    rows = dataset_list.list_datasets(run.database)
    assert [tuple(row.values())[1:] for row in rows] == [("a", "closed", None, "A"), ("b", "closed", "B terms", "B")]


def test_a_dataset_whose_terms_hold_back_another_one_is_not_removed(run: Run) -> None:
    """Imports bring such; without its terms the other one would be open."""
    run(datasets.add, "fish2")
    run(datasets.add, "fly")
    shared, _ = run(terms.add, "both", "Be kind.", dataset="fish2")
    run(lambda change: terms.import_own_terms(change, datasets.find(change.database, "fly"), shared.id))
    with refused(Conflict, f"terms {shared.id} of fish2 are fly's own terms too", "terms add"):
        run(datasets.remove, "fish2")
    run(terms.add, "of its own", "Be kind.", dataset="fly")
    run(datasets.remove, "fish2")
