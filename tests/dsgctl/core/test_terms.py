"""Terms: what they are for, and when they end."""

from typing import Any

import apsw
import pytest

from dsgctl.core import acceptances, datasets, grants, services, terms, users, versions
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.rules import access
from dsgctl.core.rules.access import Reason
from dsgctl.core.rules.terms import TermsStatus
from dsgctl.store import models as m
from dsgctl.store.times import utc_text
from tests.dsgctl.core.builders import AT, DAY, Run, refused

ANA = "ana@x.org"


@pytest.fixture(autouse=True)
def filled_database(run: Run) -> None:
    run(users.add, ANA)
    run(datasets.add, "fish2")
    run(versions.add, "fish2", "v1")
    run(services.add, "clio")
    run(grants.add, principal_subject(users.find(run.database, ANA)), Target("fish2", "view"))


def own_terms(run: Run, dataset: str = "fish2") -> int | None:
    terms_id: int | None = datasets.show(run.database, dataset)["own_terms"]
    return terms_id


def decide(run: Run, service: str | None = None, who: str = ANA) -> Reason:
    return access.decide(run.snapshot(who, service, "fish2"), "fish2", "view", AT).reason


def test_new_terms_have_the_given_values_and_a_random_invitation(run: Run) -> None:
    document, new = run(terms.add, "Terms", "# Be kind", dataset="fish2", service="clio", effective=AT + DAY)
    assert new
    shown = terms.show(run.database, document.id)
    assert len(shown.pop("invite_token")) >= 32
    assert shown == {
        "id": document.id,
        "name": "Terms",
        "dataset": "fish2",
        "version": None,
        "service": "clio",
        "own": False,
        "effective": AT + DAY,
        "retired": None,
        "accepted": 0,
        "text": "# Be kind",
    }


def test_terms_are_found_by_their_invitation(run: Run) -> None:
    first, _ = run(terms.add, "One", "Be kind.", dataset="fish2")
    second, _ = run(terms.add, "Two", "Be kind.")
    assert first.invite_token != second.invite_token
    assert terms.find_by_invite(run.database, second.invite_token) == second
    assert terms.find_by_invite(run.database, "") is None


@pytest.mark.parametrize(
    "where",
    [{}, {"dataset": "fish2"}, {"dataset": "fish2", "version": "v1"}, {"dataset": "fish2", "service": "clio"}],
    ids=repr,
)
def test_the_same_terms_for_the_same_thing_are_added_once(run: Run, where: dict[str, str]) -> None:
    document, new = run(terms.add, "Terms", "Be kind.", **where)
    assert new
    before = run.content()
    assert run(terms.add, "Terms", "Be kind.", at=AT + DAY, **where) == (document, False)
    assert run.content() == before


@pytest.mark.parametrize(
    "other",
    [{"name": "Terms 2"}, {"text": "Be kinder."}, {"version": "v1"}, {"service": "clio"}, {"effective": AT + DAY}],
    ids=repr,
)
def test_different_terms_are_added_beside_the_existing_ones(run: Run, other: dict[str, Any]) -> None:
    first, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
    fields = {"name": "Terms", "text": "Be kind.", "dataset": "fish2", **other}
    second, new = run(terms.add, fields.pop("name"), fields.pop("text"), **fields)
    assert new
    assert second.id != first.id


def test_terms_of_a_dataset_alone_become_its_own_in_place_of_those_it_had(run: Run) -> None:
    first, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
    assert own_terms(run) == first.id
    run(acceptances.accept, first.id, ANA)
    assert decide(run) is Reason.GRANTED
    second, _ = run(terms.add, "Terms", "Be kinder.", dataset="fish2")
    assert own_terms(run) == second.id
    assert run.records()[-1]["after"]["replaces"] == first.id
    assert decide(run) is Reason.TERMS_MISSING


def test_terms_that_were_replaced_can_be_put_in_place_again(run: Run) -> None:
    first, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
    run(acceptances.accept, first.id, ANA)
    run(terms.add, "Terms", "Be kinder.", dataset="fish2")
    third, new = run(terms.add, "Terms", "Be kind.", dataset="fish2")
    assert new
    assert own_terms(run) == third.id
    assert decide(run) is Reason.TERMS_MISSING


@pytest.mark.parametrize("where", [{"version": "v1"}, {"service": "clio"}, {"version": "v1", "service": "clio"}])
def test_terms_of_a_version_or_a_service_are_not_the_datasets_own(run: Run, where: dict[str, str]) -> None:
    run(terms.add, "Terms", "Be kind.", dataset="fish2", **where)
    assert own_terms(run) is None
    assert decide(run) is Reason.GRANTED
    assert decide(run, "clio") is (Reason.GRANTED if "version" in where else Reason.TERMS_MISSING)


def test_a_datasets_own_terms_count_before_they_are_effective(run: Run) -> None:
    run(terms.add, "Terms", "Be kind.", dataset="fish2", effective=AT + DAY)
    assert decide(run) is Reason.TERMS_MISSING


