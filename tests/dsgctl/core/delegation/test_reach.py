"""Nobody passes on more than what reaches themselves: version, service, level, time; nor a public dataset's view."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from dsgctl.core import (
    acceptances,
    datasets,
    delegation,
    grants,
    groups,
    terms,
    users,
)
from dsgctl.core.delegation_support import Reach
from dsgctl.core.errors import NotAllowed
from dsgctl.core.grant_targets import Target
from dsgctl.core.transaction import begin_change
from tests.dsgctl.core.builders import AT, DAY, Run, refused
from tests.dsgctl.core.delegation.lab import HOUR, email_of, give, list_ends, revoke, subject_of

# What lea, who leads lab-1, holds; what she gives; whether she may.
REACH = [
    ("manage", "view@v1 lab-1 to bo", True),
    ("manage", "view lab-1 to bo", True),
    ("manage", "view to bo", False),
    ("manage@v1", "view@v1 lab-1 to bo", True),
    ("manage@v1", "manage@v1 lab-1 to bo", True),
    ("manage@v1", "view lab-1 to bo", False),
    ("manage@v1", "view@v2 lab-1 to bo", False),
    ("manage@v1", "admin@v1 lab-1 to bo", False),
    ("manage@v1", "view@v1 to bo", False),
    ("manage@v1", "view@v1 lab-1 to lea", True),
    ("manage@v1", "manage lab-1 to lea", False),
    ("manage@v1", "manage@v2 lab-1 to lea", False),
    ("manage@v1", "edit@v1 lab-1 to lab-1", True),
    ("manage@v1", "edit lab-1 to lab-1", False),
    ("manage@v1", "view@v1 lab-1 to led", False),
    ("admin@v1", "view@v1 to led", True),
    ("admin@v1", "admin@v1 to led", True),
    ("admin@v1", "view to led", False),
    ("admin@v1", "view@v2 to led", False),
    ("admin@v1", "admin to lea", False),
    ("admin@v1", "view lab-1 to bo", False),
    ("admin", "admin@v2 to led", True),
    ("edit", "view lab-1 to bo", False),
    ("edit@v1", "view@v1 lab-1 to bo", False),
    ("admin/neuprint", "admin/neuprint to led", True),
    ("admin/neuprint", "view@v1/neuprint to led", True),
    ("admin/neuprint", "view to led", False),
    ("admin/neuprint", "view/clio to led", False),
    ("admin/neuprint", "view@v1/clio to led", False),
    ("admin/neuprint", "admin to lea", False),
    ("admin", "view/clio to led", True),
    ("admin@v1", "view@v1/clio to led", True),
    ("admin@v1", "view/clio to led", False),
    ("admin@v1/clio", "view@v1/clio to led", True),
    ("admin@v1/clio", "view@v1 to led", False),
    ("admin@v1/clio", "view/clio to led", False),
    ("admin@v1/clio", "view@v2/clio to led", False),
    ("manage/clio", "edit/clio lab-1 to bo", True),
    ("manage/clio", "view lab-1 to bo", False),
    ("manage/clio", "view/neuprint lab-1 to bo", False),
    ("manage/clio", "admin/clio lab-1 to bo", False),
    ("manage", "view/clio lab-1 to lab-1", True),
    ("edit/clio", "view/clio lab-1 to bo", False),
]


@pytest.mark.parametrize(("holds", "gives", "may"), REACH)
def test_a_permission_on_one_version_or_for_one_service_delegates_that_only(
    holds: str, gives: str, may: bool, run: Run, two_versions: None
) -> None:
    give(run, "os", f"{holds} to lea")
    if may:
        give(run, "lea", gives)
        return
    before = run.content()
    with refused(NotAllowed, email_of("lea")):
        give(run, "lea", gives)
    assert run.content() == before


def test_an_admin_for_one_service_knows_the_dataset_and_sees_the_grants_for_that_service(
    run: Run, two_versions: None
) -> None:
    give(run, "os", "admin/clio to cy")
    give(run, "os", "view/clio to bo")
    give(run, "os", "view/neuprint to bo")
    delegate = delegation.find_delegate(email_of("cy"), run.database, AT)
    assert delegate.may_know("fish2") and delegate.manages("fish2")
    assert not delegate.administers("fish2") and not delegate.may_oversee_others("fish2")
    rows = grants.list_grants(run.database, dataset="fish2", subject=subject_of(run, "bo"), delegate=delegate)
    assert [row["service"] for row in rows] == ["clio"]
    for service in ("neuprint", None):
        with refused(NotAllowed, f"for {service or 'every service'}", "name a service: --service clio"):
            delegate.require_grant("fish2", Reach("view", None, service), None, (None, None))


@pytest.mark.parametrize("permission", ["view", "edit", "manage"])
def test_a_read_only_account_passes_on_view_alone(permission: str, run: Run) -> None:
    run(users.set_attributes, email_of("lea"), read_only=True)
    if permission == "view":
        give(run, "lea", "view lab-1 to bo")
    else:
        with refused(NotAllowed, "more than they have there themselves"):
            give(run, "lea", f"{permission} lab-1 to bo")


@pytest.mark.parametrize(
    ("expires", "ends"), [(None, AT + HOUR), (AT + DAY, AT + HOUR), (AT + HOUR / 2, AT + HOUR / 2)]
)
@pytest.mark.parametrize("who", ["bo", "lea", "lab-1"])
def test_a_delegated_grant_ends_no_later_than_its_givers_own(
    who: str, expires: datetime | None, ends: datetime, run: Run, two_versions: None
) -> None:
    give(run, "os", "manage to lea", expires=AT + HOUR)
    give(run, "lea", f"edit lab-1 to {who}", expires=expires)
    assert list_ends(run, who)["edit"] == ends
    give(run, "lea", f"edit lab-1 to {who}", expires=expires)  # again: nothing changes
    assert list_ends(run, who)["edit"] == ends


def test_a_delegate_shortens_an_operators_grant_only_explicitly_and_never_lengthens_it(
    run: Run, two_versions: None
) -> None:
    give(run, "os", "manage to lea", expires=AT + HOUR)
    give(run, "os", "view lab-1 to bo", expires=AT + DAY)
    before = run.content()
    for expires in (None, AT + 2 * DAY, AT + DAY):
        give(run, "lea", "view lab-1 to bo", expires=expires)
        assert run.content() == before
    give(run, "lea", "view lab-1 to bo", expires=AT + HOUR / 2)
    assert list_ends(run, "bo")["view"] == AT + HOUR / 2


# Who gives bo ``view`` on the public fish2 after an operator took it away, or takes it where bo has it by nobody
# else: whether bo gets it by accepting the next terms, when nobody holds what lets them give any more.
SELF_SERVICE = {
    "an operator took it": ([("os", "revoke view to bo")], False),
    "an operator gives it again": ([("os", "revoke view to bo"), ("os", "give view to bo")], True),
    "a lead gives it": ([("os", "revoke view to bo"), ("lea", "give view lab-1 to bo")], False),
    "a lead gives edit": ([("os", "revoke view to bo"), ("lea", "give edit lab-1 to bo")], False),
    "a dataset admin gives it": ([("os", "revoke view to bo"), ("ada", "give view to bo")], False),
    "an operator gives it after a lead": (
        [("os", "revoke view to bo"), ("lea", "give view lab-1 to bo"), ("os", "give view lab-1 to bo")],
        True,
    ),
    "a lead takes what is scoped": ([("lea", "give view lab-1 to bo"), ("lea", "revoke view lab-1 to bo")], True),
    "a dataset admin takes it": ([("ada", "revoke view to bo")], False),
    "what a lead gives is there": ([("lea", "give view lab-1 to bo")], True),
    "what an admin gives is there": ([("ada", "give view to bo")], True),
}


@pytest.mark.parametrize("case", SELF_SERVICE)
def test_a_delegate_does_not_decide_about_the_view_of_a_public_dataset(case: str, run: Run, two_versions: None) -> None:
    steps, comes_back = SELF_SERVICE[case]
    run(datasets.set_attributes, "fish2", public=True)
    give(run, "os", "manage to lea")
    if steps[0][1].startswith("revoke"):
        give(run, "os", "view to bo")
    for by, step in steps:
        verb, _, words = step.partition(" ")
        if verb == "give":
            give(run, by, words)
            continue
        place, _, who = words.rpartition(" to ")
        permission, _, scope = place.partition(" ")
        delegate = None if by == "os" else partial(delegation.find_delegate, email_of(by))
        with begin_change(run.database, f"user:{by}", at=AT, delegate=delegate) as change:
            grants.revoke(change, subject_of(run, who), Target("fish2", permission, scope=scope or None))
    run(acceptances.accept, run(terms.add, "Rules", "Be kind.", dataset="fish2")[0].id, email_of("bo"))
    revoke(run, "manage to lea")
    run(users.remove, email_of("ada"))
    run(grants.revoke, subject_of(run, "lab-1"), Target("fish2", "view"))
    assert ("view" in list_ends(run, "bo")) is comes_back


@pytest.mark.parametrize("behind", [timedelta(), timedelta(minutes=4), -timedelta(minutes=4)])
def test_a_clock_that_goes_back_does_not_make_a_grant_later(behind: timedelta, run: Run, two_versions: None) -> None:
    """What the group had when somebody was put in has to be what a lead may give, whatever the clock said."""
    give(run, "os", "manage to lea")
    give(run, "os", "edit to lab-1", at=AT)
    run(users.add, email_of("new"))
    delegate = partial(delegation.find_delegate, email_of("lea"))
    with begin_change(run.database, "user:lea", at=AT - behind, delegate=delegate) as change:
        groups.add_member(change, "lab-1", email_of("new"))
    revoke(run, "manage to lea")
    assert email_of("new") not in groups.show(run.database, "lab-1")["members"]
