"""A person under another address: renamed by the provider, or added twice."""

from typing import Any

import pytest

from dsgctl.core import addresses, logins, new_users, user_queries, users, validation
from dsgctl.core.errors import Conflict, NotFound
from tests.dsgctl.core.builders import Run, add_people, refused

ISSUER = "https://accounts.google.com"
OLD, NEW = "ada@old.example.org", "ada@new.example.org"


def _sign_in(run: Run, email: str, subject: str = "1") -> Any:
    return run(logins.sign_in, logins.Identity(ISSUER, subject, email))[0]


@pytest.fixture
def run_after_rename(run: Run) -> Run:
    """Ada has signed in, and then under another address."""
    _sign_in(run, OLD)
    assert _sign_in(run, NEW).email == OLD
    return run


def test_another_address_of_a_known_identity_is_stored_shown_and_recorded_once(run_after_rename: Run) -> None:
    run = run_after_rename
    assert user_queries.show(run.database, OLD)["seen_email"] == NEW
    assert list(addresses.list_renamed(run.database)) == [(OLD, NEW)]
    before = [record for record in run.records() if record["action"] == "user.seen"]
    assert [(record["target"], record["before"], record["after"]) for record in before] == [
        (f"user:{OLD}", {"seen_email": None}, {"seen_email": NEW})
    ]
    _sign_in(run, NEW)
    assert len([record for record in run.records() if record["action"] == "user.seen"]) == 1


def test_the_case_of_an_address_is_no_other_address(run: Run) -> None:
    _sign_in(run, OLD)
    _sign_in(run, OLD.upper())
    assert "seen_email" not in user_queries.show(run.database, OLD)


def test_signing_in_with_the_old_address_again_clears_the_other_one(run_after_rename: Run) -> None:
    _sign_in(run_after_rename, OLD)
    assert not list(addresses.list_renamed(run_after_rename.database))


@pytest.mark.parametrize("address", [NEW, NEW.upper()])
def test_an_address_that_somebody_signs_in_with_cannot_be_added(run_after_rename: Run, address: str) -> None:
    run = run_after_rename
    with refused(Conflict, f"{OLD} signs in as {NEW} now", f"dsgctl user set {OLD} --email {NEW}"):
        run(users.add, address)
    run(users.add, "bo@example.org")
    with refused(Conflict, f"{OLD} signs in as {NEW} now"):
        run(users.set_attributes, "bo@example.org", new_email=address)
    with refused(NotFound, f"it is how {OLD} signs in now", f"dsgctl user set {OLD} --email {NEW}"):
        users.find(run.database, address)


@pytest.mark.parametrize("change", [{"new_email": NEW}, {"unbind": True}])
def test_changing_the_address_or_unbinding_the_identity_clears_the_other_one(
    run_after_rename: Run, change: dict[str, Any]
) -> None:
    run = run_after_rename
    assert run(users.set_attributes, OLD, **change)
    assert not list(addresses.list_renamed(run.database))
    run(users.add, NEW)  # there already, or nobody's


TWINS = [
    ("ken@gmail.com", "ken@googlemail.com", True),
    ("ken@gmail.com", "k.e.n@gmail.com", True),
    ("ken@gmail.com", "K.En+lab@GoogleMail.com", True),
    ("ken+a@example.org", "ken@example.org", True),
    ("ken+a@example.org", "ken+b@example.org", True),
    ("k.en@example.org", "ken@example.org", False),
    ("ken@gmail.com", "ken@example.org", False),
    ("ken@gmail.com", "kent@gmail.com", False),
    ("\u212aen@gmail.com", "ken@gmail.com", False),
]


@pytest.mark.parametrize(("first", "other", "alike"), TWINS)
def test_similar_addresses_are_reported_and_stay_two_accounts(run: Run, first: str, other: str, alike: bool) -> None:
    assert (validation.twin_key(first) == validation.twin_key(other)) is alike
    assert validation.twin_key(first) == validation.twin_key(first.upper()) or not first.isascii()
    for email in (first, other):
        run(add_people, [new_users.NewUser(validation.foreign_email(email), {})])
    assert addresses.list_twins(run.database) == ([[first, other]] if alike else [])
    assert addresses.list_twins(run.database, other) == ([[first]] if alike else [])
    assert users.find(run.database, first).id != users.find(run.database, other).id
