"""Who may decide what without being an operator: one table, run through the functions that make the changes."""

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial

import pytest

from dsgctl.core import (
    acceptances,
    datasets,
    delegated_grants,
    delegation,
    grants,
    groups,
    locations,
    offboarding,
    service_accounts,
    terms,
    tokens,
    users,
    versions,
)
from dsgctl.core.change import Change
from dsgctl.core.errors import NotAllowed
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject
from dsgctl.core.transaction import begin_change
from tests.dsgctl.core.builders import AT, DAY, Run, refused

# root manages the gateway; ada is admin of fish2 through a group; lea leads lab-1 and has manage on fish2;
# led leads lab-2 and has edit there; bo is in lab-1, cy in none; gone leads lab-1 with manage, and is disabled.
PEOPLE = ("root", "ada", "lea", "led", "bo", "cy", "gone")


def _email(name: str) -> str:
    return f"{name}@x.org"


@pytest.fixture(autouse=True)
def lab(run: Run) -> None:
    for name in PEOPLE:
        run(users.add, _email(name), admin=name == "root")
    for group in ("lab-1", "lab-2", "owners", "powerful"):
        run(groups.add, group)
    for dataset in ("fish2", "fly"):
        run(datasets.add, dataset)
    for group, name, leads in (
        ("lab-1", "lea", True),
        ("lab-2", "led", True),
        ("lab-1", "bo", False),
        ("owners", "ada", False),
        ("lab-1", "gone", True),
        ("powerful", "lea", True),
    ):
        run(groups.add_member, group, _email(name), leads=leads)
    run(grants.add, group_subject(run.database, "owners"), Target("fish2", "admin"))
    run(grants.add, group_subject(run.database, "lab-1"), Target("fish2", "view"))
    run(grants.add, group_subject(run.database, "powerful"), Target("fish2", "admin"), expires=AT - DAY)
    for name, permission in (("lea", "manage"), ("led", "edit"), ("gone", "manage")):
        run(grants.add, principal_subject(users.find(run.database, _email(name))), Target("fish2", permission))
    run(users.set_active, _email("gone"), False)


def _decide(change: Change, command: str) -> None:
    """``grant PERMISSION DATASET [SCOPE] to WHO`` and ``revoke``; ``join GROUP WHO``, ``lead`` and ``leave``."""
    verb, *words = command.split()
    if verb in ("grant", "revoke"):
        *place, _, who = words
        subject = (
            group_subject(change.database, who)
            if who.startswith("lab")
            else principal_subject(users.find(change.database, _email(who)))
        )
        target = Target(place[1], place[0], scope=place[2] if len(place) > 2 else None)
        if verb == "grant":
            grants.add(change, subject, target)
        else:
            grants.revoke(change, subject, target)
    elif verb == "leave":
        groups.remove_member(change, words[0], _email(words[1]))
    else:
        groups.add_member(change, words[0], _email(words[1]), leads=True if verb == "lead" else None)


def _as(run: Run, name: str, *, dry_run: bool = False) -> AbstractContextManager[Change]:
    delegate = partial(delegation.find_delegate, _email(name))
    return begin_change(run.database, f"user:{_email(name)}", at=AT, dry_run=dry_run, delegate=delegate)


# What is tried -> who may.
TABLE = {
    "grant view fish2 to cy": "root ada",
    "grant admin fish2 to cy": "root ada",
    "grant edit fish2 to lab-2": "root ada",
    "revoke view fish2 to lab-1": "root ada",
    "revoke manage fish2 to lea": "root ada",
    "grant view fly to cy": "root",
    "grant view fish2 lab-1 to bo": "root ada lea",
    "grant manage fish2 lab-1 to bo": "root ada lea",
    "grant edit fish2 lab-1 to lab-1": "root ada lea",
    "grant admin fish2 lab-1 to bo": "root ada",
    "grant other fish2 lab-1 to bo": "root ada",
    "grant view fish2 lab-1 to cy": "root ada",
    "grant view fish2 lab-2 to led": "root ada",
    "grant view fly lab-1 to bo": "root",
    "join lab-1 cy": "root lea",
    "leave lab-1 bo": "root lea",
    "join lab-2 cy": "root",
    "leave lab-2 led": "root",
    "lead lab-1 bo": "root",
    "join powerful cy": "root",
    "leave powerful lea": "root lea",
    "join owners cy": "root",
}


