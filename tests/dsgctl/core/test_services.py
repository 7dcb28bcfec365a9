"""Services that use the gateway, and what is for one of them alone."""

from typing import Any

import pytest

from dsgctl.core import datasets, grants, groups, service_tables, services, terms, translations
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


def test_every_verb_is_recorded(run: Run) -> None:
    def all_of_it(change: Any) -> None:
        datasets.add(change, "fish2")
        services.add(change, "clio")
        service_tables.add_table(change, "clio", "t", "fish2")
        service_tables.add_root(change, "clio", "t", 5)
        service_tables.remove_root(change, "clio", "t", 5)
        service_tables.remove_table(change, "clio", "t")
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
