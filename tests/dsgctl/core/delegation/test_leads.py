"""Whom a lead of a group may add and remove, and when a member whom a lead added leaves again."""

from datetime import timedelta

import pytest

from dsgctl.core import (
    delegated_grants,
    groups,
    offboarding,
)
from dsgctl.core.errors import NotAllowed
from tests.dsgctl.core.builders import AT, DAY, Run, refused
from tests.dsgctl.core.delegation.lab import HOUR, as_delegate, email_of, give, revoke

# What lab-1 has, in which lea is; what she holds besides; whether she may put somebody into it.
JOINS = [
    ("view", None, "manage", None, True),
    ("view", None, "manage@v1", None, False),
    ("view@v1", None, "manage@v1", None, True),
    ("view@v2", None, "manage@v1", None, False),
    ("view", None, "manage", HOUR, False),
    ("view", HOUR, "manage", HOUR, True),
    ("view", DAY, "manage", HOUR, False),
    ("manage", None, "manage", None, True),
    ("manage", HOUR, "view", None, True),  # the group's is hers too
    ("admin", None, "manage", None, True),
    ("admin@v1", None, "admin@v2", None, True),
    ("other", None, "manage", None, False),
    ("view", None, "edit", None, False),
    ("view/clio", None, "manage/clio", None, True),
    ("view/clio", None, "manage", None, True),
    ("view", None, "manage/clio", None, False),
    ("view/clio", None, "manage/neuprint", None, False),
]


@pytest.mark.parametrize(("has", "has_for", "holds", "holds_for", "may"), JOINS)
def test_a_lead_may_not_add_a_member_who_would_get_more_than_the_lead_may_give(
    has: str,
    has_for: timedelta | None,
    holds: str,
    holds_for: timedelta | None,
    may: bool,
    run: Run,
    two_versions: None,
) -> None:
    revoke(run, "view to lab-1")
    give(run, "os", f"{has} to lab-1", expires=AT + has_for if has_for else None)
    give(run, "os", f"{holds} to lea", expires=AT + holds_for if holds_for else None)
    if may:
        with as_delegate(run, "lea") as change:
            assert groups.add_member(change, "lab-1", email_of("led"))
        return
    with refused(NotAllowed, email_of("lea")), as_delegate(run, "lea") as change:
        groups.add_member(change, "lab-1", email_of("led"))


def _succeed(run: Run) -> None:
    give(run, "os", "manage to cy")
    run(groups.add_member, "lab-1", email_of("cy"), leads=True)
    run(offboarding.offboard, email_of("lea"))


def _put_in(run: Run) -> None:
    assert run(groups.add_member, "lab-1", email_of("led"))
    assert not run(groups.add_member, "lab-1", email_of("led"))
    revoke(run, "manage to lea")


STAYS = {
    "nothing": (lambda run: None, True),
    "lea's manage goes": (lambda run: revoke(run, "manage to lea"), False),
    "lea's manage is to end sooner": (lambda run: give(run, "os", "manage to lea", expires=AT + HOUR), False),
    "lea leads no more": (lambda run: run(groups.add_member, "lab-1", email_of("lea"), leads=False), False),
    "another leads it, and lea goes": (_succeed, True),
    "an operator puts them in too": (_put_in, True),
    "the group is given more": (lambda run: give(run, "os", "admin to lab-1", at=AT + HOUR), True),
    "what the group has is to last longer": (lambda run: give(run, "os", "view@v1 to lab-1", at=AT + HOUR), True),
}


@pytest.mark.parametrize("event", STAYS)
def test_a_member_added_by_a_lead_stays_while_some_lead_may_add_them(event: str, run: Run, two_versions: None) -> None:
    give(run, "os", "view@v1 to lab-1", expires=AT + DAY)
    give(run, "os", "manage to lea")
    with as_delegate(run, "lea") as change:
        groups.add_member(change, "lab-1", email_of("led"))
    do, stays = STAYS[event]
    do(run)
    assert ("lab-1" in run.snapshot(email_of("led")).groups) == stays
    assert delegated_grants.count_unsupported(run.database) == 0


def test_a_lead_may_not_remove_another_lead(run: Run, two_versions: None) -> None:
    give(run, "os", "manage to lea")
    run(groups.add_member, "lab-1", email_of("bo"), leads=True)
    with refused(NotAllowed, "decide who leads"), as_delegate(run, "lea") as change:
        groups.remove_member(change, "lab-1", email_of("bo"))
    with as_delegate(run, "lea") as change:
        assert groups.remove_member(change, "lab-1", email_of("lea"))