@pytest.mark.parametrize("command", TABLE)
def test_each_person_may_make_the_changes_of_the_table(command: str, run: Run) -> None:
    before = run.content()
    for name in PEOPLE:
        allowed = name in TABLE[command].split()
        try:
            with _as(run, name, dry_run=True) as change:
                _decide(change, command)
            succeeded = True
        except NotAllowed as error:
            assert error.hint
            succeeded = False
        assert succeeded == allowed, name
    assert run.content() == before


OTHER_CHANGES = {
    "add a user": lambda change: users.add(change, "new@x.org"),
    "become an admin": lambda change: users.set_attributes(change, _email("ada"), admin=True),
    "disable somebody": lambda change: users.set_active(change, _email("bo"), False),
    "remove somebody": lambda change: users.remove(change, _email("bo")),
    "add a group": lambda change: groups.add(change, "lab-9"),
    "remove a group": lambda change: groups.remove(change, "lab-1"),
    "open a dataset": lambda change: datasets.set_attributes(change, "fish2", public=True),
    "move a dataset": lambda change: locations.add(change, "fish2", "gs://other-bucket/"),
    "change terms": lambda change: terms.add(change, "New", "x", dataset="fish2"),
    "mint a token": lambda change: tokens.mint(change, users.find(change.database, _email("root"))),
    "make an account": lambda change: service_accounts.add(change, "bot"),
}


@pytest.mark.parametrize("case", OTHER_CHANGES)
def test_every_other_change_is_refused(case: str, run: Run) -> None:
    before = run.content()
    for name in ("ada", "lea", "cy"):
        with refused(NotAllowed, _email(name), "an operator does"), _as(run, name) as change:
            OTHER_CHANGES[case](change)
    assert run.content() == before
    with _as(run, "root") as change:
        OTHER_CHANGES[case](change)


def test_a_delegate_may_decide_only_while_they_have_access(run: Run) -> None:
    ada = "grant view fish2 to cy"
    with _as(run, "ada") as change:
        _decide(change, ada)
    document, _ = run(terms.add, "Rules", "x", dataset="fish2")  # which ada has not accepted
    with refused(NotAllowed), _as(run, "ada") as change:
        _decide(change, "revoke view fish2 to cy")
    run(acceptances.accept, document.id, _email("ada"))
    run(groups.remove_member, "owners", _email("ada"))
    with refused(NotAllowed), _as(run, "ada") as change:
        _decide(change, "revoke view fish2 to cy")


@pytest.mark.parametrize("email", [_email("gone"), _email("nobody"), "", "robot"])
def test_a_person_without_an_active_account_is_refused_as_a_delegate(email: str, run: Run) -> None:
    with refused(NotAllowed, "nobody may act as"):
        delegation.find_delegate(email, run.database, AT)


# What is given lasts no longer and reaches no further than what its giver holds


HOUR = DAY / 24


def _subject(run: Run, who: str) -> Subject:
    if who.startswith("lab"):
        return group_subject(run.database, who)
    return principal_subject(users.find(run.database, _email(who)))


def _give(run: Run, by: str, grant: str, *, expires: datetime | None = None, at: datetime = AT) -> None:
    """``PERMISSION[@VERSION] [SCOPE] to WHO`` on fish2; by an operator for ``os``."""
    *place, _, who = grant.split()
    permission, _, version = place[0].partition("@")
    target = Target("fish2", permission, version or None, place[1] if len(place) > 1 else None)
    delegate = None if by == "os" else partial(delegation.find_delegate, _email(by))
    with begin_change(run.database, f"user:{by}", at=at, delegate=delegate) as change:
        grants.add(change, _subject(run, who), target, expires=expires, for_ever=True)


def _list_ends(run: Run, who: str) -> dict[str, datetime | None]:
    """The grants on fish2 that somebody has directly, and when each ends."""
    rows = grants.list_grants(run.database, dataset="fish2", subject=_subject(run, who))
    return {f"{row['permission']}@{row['version']}".removesuffix("@None"): row["expires"] for row in rows}


@pytest.fixture
def two_versions(run: Run) -> None:
    for version in ("v1", "v2"):
        run(versions.add, "fish2", version)
    run(groups.add_member, "lab-1", _email("cy"))
    run(users.remove, _email("gone"))
    _revoke(run, "manage to lea")


def _revoke(run: Run, grant: str) -> None:
    permission, _, who = grant.split()
    permission, _, version = permission.partition("@")
    run(grants.revoke, _subject(run, who), Target("fish2", permission, version or None))


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
]