@pytest.mark.parametrize(
    ("words", "kind", "part"),
    [
        ({"name": ""}, Invalid, "name for terms"),
        ({"name": "a\nb"}, Invalid, "name for terms"),
        ({"text": ""}, Invalid, "is empty"),
        ({"text": " \n\t"}, Invalid, "is empty"),
        ({"text": "a\x00"}, Invalid, "text of the terms"),
        ({"text": "a" * 100_001}, Invalid, "100000"),
        ({"version": "v1"}, Invalid, "--dataset"),
        ({"service": "clio"}, Invalid, "--dataset"),
        ({"dataset": "no"}, NotFound, "'no'"),
        ({"dataset": "fish2", "version": "v2"}, NotFound, "'v2'"),
        ({"dataset": "fish2", "service": "cave"}, NotFound, "'cave'"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_terms_without_a_text_or_an_existing_subject_are_refused(
    run: Run, words: dict[str, str], kind: Any, part: str
) -> None:
    fields = {"name": "Terms", "text": "Be kind.", **words}
    with refused(kind, part):
        run(terms.add, fields.pop("name"), fields.pop("text"), **fields)
    assert list(terms.list_terms(run.database)) == []


class TestRetire:
    def test_retiring_a_datasets_own_terms_leaves_it_without(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        assert run(terms.retire, document.id)
        assert own_terms(run) is None
        assert decide(run) is Reason.GRANTED
        assert not run(terms.retire, document.id, at=AT + DAY)
        assert terms.show(run.database, document.id)["retired"] == AT
        assert run.records()[-1]["after"] == {"retired": "2026-11-20T12:00:00.000000Z"}

    def test_retiring_shared_terms_removes_them_from_every_dataset(self, run: Run) -> None:
        """An import may bring terms that are several datasets' own."""
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        run(datasets.add, "fly")
        run.database.run(m.Dataset.update(own_terms_id=document.id).where(m.Dataset.name == "fly"))
        assert run(terms.retire, document.id)
        assert (own_terms(run), own_terms(run, "fly")) == (None, None)

    def test_a_datasets_own_terms_cannot_be_retired_in_advance(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        with refused(Conflict, "fish2's own", "on the day"):
            run(terms.retire, document.id, on=AT + DAY)

    def test_retiring_expired_terms_removes_them_from_the_dataset_and_keeps_their_date(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2", effective=AT - 3 * DAY)
        run.database.run(m.Terms.update(retired=AT - DAY).where(m.Terms.id == document.id))
        assert run(terms.retire, document.id)
        assert own_terms(run) is None
        assert terms.show(run.database, document.id)["retired"] == AT - DAY
        assert run.records()[-1]["after"] == {"retired": "2026-11-19T12:00:00.000000Z"}

    def test_terms_of_a_service_end_on_a_date_which_can_be_brought_forward(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2", service="clio")
        assert run(terms.retire, document.id, on=AT + 2 * DAY)
        assert decide(run, "clio") is Reason.TERMS_MISSING
        assert not run(terms.retire, document.id, on=AT + 3 * DAY)
        assert run(terms.retire, document.id, on=AT + DAY)
        assert terms.show(run.database, document.id)["retired"] == AT + DAY
        assert run(terms.retire, document.id)
        assert decide(run, "clio") is Reason.GRANTED

    @pytest.mark.parametrize("terms_id", [0, 7, -1, 2**63, 2**70])
    def test_unknown_terms_are_not_found(self, run: Run, terms_id: int) -> None:
        """Of whatever number: it comes out of a URL."""
        with refused(NotFound, f"no terms {terms_id}", "dsgctl terms list"):
            run(terms.retire, terms_id)


def test_terms_are_listed_with_whose_they_are(run: Run) -> None:
    run(terms.add, "Old", "Be kind.", dataset="fish2")
    run(terms.add, "Own", "Be kind.", dataset="fish2")
    run(terms.add, "Loose", "Be kind.")
    run(terms.add, "Version", "Be kind.", dataset="fish2", version="v1")
    rows = [(row["name"], row["dataset"], row["version"], row["own"]) for row in terms.list_terms(run.database)]
    assert rows == [
        ("Old", "fish2", None, False),
        ("Own", "fish2", None, True),
        ("Loose", None, None, False),
        ("Version", "fish2", "v1", False),
    ]
    status = [terms.find_status(run.database, terms.find(run.database, number), AT) for number in (1, 2, 3, 4)]
    assert status == [TermsStatus.REPLACED, TermsStatus.IN_FORCE, TermsStatus.REPLACED, TermsStatus.IN_FORCE]


def test_terms_that_were_deleted_in_the_meantime_have_no_status(run: Run) -> None:
    document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
    run(datasets.remove, "fish2")
    with refused(NotFound, str(document.id)):
        terms.find_status(run.database, document, AT)


@pytest.mark.parametrize(
    ("effective", "retired", "service", "in_force"),
    [
        (-9, None, True, True),
        (-9, 1, True, True),  # until then
        (1, None, True, True),  # from then
        (-9, -1, True, False),
        (-9, 0, True, False),  # from its retirement date on
        (-9, -1, False, True),  # a dataset's own count whatever their dates
        (-9, None, False, True),
    ],
)
def test_terms_that_are_or_will_be_in_force_are_listed_as_current(
    run: Run, effective: int, retired: int | None, service: bool, in_force: bool
) -> None:
    run(terms.add, "fish terms", "Be kind.", dataset="fish2", service="clio" if service else None)
    moment = utc_text(AT + effective * DAY), retired if retired is None else utc_text(AT + retired * DAY)
    connection = apsw.Connection(run.database.path)
    connection.execute("UPDATE terms SET effective = ?, retired = ?", moment)
    connection.close()
    assert [row["name"] for row in terms.list_current(run.database, AT)] == (["fish terms"] if in_force else [])


def test_terms_that_a_dataset_named_before_hold_nothing_back(run: Run) -> None:
    run(terms.add, "fish terms", "Be kind.", dataset="fish2")
    run(terms.add, "new terms", "Be kinder.", dataset="fish2")
    assert [row["name"] for row in terms.list_current(run.database, AT)] == ["new terms"]
