"""Who may decide what without being an operator: one table, run through the functions that make the changes."""

from contextlib import AbstractContextManager
from functools import partial

import pytest

from dsgctl.core import datasets, delegation, grants, groups, service_accounts, terms, tokens, users
from dsgctl.core.change import Change, change
from dsgctl.core.errors import NotAllowed
from dsgctl.core.grants import Target, group_subject, principal_subject
from tests.core.builders import AT, DAY, Run, refused

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
        ("lab-1", "lea", True), ("lab-2", "led", True), ("lab-1", "bo", False), ("owners", "ada", False),
        ("lab-1", "gone", True), ("powerful", "lea", True),
    ):  # fmt: skip
        run(groups.add_member, group, _email(name), leads=leads)
    run(grants.add, group_subject(run.database, "owners"), Target("fish2", "admin"))
    run(grants.add, group_subject(run.database, "lab-1"), Target("fish2", "view"))
    run(grants.add, group_subject(run.database, "powerful"), Target("fish2", "admin"), expires=AT - DAY)
    for name, permission in (("lea", "manage"), ("led", "edit"), ("gone", "manage")):
        run(grants.add, principal_subject(users.find(run.database, _email(name))), Target("fish2", permission))
    run(users.set_active, _email("gone"), False)


def _do(opened: Change, what: str) -> None:
    """``grant PERMISSION DATASET [SCOPE] to WHO`` and ``revoke``; ``join GROUP WHO``, ``lead`` and ``leave``."""
    verb, *words = what.split()
    if verb in ("grant", "revoke"):
        *place, _, who = words
        subject = (
            group_subject(opened.database, who)
            if who.startswith("lab") else principal_subject(users.find(opened.database, _email(who)))
        )  # fmt: skip
        target = Target(place[1], place[0], scope=place[2] if len(place) > 2 else None)
        if verb == "grant":
            grants.add(opened, subject, target)
        else:
            grants.revoke(opened, subject, target)
    elif verb == "leave":
        groups.remove_member(opened, words[0], _email(words[1]))
    else:
        groups.add_member(opened, words[0], _email(words[1]), leads=True if verb == "lead" else None)


def _as(run: Run, name: str, *, dry_run: bool = False) -> AbstractContextManager[Change]:
    whom = partial(delegation.of_person, _email(name))
    return change(run.database, f"user:{_email(name)}", at=AT, dry_run=dry_run, delegate=whom)


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


@pytest.mark.parametrize("what", TABLE)
def test_each_may_decide_what_is_theirs(what: str, run: Run) -> None:
    before = run.content()
    for name in PEOPLE:
        allowed = name in TABLE[what].split()
        try:
            with _as(run, name, dry_run=True) as opened:
                _do(opened, what)
            done = True
        except NotAllowed as error:
            assert error.hint
            done = False
        assert done == allowed, name
    assert run.content() == before


OTHER_CHANGES = {
    "add a user": lambda opened: users.add(opened, "new@x.org"),
    "become an admin": lambda opened: users.set_attributes(opened, _email("ada"), admin=True),
    "disable somebody": lambda opened: users.set_active(opened, _email("bo"), False),
    "remove somebody": lambda opened: users.remove(opened, _email("bo")),
    "add a group": lambda opened: groups.add(opened, "lab-9"),
    "remove a group": lambda opened: groups.remove(opened, "lab-1"),
    "open a dataset": lambda opened: datasets.set_attributes(opened, "fish2", public=True),
    "move a dataset": lambda opened: datasets.add_location(opened, "fish2", "gs://other-bucket/"),
    "change terms": lambda opened: terms.add(opened, "New", "x", dataset="fish2"),
    "mint a token": lambda opened: tokens.mint(opened, users.find(opened.database, _email("root"))),
    "make an account": lambda opened: service_accounts.add(opened, "bot"),
}


@pytest.mark.parametrize("what", OTHER_CHANGES)
def test_every_other_change_is_refused(what: str, run: Run) -> None:
    before = run.content()
    for name in ("ada", "lea", "cy"):
        with refused(NotAllowed, _email(name), "an operator does"), _as(run, name) as opened:
            OTHER_CHANGES[what](opened)
    assert run.content() == before
    with _as(run, "root") as opened:
        OTHER_CHANGES[what](opened)


def test_what_one_may_decide_ends_with_what_one_may_do(run: Run) -> None:
    ada = "grant view fish2 to cy"
    with _as(run, "ada") as opened:
        _do(opened, ada)
    document, _ = run(terms.add, "Rules", "x", dataset="fish2")  # which ada has not accepted
    with refused(NotAllowed), _as(run, "ada") as opened:
        _do(opened, "revoke view fish2 to cy")
    run(terms.accept, document.id, _email("ada"))
    run(groups.remove_member, "owners", _email("ada"))
    with refused(NotAllowed), _as(run, "ada") as opened:
        _do(opened, "revoke view fish2 to cy")


@pytest.mark.parametrize("email", [_email("gone"), _email("nobody"), "", "robot"])
def test_who_has_no_account_that_counts_is_not_let_in(email: str, run: Run) -> None:
    with refused(NotAllowed, "nobody is let in"):
        delegation.of_person(email, run.database, AT)