@pytest.mark.parametrize(("holds", "gives", "may"), REACH)
def test_a_permission_on_one_version_delegates_that_version_only(
    holds: str, gives: str, may: bool, run: Run, two_versions: None
) -> None:
    _give(run, "os", f"{holds} to lea")
    if may:
        _give(run, "lea", gives)
        return
    before = run.content()
    with refused(NotAllowed, _email("lea")):
        _give(run, "lea", gives)
    assert run.content() == before


@pytest.mark.parametrize("permission", ["view", "edit", "manage"])
def test_a_read_only_account_passes_on_view_alone(permission: str, run: Run) -> None:
    run(users.set_attributes, _email("lea"), read_only=True)
    if permission == "view":
        _give(run, "lea", "view lab-1 to bo")
    else:
        with refused(NotAllowed, "more than they have there themselves"):
            _give(run, "lea", f"{permission} lab-1 to bo")


@pytest.mark.parametrize(
    ("expires", "ends"), [(None, AT + HOUR), (AT + DAY, AT + HOUR), (AT + HOUR / 2, AT + HOUR / 2)]
)
@pytest.mark.parametrize("who", ["bo", "lea", "lab-1"])
def test_a_delegated_grant_ends_no_later_than_its_givers_own(
    who: str, expires: datetime | None, ends: datetime, run: Run, two_versions: None
) -> None:
    _give(run, "os", "manage to lea", expires=AT + HOUR)
    _give(run, "lea", f"edit lab-1 to {who}", expires=expires)
    assert _list_ends(run, who)["edit"] == ends
    _give(run, "lea", f"edit lab-1 to {who}", expires=expires)  # again: nothing changes
    assert _list_ends(run, who)["edit"] == ends


def test_a_delegate_shortens_an_operators_grant_only_explicitly_and_never_lengthens_it(
    run: Run, two_versions: None
) -> None:
    _give(run, "os", "manage to lea", expires=AT + HOUR)
    _give(run, "os", "view lab-1 to bo", expires=AT + DAY)
    before = run.content()
    for expires in (None, AT + 2 * DAY, AT + DAY):
        _give(run, "lea", "view lab-1 to bo", expires=expires)
        assert run.content() == before
    _give(run, "lea", "view lab-1 to bo", expires=AT + HOUR / 2)
    assert _list_ends(run, "bo")["view"] == AT + HOUR / 2


# lea gives manage to bo, who then leads lab-1 too and gives view to cy, and cy's gives falls or ends with what is done.
FALLS = {
    "revoke lea's": (lambda run: _revoke(run, "manage to lea"), None),
    "shorten lea's": (lambda run: _give(run, "os", "manage to lea", expires=AT + HOUR), AT + HOUR),
    "remove lea": (lambda run: run(users.remove, _email("lea")), None),
    "offboard lea": (lambda run: run(offboarding.offboard, _email("lea")), None),
    "lea leads no more": (lambda run: run(groups.add_member, "lab-1", _email("lea"), leads=False), None),
    "lea leaves": (lambda run: run(groups.remove_member, "lab-1", _email("lea")), None),
    "bo leads no more": (lambda run: run(groups.add_member, "lab-1", _email("bo"), leads=False), None),
    "bo leaves": (lambda run: run(groups.remove_member, "lab-1", _email("bo")), None),
    "cy leaves": (lambda run: run(groups.remove_member, "lab-1", _email("cy")), None),
    "the group goes": (lambda run: run(groups.remove, "lab-1"), None),
    "lea is read-only": (lambda run: run(users.set_attributes, _email("lea"), read_only=True), None),
    "lea is disabled": (lambda run: run(users.set_active, _email("lea"), False), "stays"),
    "terms wait": (lambda run: run(terms.add, "Rules", "x", dataset="fish2"), "stays"),
    "an operator gives bo the same": (lambda run: _adopt(run, "manage lab-1 to bo"), "stays"),
    "an operator gives cy the same": (lambda run: _adopt(run, "view lab-1 to cy"), "stays"),
    "lea gets more": (lambda run: _give(run, "os", "admin to lea"), "stays"),
}


def _adopt(run: Run, grant: str) -> None:
    _give(run, "os", grant)
    _revoke(run, "manage to lea")


