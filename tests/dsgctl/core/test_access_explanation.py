"""Explanations of decisions; tests/dsgctl/commands/test_access.py has them as ``access explain`` prints them."""

import pytest

from dsgctl.core import access_explanation, datasets, grants, groups, services, users
from dsgctl.core.access_explanation import Explanation, Reader, explain, find_acceptor, format_reason
from dsgctl.core.grant_targets import Target, group_subject
from dsgctl.core.rules.access import Reason
from dsgctl.store.models import Principal
from tests.dsgctl.core.builders import AT, DAY, Run


@pytest.fixture(autouse=True)
def lab(run: Run) -> None:
    """ana has view on fish2 through lab-1, and had edit."""
    run(datasets.add, "fish2")
    run(users.add, "ana@x.org")
    run(groups.add, "lab-1")
    run(groups.add_member, "lab-1", "ana@x.org")
    subject = group_subject(run.database, "lab-1")
    run(grants.add, subject, Target("fish2", "view"))
    run(grants.add, subject, Target("fish2", "edit"), expires=AT - DAY)


def explain_to(run: Run, reader: Reader, permission: str) -> Explanation:
    explanation, _ = explain(run.database, "ana@x.org", "fish2", permission, AT, accept_url=str, reader=reader)
    return explanation


def test_every_reason_is_put_into_words(run: Run) -> None:
    principal = run.snapshot("ana@x.org")
    assert len({format_reason(principal, reason) for reason in Reason}) == len(Reason)


def test_an_explanation_has_what_led_to_the_decision(run: Run) -> None:
    explanation = explain_to(run, Reader(), "edit")
    assert set(explanation) == set(Explanation.__annotations__)
    assert (explanation["allowed"], explanation["reason"]) == (False, "grant_expired")
    assert [(grant["permission"], grant["group"]) for grant in explanation["grants"]] == [("view", "lab-1")]
    assert [grant["permission"] for grant in explanation["expired_grants"]] == ["edit"]
    assert explanation["next"] == "dsgctl grant add fish2 edit --user ana@x.org"
    assert explain_to(run, Reader(), "view")["next"] == "dsgctl grant list --dataset fish2"


def test_the_parent_of_a_child_account_accepts(run: Run) -> None:
    assert find_acceptor(run.database, run.snapshot("ana@x.org")) == "ana@x.org"
    parent, _ = run(users.add, "bea@x.org")
    run(lambda change: change.database.run(Principal.update(parent=parent.id).where(Principal.email == "ana@x.org")))
    assert access_explanation.find_acceptor(run.database, run.snapshot("ana@x.org")) == "bea@x.org"


def test_grants_for_one_service_are_listed_apart(run: Run) -> None:
    run(services.add, "clio")
    subject = group_subject(run.database, "lab-1")
    for permission, days in (("edit", None), ("admin", -1)):
        target = Target("fish2", permission, service="clio")
        run(grants.add, subject, target, expires=AT + days * DAY if days else None)
    explanation = explain_to(run, Reader(), "edit")
    assert (explanation["allowed"], explanation["reason"], explanation["holds"]) == (False, "grant_expired", ["view"])
    assert [(grant["permission"], grant["service"]) for grant in explanation["service_grants"]] == [("edit", "clio")]
    assert [grant["service"] for grant in explanation["grants"]] == [None]
