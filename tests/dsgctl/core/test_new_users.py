"""People added many at once, and found by their addresses, ids and identities."""

import pytest

from dsgctl.core import (
    new_users,
    user_queries,
    users,
    validation,
)
from dsgctl.core.errors import Invalid
from dsgctl.core.new_users import ForeignAccount, NewUser
from tests.dsgctl.core.builders import Run, add_people, refused


def test_one_invalid_person_among_many_adds_nobody(run: Run) -> None:
    people = [NewUser(f"u{number}@x.org", {}) for number in range(3)]
    with refused(Invalid):
        run(add_people, [*people, NewUser("not an address", {})])
    assert list(user_queries.list_users(run.database)) == []


def test_many_people_are_added_at_once_in_their_order(run: Run) -> None:
    people = [NewUser(f"U{number}@x.org", {"name": f"N{number}"}, ("HHMI",)) for number in range(1200)]
    run(add_people, people)
    emails = [row["email"] for row in user_queries.list_users(run.database)]
    assert emails == [person.email for person in people]
    assert user_queries.show(run.database, "u1199@x.org")["affiliations"] == ["HHMI"]
    assert len(run.actions()) == 1200


def test_many_people_are_found_by_address_regardless_of_case(run: Run) -> None:
    run(add_people, [NewUser(f"U{number}@x.org", {}) for number in range(1100)])
    addresses = [f"u{number}@X.ORG" for number in range(1100)] + ["nobody@x.org"]
    users_by_email = new_users.find_by_emails(run.database, addresses)
    assert len(users_by_email) == 1100
    assert users_by_email["u7@x.org"] == (users.find(run.database, "U7@x.org"), [])


@pytest.mark.parametrize("email", ["zoë@example.org", "sched uler@serviceaccount"])
def test_an_imported_person_keeps_an_address_of_any_form(run: Run, email: str) -> None:
    with refused(Invalid, "is not an email address"):
        run(add_people, [NewUser(email, {})])
    assert run(add_people, [NewUser(validation.foreign_email(email), {}, (), ForeignAccount(id=7))]) == [7]
    assert users.find(run.database, email.replace("e", "E")).id == 7  # case aside, of A to Z


def test_an_existing_person_is_found_by_id_address_or_identity(run: Run) -> None:
    people = [
        NewUser("a@x.org", {}, (), ForeignAccount(3)),
        NewUser("b@x.org", {}, (), ForeignAccount(4)),
        NewUser("c@x.org", {}, (), ForeignAccount(5, issuer="https://a.example", subject="s")),
        NewUser("d@x.org", {}, (), ForeignAccount(6, issuer="https://a.example", subject="t")),
    ]
    run(add_people, people)

    def among(id: int, email: str, issuer: str | None = None, subject: str | None = None) -> set[int]:
        person = NewUser(email, {}, (), ForeignAccount(id, issuer=issuer, subject=subject))
        return {user.id for user in new_users.find_existing(run.database, [person])}

    assert among(9, "z@x.org") == set()
    assert among(3, "z@x.org") == {3}
    assert among(9, "B@X.org") == {4}
    assert among(9, "z@x.org", "https://a.example", "s") == {5}
    assert among(9, "z@x.org", "https://b.example", "s") == set()
    assert among(3, "b@x.org", "https://a.example", "t") == {3, 4, 6}
