"""Acceptances: what is recorded, what accepting gives, and who has yet to accept."""

from typing import Any

import pytest

from dsgctl.core import acceptances, datasets, grants, services, terms, users, versions
from dsgctl.core.errors import NotAllowed, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.rules import access
from dsgctl.core.rules import terms as terms_rule
from dsgctl.core.rules.access import Reason
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from tests.dsgctl.core.builders import AT, DAY, Run, refused

ANA = "ana@x.org"


@pytest.fixture(autouse=True)
def filled_database(run: Run) -> None:
    run(users.add, ANA)
    run(datasets.add, "fish2")
    run(versions.add, "fish2", "v1")
    run(services.add, "clio")
    run(grants.add, principal_subject(users.find(run.database, ANA)), Target("fish2", "view"))


def decide(run: Run, service: str | None = None, who: str = ANA) -> Reason:
    return access.decide(run.snapshot(who, service, "fish2"), "fish2", "view", AT).reason


class TestAccept:
    def test_accepting_is_recorded_once_with_its_address(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        assert run(acceptances.accept, document.id, ANA.upper(), address="10.0.0.1", actor="user:ana@x.org")
        before = run.content()
        assert not run(acceptances.accept, document.id, ANA, at=AT + DAY)
        assert run.content() == before
        [accepted] = run.database.objects(m.Acceptance.select())
        assert (accepted.accepted, accepted.address, accepted.recorded_by) == (AT, "10.0.0.1", "user:ana@x.org")
        assert terms.show(run.database, document.id)["accepted"] == 1
        assert run.actions()[-1] == f"terms.accept terms:{document.id} user:{ANA}"

    def test_accepting_for_somebody_else_records_who_did_it(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        assert run(acceptances.accept, document.id, ANA, actor="os:eve")
        [accepted] = run.database.objects(m.Acceptance.select())
        assert (accepted.address, accepted.recorded_by) == (None, "os:eve")

    def test_a_public_datasets_own_terms_give_view_by_self_service(self, run: Run) -> None:
        run(users.add, "bea@x.org")
        run(datasets.set_attributes, "fish2", public=True)
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        run(acceptances.accept, document.id, "bea@x.org", actor="user:bea@x.org")
        [row] = [row for row in grants.list_grants(run.database) if row["user"] == "bea@x.org"]
        assert (row["permission"], row["source"], row["granted_by"], row["expires"]) == (
            "view",
            "self-service",
            "user:bea@x.org",
            None,
        )
        assert decide(run, who="bea@x.org") is Reason.GRANTED

    def test_an_old_form_does_not_give_a_withdrawn_view_back(self, run: Run) -> None:
        bea, _ = run(users.add, "bea@x.org")
        run(datasets.set_attributes, "fish2", public=True)
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        assert run(acceptances.accept, document.id, "bea@x.org")
        run(grants.revoke, principal_subject(bea), Target("fish2", "view"))
        before = run.content()
        assert not run(acceptances.accept, document.id, "bea@x.org")
        assert run.content() == before

    @pytest.mark.parametrize("by", ["ana@x.org", "bea@x.org"])
    def test_accepting_other_terms_does_not_give_a_withdrawn_view_back(self, run: Run, by: str) -> None:
        """Neither what they had by accepting (bea), nor what somebody had granted (ana)."""
        run(users.add, "bea@x.org")
        run(datasets.set_attributes, "fish2", public=True)
        run(acceptances.accept, run(terms.add, "Terms", "Be kind.", dataset="fish2")[0].id, by)
        subject = principal_subject(users.find(run.database, by))
        run(grants.revoke, subject, Target("fish2", "view"))
        for text in ("Be kinder.", "Be kindest."):
            assert run(acceptances.accept, run(terms.add, "Terms", text, dataset="fish2")[0].id, by)
            assert decide(run, who=by) is Reason.NO_GRANT

    @pytest.mark.parametrize(
        ("given_back", "by_accepting"),
        [
            ([Target("fish2", "view")], True),
            ([Target("fish2", "edit")], True),
            ([Target("fish2", "view", version="v1")], False),  # less than what was taken
            ([Target("fly", "view")], False),
            ([], False),
        ],
    )
    def test_accepting_gives_a_withdrawn_view_back_after_it_was_granted_again(
        self, run: Run, given_back: list[Target], by_accepting: bool
    ) -> None:
        run(datasets.add, "fly", public=True)
        run(datasets.set_attributes, "fish2", public=True)
        subject = principal_subject(users.find(run.database, ANA))
        run(grants.revoke, subject, Target("fish2", "view"))
        for target in given_back:
            run(grants.add, subject, target)
            run(grants.add, subject, target, expires=AT, for_ever=True)  # it ends by itself: nobody takes it away
        run(acceptances.accept, run(terms.add, "Terms", "Be kinder.", dataset="fish2")[0].id, ANA)
        assert (decide(run) is Reason.GRANTED) is by_accepting

    def test_a_revocation_on_a_closed_dataset_does_not_count_once_it_is_public(self, run: Run) -> None:
        subject = principal_subject(users.find(run.database, ANA))
        run(grants.revoke, subject, Target("fish2", "view"))
        run(datasets.set_attributes, "fish2", public=True)
        run(acceptances.accept, run(terms.add, "Terms", "Be kind.", dataset="fish2")[0].id, ANA)
        assert decide(run) is Reason.GRANTED

    @pytest.mark.parametrize("target", [Target("fish2", "edit"), Target("fish2", "view", version="v1")], ids=repr)
    def test_revoking_less_than_view_of_the_whole_dataset_withdraws_nothing(self, run: Run, target: Target) -> None:
        run(users.add, "bea@x.org")
        bea = principal_subject(users.find(run.database, "bea@x.org"))
        run(datasets.set_attributes, "fish2", public=True)
        run(grants.add, bea, target)
        run(grants.revoke, bea, target)
        run(acceptances.accept, run(terms.add, "Terms", "Be kind.", dataset="fish2")[0].id, "bea@x.org")
        assert decide(run, who="bea@x.org") is Reason.GRANTED

    def test_a_withdrawal_is_deleted_with_its_account_and_its_dataset(self, run: Run) -> None:
        run(datasets.set_attributes, "fish2", public=True)
        subject = principal_subject(users.find(run.database, ANA))
        run(grants.revoke, subject, Target("fish2", "view"))
        assert run.database.count(m.Withdrawal.select()) == 1
        run(datasets.remove, "fish2")
        assert run.database.count(m.Withdrawal.select()) == 0

    def test_accepting_gives_no_second_view(self, run: Run) -> None:
        run(datasets.set_attributes, "fish2", public=True)
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        run(acceptances.accept, document.id, ANA)
        assert len(list(grants.list_grants(run.database))) == 1

    def test_an_expired_view_does_not_prevent_a_new_one(self, run: Run) -> None:
        run(datasets.set_attributes, "fish2", public=True)
        subject = principal_subject(users.find(run.database, ANA))
        run(grants.add, subject, Target("fish2", "view"), expires=AT - DAY)
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        run(acceptances.accept, document.id, ANA)
        assert decide(run) is Reason.GRANTED

    @pytest.mark.parametrize("where", [{"version": "v1"}, {"service": "clio"}], ids=repr)
    def test_other_terms_of_a_public_dataset_give_nothing(self, run: Run, where: dict[str, str]) -> None:
        run(users.add, "bea@x.org")
        run(datasets.set_attributes, "fish2", public=True)
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2", **where)
        run(acceptances.accept, document.id, "bea@x.org")
        assert decide(run, who="bea@x.org") is Reason.NO_GRANT

    def test_terms_of_a_closed_dataset_give_nothing(self, run: Run) -> None:
        run(users.add, "bea@x.org")
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        run(acceptances.accept, document.id, "bea@x.org")
        assert decide(run, who="bea@x.org") is Reason.NO_GRANT

    def test_a_child_cannot_accept(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        parent, _ = run(users.add, "bea@x.org")
        run.database.run(Principal.update(parent=parent.id).where(Principal.email == ANA))
        with refused(NotAllowed, ANA, "parent"):
            run(acceptances.accept, document.id, ANA)
        run(acceptances.accept, document.id, "bea@x.org")
        assert decide(run) is Reason.GRANTED

    def test_a_disabled_person_cannot_accept(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        run(users.set_active, ANA, False)
        with refused(NotAllowed, "disabled", f"dsgctl user enable {ANA}"):
            run(acceptances.accept, document.id, ANA)

    def test_an_unknown_person_is_not_found(self, run: Run) -> None:
        document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
        with refused(NotFound, "bea@x.org"):
            run(acceptances.accept, document.id, "bea@x.org")


class TestPending:
    @pytest.fixture(autouse=True)
    def documents(self, run: Run) -> None:
        run(users.add, "none@x.org")  # holds nothing, so nothing is held back
        bea, _ = run(users.add, "bea@x.org")
        run(grants.add, principal_subject(bea), Target("fish2", "edit"))
        run(terms.add, "Own", "Be kind.", dataset="fish2")
        run(terms.add, "Service", "Be kind.", dataset="fish2", service="clio")
        run(terms.add, "Later", "Be kind.", dataset="fish2", service="clio", effective=AT + DAY)
        run(acceptances.accept, 1, "bea@x.org")

    def rows(self, run: Run, **filters: Any) -> list[tuple[str, str, str | None]]:
        return [
            (row["user"], row["name"], row["service"]) for row in acceptances.list_pending(run.database, AT, **filters)
        ]

    def test_pending_terms_are_listed_once_for_each_person(self, run: Run) -> None:
        assert sorted(self.rows(run)) == [
            (ANA, "Own", None),
            (ANA, "Service", "clio"),
            ("bea@x.org", "Service", "clio"),
        ]

    def test_pending_terms_are_filtered_by_person_and_dataset(self, run: Run) -> None:
        assert self.rows(run, email="BEA@x.org") == [("bea@x.org", "Service", "clio")]
        run(datasets.add, "fly")
        assert self.rows(run, dataset="fly") == []
        assert len(self.rows(run, dataset="fish2", email=ANA)) == 2

    def test_pending_terms_leave_out_disabled_people(self, run: Run) -> None:
        run(users.set_active, ANA, False)
        assert self.rows(run) == [("bea@x.org", "Service", "clio")]

    def test_neither_an_unknown_person_nor_an_unknown_dataset_is_found(self, run: Run) -> None:
        for filters in ({"email": "cid@x.org"}, {"dataset": "bee"}):
            with refused(NotFound):
                acceptances.list_pending(run.database, AT, **filters)


@pytest.mark.parametrize("terms_id", [0, 7, -1, 2**63, 2**70])
def test_unknown_terms_are_not_found(run: Run, terms_id: int) -> None:
    with refused(NotFound, f"no terms {terms_id}", "dsgctl terms list"):
        run(acceptances.accept, terms_id, ANA)


def test_what_a_person_has_accepted_is_listed_the_latest_first(run: Run) -> None:
    for days, name in enumerate(("First", "Second")):
        document, _ = run(terms.add, name, "Be kind.", dataset="fish2")
        run(acceptances.accept, document.id, ANA, at=AT + days * DAY)
    ana = users.find(run.database, ANA).id
    assert list(acceptances.list_accepted_by(run.database, ana)) == [
        {"id": 2, "name": "Second", "accepted": AT + DAY},
        {"id": 1, "name": "First", "accepted": AT},
    ]
    assert acceptances.find_date(run.database, 2, ana, AT + DAY) == AT + DAY
    assert acceptances.find_date(run.database, 3, ana, AT + DAY) is None


def test_terms_whose_acceptance_has_ended_are_missing_until_they_are_accepted_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, _ = run(terms.add, "Rules", "Be kind.", dataset="fish2")
    run(acceptances.accept, document.id, ANA, address="10.0.0.1")
    monkeypatch.setattr(terms_rule.Terms, "acceptance_end", lambda _terms, accepted: accepted + 365 * DAY)
    end = AT + 365 * DAY
    snapshot = run.snapshot(ANA)
    assert access.next_change(snapshot, AT) == end
    assert access.decide(snapshot, "fish2", "view", end - DAY).reason is Reason.GRANTED
    assert access.decide(snapshot, "fish2", "view", end).reason is Reason.TERMS_MISSING
    assert [row["user"] for row in acceptances.list_pending(run.database, end)] == [ANA]
    assert acceptances.find_date(run.database, document.id, snapshot.id, end) is None
    assert not run(acceptances.accept, document.id, ANA, at=end - DAY)
    assert run(acceptances.accept, document.id, ANA, at=end)
    assert not run(acceptances.accept, document.id, ANA, at=end)
    assert access.decide(run.snapshot(ANA), "fish2", "view", end).reason is Reason.GRANTED
    [accepted] = run.database.objects(m.Acceptance.select())
    assert (accepted.accepted, accepted.address) == (end, None)
    assert run.actions().count(f"terms.accept terms:{document.id} user:{ANA}") == 2
