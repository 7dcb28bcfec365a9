"""Services, their tables, and the public roots in them."""

from typing import Any

import pytest

from dsgctl.core import datasets, grants, groups, services, terms, translations
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.grant_targets import Target, group_subject
from dsgctl.core.translations import ServiceName
from dsgctl.store import models as m
from tests.dsgctl.core.builders import Run, refused


def test_a_service_is_added_once(run: Run) -> None:
    service, new = run(services.add, "clio", display_name="Clio", url="https://clio.example")
    assert new
    before = run.content()
    assert run(services.add, "clio", display_name="Clio", url="https://clio.example") == (service, False)
    assert run.content() == before
    assert list(services.list_services(run.database)) == [
        {"id": service.id, "name": "clio", "display_name": "Clio", "url": "https://clio.example", "mode": "linear"}
    ]


@pytest.mark.parametrize("other", [{"display_name": "C"}, {"url": "https://c.example"}], ids=repr)
def test_a_service_that_is_there_and_differs_is_a_conflict(run: Run, other: dict[str, str]) -> None:
    run(services.add, "clio")
    with refused(Conflict, "clio"):
        run(services.add, "clio", **other)


@pytest.mark.parametrize(
    "words", [{"name": "cl io"}, {"display_name": "a\nb"}, {"url": "javascript:alert(1)"}], ids=repr
)
def test_a_bad_value_is_refused(run: Run, words: dict[str, str]) -> None:
    with refused(Invalid):
        run(services.add, words.pop("name", "clio"), **words)


def test_removing_a_service_removes_what_is_for_it_alone(run: Run) -> None:
    run(datasets.add, "fish2")
    run(groups.add, "lab")
    lab = group_subject(run.database, "lab")
    run(grants.add, lab, Target("fish2", "view"))
    for name in ("clio", "cave"):
        run(services.add, name)
        run(terms.add, name, "Be kind.", dataset="fish2", service=name)
        run(grants.add, lab, Target("fish2", "view", service=name))
        run(translations.add, ServiceName(name, "pisces"), "fish2")
    run(terms.add, "own", "Be kind.", dataset="fish2")
    holdings = {"terms": 1, "grants": 1, "translations": 1}
    assert run(services.remove, "clio") == holdings
    assert [row["service"] for row in translations.list_translations(run.database)] == ["cave"]
    cave = services.find(run.database, "cave").id
    assert [row.service_id for row in run.database.objects(m.Grant.select().order_by(m.Grant.id))] == [None, cave]
    assert [row["name"] for row in terms.list_terms(run.database)] == ["cave", "own"]
    assert run.records()[-1]["before"] == {"display_name": "", "url": "", "mode": "linear", **holdings}
    with refused(NotFound, "'clio'", "dsgctl service list"):
        run(services.remove, "clio")


def test_a_service_is_linear_until_its_mode_is_set(run: Run) -> None:
    run(services.add, "clio")
    assert not run(services.set_mode, "clio", "linear")
    assert run(services.set_mode, "clio", "dag")
    assert services.find(run.database, "clio").mode == "dag"
    record = run.records()[-1]
    assert (record["action"], record["before"], record["after"]) == ("service.set", {"mode": "linear"}, {"mode": "dag"})
    with refused(NotFound, "'cave'"):
        run(services.set_mode, "cave", "dag")


def test_a_service_is_shown_with_what_is_for_it_alone(run: Run) -> None:
    run(datasets.add, "fish2")
    run(groups.add, "lab")
    service, _ = run(services.add, "clio", mode="dag")
    run(services.add, "cave")
    assert run(services.remove, "cave") == {"terms": 0, "grants": 0, "translations": 0}
    for name in (None, "clio"):
        run(grants.add, group_subject(run.database, "lab"), Target("fish2", "view", service=name))
    run(terms.add, "Rules", "Be kind.", dataset="fish2", service="clio")
    run(translations.add, ServiceName("clio", "pisces", "r1"), "fish2")
    run(translations.add, ServiceName("clio", "a b"), "fish2")
    assert services.show(run.database, "clio") == {
        "id": service.id,
        "name": "clio",
        "display_name": "",
        "url": "",
        "mode": "dag",
        "terms": ["1 Rules"],
        "grants": ["fish2 view lab"],
        "translations": ["a b", "pisces r1"],
    }
    assert datasets.show(run.database, "fish2")["grants"] == ["view lab", "view lab for clio"]
    assert groups.show(run.database, "lab")["grants"] == ["fish2 view", "fish2 view for clio"]
    with refused(NotFound, "'cave'", "dsgctl service list"):
        services.show(run.database, "cave")