@pytest.mark.parametrize("event", FALLS)
def test_a_delegated_grant_ends_with_its_support_and_is_recorded(event: str, run: Run, two_versions: None) -> None:
    _give(run, "os", "manage to lea")
    _give(run, "lea", "manage lab-1 to bo")
    run(groups.add_member, "lab-1", _email("bo"), leads=True)
    _give(run, "bo", "view lab-1 to cy")
    do, ends = FALLS[event]
    before = len(run.records())
    do(run)
    ends_by_permission = _list_ends(run, "cy")
    assert ends_by_permission == ({"view": None} if ends == "stays" else {} if ends is None else {"view": ends})
    records = [record for record in run.records()[before:] if record["target"] == f"dataset:fish2 user:{_email('cy')}"]
    fell = event not in ("the group goes", "an operator gives cy the same") and ends != "stays"
    assert [record["action"] for record in records if fell] == (
        ["grant.set" if ends else "grant.revoke"] if fell else []
    )
    assert all((record["after"] or {}).get("because") for record in records if fell)
    assert delegated_grants.count_unsupported(run.database) == 0


def test_two_delegates_who_gave_to_each_other_both_lose_their_grants(run: Run, two_versions: None) -> None:
    _give(run, "os", "admin to lea")
    _give(run, "lea", "admin to bo")
    _give(run, "bo", "admin@v1 to lea")
    _give(run, "bo", "manage to lea")
    _revoke(run, "admin to lea")
    assert (_list_ends(run, "lea"), _list_ends(run, "bo")) == ({}, {})


@pytest.mark.parametrize("how", ["removed", "offboarded", "by the shell", "by its lead"])
def test_leaving_a_group_ends_the_grants_scoped_to_it(how: str, run: Run, two_versions: None) -> None:
    _give(run, "os", "edit lab-1 to bo")
    _give(run, "os", "view@v1 to bo")
    if how == "by the shell":
        shell = "DELETE FROM memberships WHERE principal_id = (SELECT id FROM principals WHERE email = 'bo@x.org')"
        with run.database.transaction():
            run.database.script(shell)
    elif how == "by its lead":
        _give(run, "os", "manage to lea")
        with _as(run, "lea") as change:
            groups.remove_member(change, "lab-1", _email("bo"))
    elif how == "removed":
        run(groups.remove_member, "lab-1", _email("bo"))
    else:
        run(offboarding.offboard, _email("bo"))
    assert "edit" not in _list_ends(run, "bo")
    if how == "removed":
        assert "grant.revoke dataset:fish2 user:bo@x.org" in run.actions()[-2:]
        assert _list_ends(run, "bo") == {"view@v1": None}


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
    _revoke(run, "view to lab-1")
    _give(run, "os", f"{has} to lab-1", expires=AT + has_for if has_for else None)
    _give(run, "os", f"{holds} to lea", expires=AT + holds_for if holds_for else None)
    if may:
        with _as(run, "lea") as change:
            assert groups.add_member(change, "lab-1", _email("led"))
        return
    with refused(NotAllowed, _email("lea")), _as(run, "lea") as change:
        groups.add_member(change, "lab-1", _email("led"))


def _succeed(run: Run) -> None:
    _give(run, "os", "manage to cy")
    run(groups.add_member, "lab-1", _email("cy"), leads=True)
    run(offboarding.offboard, _email("lea"))


def _put_in(run: Run) -> None:
    assert run(groups.add_member, "lab-1", _email("led"))
    assert not run(groups.add_member, "lab-1", _email("led"))
    _revoke(run, "manage to lea")


STAYS = {
    "nothing": (lambda run: None, True),
    "lea's manage goes": (lambda run: _revoke(run, "manage to lea"), False),
    "lea's manage is to end sooner": (lambda run: _give(run, "os", "manage to lea", expires=AT + HOUR), False),
    "lea leads no more": (lambda run: run(groups.add_member, "lab-1", _email("lea"), leads=False), False),
    "another leads it, and lea goes": (_succeed, True),
    "an operator puts them in too": (_put_in, True),
    "the group is given more": (lambda run: _give(run, "os", "admin to lab-1", at=AT + HOUR), True),
    "what the group has is to last longer": (lambda run: _give(run, "os", "view@v1 to lab-1", at=AT + HOUR), True),
}


