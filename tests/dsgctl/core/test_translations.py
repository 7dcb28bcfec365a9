"""What services call datasets and versions."""

from collections.abc import Callable

import pytest

from dsgctl.core import datasets, services, translations, versions
from dsgctl.core.errors import Conflict, DsgError, Invalid, NotFound
from dsgctl.core.translations import ServiceName
from tests.dsgctl.core.builders import Run, refused


@pytest.fixture(autouse=True)
def fish(run: Run) -> None:
    for name in ("fish2", "fly"):
        run(datasets.add, name)
    run(versions.add, "fish2", "v1")
    for name in ("neuprint", "clio"):
        run(services.add, name)


def list_all(run: Run) -> list[tuple[str | None, ...]]:
    return [
        (row["service"], row["name"], row["name_version"], row["dataset"], row["version"])
        for row in translations.list_translations(run.database)
    ]


def test_a_name_is_added_once_and_removed_by_itself(run: Run) -> None:
    whole, version = ServiceName("neuprint", "pisces"), ServiceName("neuprint", "pisces", "r1")
    assert run(translations.add, whole, "fish2")
    assert run(translations.add, version, "fish2", version="v1")
    before = run.content()
    assert not run(translations.add, version, "fish2", version="v1")
    assert run.content() == before
    run(translations.remove, whole)
    assert list_all(run) == [("neuprint", "pisces", "r1", "fish2", "v1")]
    with refused(
        NotFound, "neuprint 'pisces' has no translation", "dsgctl service translation list --service neuprint"
    ):
        run(translations.remove, whole)
    added, removed = run.records()[-2:]
    assert added["after"] == {"name": "pisces", "name_version": "r1", "dataset": "fish2", "version": "v1"}
    assert removed["before"] == {"name": "pisces", "dataset": "fish2"}
    assert run.actions()[-2:] == [
        "service.translation.add service:neuprint",
        "service.translation.remove service:neuprint",
    ]


def test_a_name_stands_for_one_thing_in_each_service(run: Run) -> None:
    name = ServiceName("neuprint", "pi sces", "r1")
    run(translations.add, name, "fish2", version="v1")
    for dataset, version in (("fly", None), ("fish2", None)):
        with refused(Conflict, "stands for fish2 version v1", "remove neuprint 'pi sces' --name-version r1"):
            run(translations.add, name, dataset, version=version)
    assert run(translations.add, ServiceName("clio", "pi sces", "r1"), "fly")
    assert run(translations.add, ServiceName("neuprint", "pi sces"), "fly")


NAMES = {
    "ok/slash": "janelia/hemibrain",
    "ok/colon": "hemibrain:v1.2.1",
    "ok/quotes": 'o\'brien "x"',
    "ok/spaces": " a b ",
    "ok/unicode": "рыба-魚",
    "ok/percent": "a%2Fb_%",
    "ok/digits": "²",
    "ok/longest": "n" * 2048,
    "fail/empty": "",
    "fail/nul": "a\0b",
    "fail/line end": "a\nb",
    "fail/surrogate": "a\ud800b",
    "fail/too long": "n" * 2049,
}


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("part", ["name", "version"])
def test_a_name_is_taken_as_the_service_has_it_or_refused(run: Run, case: str, part: str) -> None:
    text = NAMES[case]
    name = ServiceName("neuprint", text) if part == "name" else ServiceName("neuprint", "n", text)
    if case.startswith("ok/"):
        assert run(translations.add, name, "fish2")
        assert list_all(run) == [("neuprint", name.name, name.version, "fish2", None)]
        run(translations.remove, name)
        assert list_all(run) == []
    else:
        before = run.content()
        with refused(Invalid):
            run(translations.add, name, "fish2")
        with refused(NotFound):
            run(translations.remove, name)
        assert run.content() == before


def test_what_looks_like_a_name_is_another(run: Run) -> None:
    for text in ("pisces", "Pisces", "pisces ", "pi%ces", "pi_ces"):
        assert run(translations.add, ServiceName("neuprint", text), "fish2")
    assert len(list_all(run)) == 5


UNKNOWN: dict[str, tuple[str, str, str | None, type[DsgError]]] = {
    "no service 'dvid'": ("dvid", "fish2", None, NotFound),
    "no dataset 'worm'": ("neuprint", "worm", None, NotFound),
    "fish2 has no version 'v9'": ("neuprint", "fish2", "v9", NotFound),
    "fly has no version 'v1'": ("neuprint", "fly", "v1", NotFound),
}


@pytest.mark.parametrize("message", UNKNOWN)
def test_what_does_not_exist_is_not_found(run: Run, message: str) -> None:
    service, dataset, version, kind = UNKNOWN[message]
    with refused(kind, message):
        run(translations.add, ServiceName(service, "n"), dataset, version=version)


def test_translations_are_listed_by_service_and_by_dataset(run: Run) -> None:
    run(translations.add, ServiceName("neuprint", "b"), "fish2")
    run(translations.add, ServiceName("neuprint", "a"), "fly")
    run(translations.add, ServiceName("clio", "c"), "fly")
    assert [row[1] for row in list_all(run)] == ["c", "a", "b"]
    assert [row["name"] for row in translations.list_translations(run.database, service="neuprint")] == ["a", "b"]
    assert [row["name"] for row in translations.list_translations(run.database, dataset="fly")] == ["c", "a"]
    for words in ({"service": "dvid"}, {"dataset": "worm"}):
        with refused(NotFound):
            list(translations.list_translations(run.database, **words))


@pytest.mark.parametrize("verb", [datasets.remove, services.remove], ids=["dataset", "service"])
def test_a_translation_ends_with_its_dataset_and_with_its_service(run: Run, verb: Callable[..., object]) -> None:
    run(translations.add, ServiceName("neuprint", "a"), "fish2")
    run(translations.add, ServiceName("clio", "c"), "fly")
    if verb is datasets.remove:
        assert run(verb, "fish2")["translations"] == ["neuprint a"]
    else:
        run(verb, "neuprint")
    assert [row[0] for row in list_all(run)] == ["clio"]