class TestTables:
    @pytest.fixture(autouse=True)
    def table(self, run: Run) -> None:
        run(datasets.add, "fish2")
        run(datasets.add, "fly")
        assert run(services.add_table, "cave", "fish_v1", "fish2")

    def test_a_table_belongs_to_one_dataset(self, run: Run) -> None:
        assert not run(services.add_table, "cave", "fish_v1", "fish2")
        with refused(Conflict, "fish_v1 of cave", "dsgctl service table remove cave fish_v1"):
            run(services.add_table, "cave", "fish_v1", "fly")
        assert run(services.add_table, "other", "fish_v1", "fly")
        rows = [(row["service"], row["table"], row["dataset"]) for row in services.list_tables(run.database)]
        assert rows == [("cave", "fish_v1", "fish2"), ("other", "fish_v1", "fly")]
        assert [row["dataset"] for row in services.list_tables(run.database, "other")] == ["fly"]

    def test_an_unknown_dataset_or_table_is_not_found(self, run: Run) -> None:
        with refused(NotFound, "'bee'"):
            run(services.add_table, "cave", "bee", "bee")
        for verb, more in ((services.remove_table, ()), (services.add_root, (1,)), (services.remove_root, (1,))):
            with refused(NotFound, "no table 'bee' of 'cave'", "dsgctl service table list"):
                run(verb, "cave", "bee", *more)

    @pytest.mark.parametrize("words", [("", "t"), ("cave", ""), ("ca\nve", "t"), ("cave", "t\x00")])
    def test_a_bad_name_is_refused(self, run: Run, words: tuple[str, str]) -> None:
        with refused(Invalid):
            run(services.add_table, *words, "fish2")

    def test_removing_a_table_removes_its_roots(self, run: Run) -> None:
        for root in (3, 1, 2):
            assert run(services.add_root, "cave", "fish_v1", root)
        assert run(services.remove_table, "cave", "fish_v1") == 3
        assert run.database.count(m.PublicRoot.select()) == 0
        assert run.records()[-1]["before"]["public_roots"] == 3

    @pytest.mark.parametrize("root", [0, 720575940621039145, 2**63 - 1])
    def test_a_root_is_public_from_when_it_is_added_until_it_is_removed(self, run: Run, root: int) -> None:
        assert run(services.add_root, "cave", "fish_v1", root)
        assert not run(services.add_root, "cave", "fish_v1", root)
        assert list(services.list_roots(run.database, "cave", "fish_v1")) == [{"root_id": root}]
        run(services.remove_root, "cave", "fish_v1", root)
        assert list(services.list_roots(run.database, "cave", "fish_v1")) == []
        with refused(NotFound, str(root), "dsgctl service root list cave fish_v1"):
            run(services.remove_root, "cave", "fish_v1", root)

    @pytest.mark.parametrize("root", [-1, 2**63, 2**64])
    def test_an_invalid_root_is_refused(self, run: Run, root: int) -> None:
        with refused(Invalid, str(root), "2^63-1"):
            run(services.add_root, "cave", "fish_v1", root)


def test_removing_a_dataset_removes_its_tables(run: Run) -> None:
    run(datasets.add, "fish2")
    run(services.add_table, "cave", "t", "fish2")
    run(services.add_root, "cave", "t", 1)
    run(datasets.remove, "fish2")
    assert list(services.list_tables(run.database)) == []
    assert run.database.count(m.PublicRoot.select()) == 0


def test_every_verb_is_recorded(run: Run) -> None:
    def all_of_it(change: Any) -> None:
        datasets.add(change, "fish2")
        services.add(change, "clio")
        services.add_table(change, "clio", "t", "fish2")
        services.add_root(change, "clio", "t", 5)
        services.remove_root(change, "clio", "t", 5)
        services.remove_table(change, "clio", "t")
        services.remove(change, "clio")

    run(all_of_it)
    named = [" ".join(action.split()[:2]) for action in run.actions()[1:]]
    assert named == [
        "service.add service:clio",
        "service.table.add table:clio/t",
        "service.root.add table:clio/t",
        "service.root.remove table:clio/t",
        "service.table.remove table:clio/t",
        "service.remove service:clio",
    ]
