"""Who may decide what without being an operator: one table, run through the functions that make the changes."""

import pytest

from dsgctl.core import (
    acceptances,
    datasets,
    delegation,
    grants,
    groups,
    locations,
    service_accounts,
    terms,
    tokens,
    users,
)
from dsgctl.core.change import Change
from dsgctl.core.errors import NotAllowed
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from tests.dsgctl.core.builders import AT, Run, refused
from tests.dsgctl.core.delegation.lab import PEOPLE, as_delegate, email_of


def _decide(change: Change, command: str) -> None:
    """``grant PERMISSION DATASET [SCOPE] to WHO`` and ``revoke``; ``join GROUP WHO``, ``lead`` and ``leave``."""
    verb, *words = command.split()
    if verb in ("grant", "revoke"):
        *place, _, who = words
        subject = (
            group_subject(change.database, who)
            if who.startswith("lab")
            else principal_subject(users.find(change.database, email_of(who)))
        )
        target = Target(place[1], place[0], scope=place[2] if len(place) > 2 else None)
        if verb == "grant":
            grants.add(change, subject, target)
        else:
            grants.revoke(change, subject, target)
    elif verb == "leave":
        groups.remove_member(change, words[0], email_of(words[1]))
    else:
        groups.add_member(change, words[0], email_of(words[1]), leads=True if verb == "lead" else None)


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
            with as_delegate(run, name, dry_run=True) as change:
                _decide(change, command)
            succeeded = True
        except NotAllowed as error:
            assert error.hint
            succeeded = False
        assert succeeded == allowed, name
    assert run.content() == before


OTHER_CHANGES = {
    "add a user": lambda change: users.add(change, "new@x.org"),
    "become an admin": lambda change: users.set_attributes(change, email_of("ada"), admin=True),
    "disable somebody": lambda change: users.set_active(change, email_of("bo"), False),
    "remove somebody": lambda change: users.remove(change, email_of("bo")),
    "add a group": lambda change: groups.add(change, "lab-9"),
    "remove a group": lambda change: groups.remove(change, "lab-1"),
    "open a dataset": lambda change: datasets.set_attributes(change, "fish2", public=True),
    "move a dataset": lambda change: locations.add(change, "fish2", "gs://other-bucket/"),
    "change terms": lambda change: terms.add(change, "New", "x", dataset="fish2"),
    "mint a token": lambda change: tokens.mint(change, users.find(change.database, email_of("root"))),
    "make an account": lambda change: service_accounts.add(change, "bot"),
}


@pytest.mark.parametrize("case", OTHER_CHANGES)
def test_every_other_change_is_refused(case: str, run: Run) -> None:
    before = run.content()
    for name in ("ada", "lea", "cy"):
        with refused(NotAllowed, email_of(name), "an operator does"), as_delegate(run, name) as change:
            OTHER_CHANGES[case](change)
    assert run.content() == before
    with as_delegate(run, "root") as change:
        OTHER_CHANGES[case](change)


def test_a_delegate_may_decide_only_while_they_have_access(run: Run) -> None:
    ada = "grant view fish2 to cy"
    with as_delegate(run, "ada") as change:
        _decide(change, ada)
    document, _ = run(terms.add, "Rules", "x", dataset="fish2")  # which ada has not accepted
    with refused(NotAllowed), as_delegate(run, "ada") as change:
        _decide(change, "revoke view fish2 to cy")
    run(acceptances.accept, document.id, email_of("ada"))
    run(groups.remove_member, "owners", email_of("ada"))
    with refused(NotAllowed), as_delegate(run, "ada") as change:
        _decide(change, "revoke view fish2 to cy")


@pytest.mark.parametrize("email", [email_of("gone"), email_of("nobody"), "", "robot"])
def test_a_person_without_an_active_account_is_refused_as_a_delegate(email: str, run: Run) -> None:
    with refused(NotAllowed, "nobody may act as"):
        delegation.find_delegate(email, run.database, AT)
