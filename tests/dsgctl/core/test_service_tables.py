"""The service tables of CAVE, and the public roots in them."""

import pytest

from dsgctl.core import datasets, service_tables
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.store import models as m
from tests.dsgctl.core.builders import Run, refused


@pytest.fixture(autouse=True)
def table(run: Run) -> None:
    run(datasets.add, "fish2")
    run(datasets.add, "fly")
    assert run(service_tables.add_table, "cave", "fish_v1", "fish2")


def test_a_table_belongs_to_one_dataset(run: Run) -> None:
    assert not run(service_tables.add_table, "cave", "fish_v1", "fish2")
    with refused(Conflict, "fish_v1 of cave", "dsgctl service table remove cave fish_v1"):
        run(service_tables.add_table, "cave", "fish_v1", "fly")
    assert run(service_tables.add_table, "other", "fish_v1", "fly")
    rows = [(row["service"], row["table"], row["dataset"]) for row in service_tables.list_tables(run.database)]
    assert rows == [("cave", "fish_v1", "fish2"), ("other", "fish_v1", "fly")]
    assert [row["dataset"] for row in service_tables.list_tables(run.database, "other")] == ["fly"]


def test_an_unknown_dataset_or_table_is_not_found(run: Run) -> None:
    with refused(NotFound, "'bee'"):
        run(service_tables.add_table, "cave", "bee", "bee")
    for verb, more in (
        (service_tables.remove_table, ()),
        (service_tables.add_root, (1,)),
        (service_tables.remove_root, (1,)),
    ):
        with refused(NotFound, "no table 'bee' of 'cave'", "dsgctl service table list"):
            run(verb, "cave", "bee", *more)


@pytest.mark.parametrize("words", [("", "t"), ("cave", ""), ("ca\nve", "t"), ("cave", "t\x00")])
def test_a_bad_name_is_refused(run: Run, words: tuple[str, str]) -> None:
    with refused(Invalid):
        run(service_tables.add_table, *words, "fish2")


def test_removing_a_table_removes_its_roots(run: Run) -> None:
    for root in (3, 1, 2):
        assert run(service_tables.add_root, "cave", "fish_v1", root)
    assert run(service_tables.remove_table, "cave", "fish_v1") == 3
    assert run.database.count(m.PublicRoot.select()) == 0
    assert run.records()[-1]["before"]["public_roots"] == 3


@pytest.mark.parametrize("root", [0, 720575940621039145, 2**63 - 1])
def test_a_root_is_public_from_when_it_is_added_until_it_is_removed(run: Run, root: int) -> None:
    assert run(service_tables.add_root, "cave", "fish_v1", root)
    assert not run(service_tables.add_root, "cave", "fish_v1", root)
    assert list(service_tables.list_roots(run.database, "cave", "fish_v1")) == [{"root_id": root}]
    run(service_tables.remove_root, "cave", "fish_v1", root)
    assert list(service_tables.list_roots(run.database, "cave", "fish_v1")) == []
    with refused(NotFound, str(root), "dsgctl service root list cave fish_v1"):
        run(service_tables.remove_root, "cave", "fish_v1", root)


@pytest.mark.parametrize("root", [-1, 2**63, 2**64])
def test_an_invalid_root_is_refused(run: Run, root: int) -> None:
    with refused(Invalid, str(root), "2^63-1"):
        run(service_tables.add_root, "cave", "fish_v1", root)


def test_removing_a_dataset_removes_its_tables(run: Run) -> None:
    run(datasets.add, "fish2")
    run(service_tables.add_table, "cave", "t", "fish2")
    run(service_tables.add_root, "cave", "t", 1)
    run(datasets.remove, "fish2")
    assert list(service_tables.list_tables(run.database)) == []
    assert run.database.count(m.PublicRoot.select()) == 0