@pytest.mark.parametrize("event", STAYS)
def test_a_member_added_by_a_lead_stays_while_some_lead_may_add_them(event: str, run: Run, two_versions: None) -> None:
    _give(run, "os", "view@v1 to lab-1", expires=AT + DAY)
    _give(run, "os", "manage to lea")
    with _as(run, "lea") as change:
        groups.add_member(change, "lab-1", _email("led"))
    do, stays = STAYS[event]
    do(run)
    assert ("lab-1" in run.snapshot(_email("led")).groups) == stays
    assert delegated_grants.count_unsupported(run.database) == 0


def test_a_lead_may_not_remove_another_lead(run: Run, two_versions: None) -> None:
    _give(run, "os", "manage to lea")
    run(groups.add_member, "lab-1", _email("bo"), leads=True)
    with refused(NotAllowed, "decide who leads"), _as(run, "lea") as change:
        groups.remove_member(change, "lab-1", _email("bo"))
    with _as(run, "lea") as change:
        assert groups.remove_member(change, "lab-1", _email("lea"))


def test_the_next_change_ends_what_a_change_by_the_shell_left_unsupported(run: Run, two_versions: None) -> None:
    _give(run, "os", "manage to lea")
    _give(run, "lea", "view lab-1 to bo")
    with run.database.transaction():
        run.database.script(
            "DELETE FROM grants WHERE permission = 'manage' AND source = 'manual' AND delegate_id IS NULL"
        )
    assert delegated_grants.count_unsupported(run.database) == 1
    run(groups.add, "anything")
    assert delegated_grants.count_unsupported(run.database) == 0
    assert _list_ends(run, "bo") == {}


def test_a_change_without_delegated_grants_reads_no_support(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("everything was read although nothing was given")

    monkeypatch.setattr(delegated_grants, "Support", fail)
    run(groups.add, "anything")


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
    _give(run, "os", "manage to lea")
    if steps[0][1].startswith("revoke"):
        _give(run, "os", "view to bo")
    for by, step in steps:
        verb, _, words = step.partition(" ")
        if verb == "give":
            _give(run, by, words)
            continue
        place, _, who = words.rpartition(" to ")
        permission, _, scope = place.partition(" ")
        delegate = None if by == "os" else partial(delegation.find_delegate, _email(by))
        with begin_change(run.database, f"user:{by}", at=AT, delegate=delegate) as change:
            grants.revoke(change, _subject(run, who), Target("fish2", permission, scope=scope or None))
    run(acceptances.accept, run(terms.add, "Rules", "Be kind.", dataset="fish2")[0].id, _email("bo"))
    _revoke(run, "manage to lea")
    run(users.remove, _email("ada"))
    run(grants.revoke, _subject(run, "lab-1"), Target("fish2", "view"))
    assert ("view" in _list_ends(run, "bo")) is comes_back


@pytest.mark.parametrize("behind", [timedelta(), timedelta(minutes=4), -timedelta(minutes=4)])
def test_a_clock_that_goes_back_does_not_make_a_grant_later(behind: timedelta, run: Run, two_versions: None) -> None:
    """What the group had when somebody was put in has to be what a lead may give, whatever the clock said."""
    _give(run, "os", "manage to lea")
    _give(run, "os", "edit to lab-1", at=AT)
    run(users.add, _email("new"))
    delegate = partial(delegation.find_delegate, _email("lea"))
    with begin_change(run.database, "user:lea", at=AT - behind, delegate=delegate) as change:
        groups.add_member(change, "lab-1", _email("new"))
    _revoke(run, "manage to lea")
    assert _email("new") not in groups.show(run.database, "lab-1")["members"]


# What bo has scoped to lab-1 -> how many of the endings lea is told of when she takes bo out.
COUNTED = {
    "nothing": ([], 0),
    "what she may see": ([Target("fish2", "view", scope="lab-1")], 1),
    "on a dataset that she may not know of": ([Target("fly", "view", scope="lab-1")], 0),
    "above what she decides about": ([Target("fish2", "admin", scope="lab-1")], 0),
    "both": ([Target("fish2", "view", scope="lab-1"), Target("fly", "admin", scope="lab-1")], 1),
}


@pytest.mark.parametrize("case", COUNTED)
def test_the_number_of_ended_grants_counts_only_those_that_the_delegate_may_see(case: str, run: Run) -> None:
    targets, count = COUNTED[case]
    for target in targets:
        run(grants.add, _subject(run, "bo"), target)
    with _as(run, "lea") as change:
        groups.remove_member(change, "lab-1", _email("bo"))
    assert change.consequences == count
    assert not list(grants.list_grants(run.database, subject=_subject(run, "bo")))  # all of it ends
