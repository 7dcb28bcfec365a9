"""People: added once, changed by name, and gone with what hangs on them."""

from typing import Any

import pytest

from dsgctl.core import (
    acceptances,
    datasets,
    grants,
    groups,
    new_users,
    principals,
    service_accounts,
    terms,
    tokens,
    user_queries,
    users,
)
from dsgctl.core.errors import Conflict, Invalid, NotAllowed, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from tests.dsgctl.core.builders import AT, Run, refused

ANA = "Ana@Example.org"


def make_child(run: Run, email: str, parent: str) -> None:
    """As only an import does."""
    parent_id = users.find(run.database, parent).id
    run.database.run(Principal.update(parent=parent_id).where(Principal.id == users.find(run.database, email).id))


def emails(rows: Any) -> list[str]:
    return [row["email"] for row in rows]


def test_a_new_person_has_the_given_values_and_nothing_more(run: Run) -> None:
    user, new = run(
        users.add,
        ANA,
        name="Ana",
        display_name="A.",
        admin=True,
        read_only=True,
        pi="Lab",
        notes="a\nb",
        picture_url="https://x.org/a",
        affiliations=["MRC", "HHMI", "MRC"],
    )
    assert new
    shown = user_queries.show(run.database, ANA)
    assert shown == {
        "id": user.id,
        "email": ANA,
        "name": "Ana",
        "display_name": "A.",
        "admin": True,
        "active": True,
        "read_only": True,
        "pi": "Lab",
        "notes": "a\nb",
        "picture_url": "https://x.org/a",
        "issuer": None,
        "subject": None,
        "created": AT,
        "created_by": "os:test",
        "parent": None,
        "affiliations": ["HHMI", "MRC"],
        "leads": [],
        "grants": [],
        "groups": [],
        "tokens": [],
        "acceptances": [],
        "children": [],
        "last_used": None,
    }
    assert run.actions() == [f"user.add user:{ANA}"]


def test_add_returns_the_row_that_is_stored(run: Run) -> None:
    user, _ = run(users.add, ANA, name="Ana", admin=True, notes="a", affiliations=["HHMI"])
    stored = users.find(run.database, ANA).__data__
    assert {column: getattr(user, column) for column in stored} == stored


def test_a_malformed_value_is_refused_before_the_person_is_looked_up(run: Run) -> None:
    """Whether or not there is such a person, the answer is the same."""
    run(users.add, ANA, name="Ana")
    for email in (ANA, "bea@x.org"):
        for bad in ({"name": "a\nb"}, {"picture_url": "javascript:a"}, {"affiliations": [""]}):
            with refused(Invalid):
                run(users.add, email, **bad)
    with refused(Invalid):
        run(users.set_attributes, "nobody@x.org", new_email="not an address")


def test_adding_the_same_person_again_changes_nothing(run: Run) -> None:
    user, _ = run(users.add, ANA, name="Ana", affiliations=["HHMI"])
    before = run.content()
    for email in (ANA, ANA.lower(), ANA.upper()):
        assert run(users.add, email, name="Ana", affiliations=["HHMI"]) == (user, False)
    assert run(users.add, ANA) == (user, False)
    assert run.content() == before


@pytest.mark.parametrize("other", [{"name": "Bea"}, {"admin": True}, {"affiliations": ["MRC"]}], ids=repr)
def test_adding_a_person_who_is_there_and_differs_is_a_conflict(run: Run, other: dict[str, Any]) -> None:
    run(users.add, ANA, name="Ana", affiliations=["HHMI"])
    with refused(Conflict, ANA, "another", "dsgctl user set"):
        run(users.add, ANA.lower(), **{"name": "Ana", **other})


@pytest.mark.parametrize(
    "bad",
    [
        {"email": "ana"},
        {"email": "bot@service-account.dsg.local"},
        {"name": "a\nb"},
        {"display_name": " a"},
        {"pi": "\x1b"},
        {"notes": "\x00"},
        {"picture_url": "javascript:a"},
        {"affiliations": [""]},
        {"affiliations": ["ok", "a\nb"]},
    ],
    ids=repr,
)
def test_a_person_with_a_bad_value_is_not_added(run: Run, bad: dict[str, Any]) -> None:
    before = run.content()
    with refused(Invalid):
        run(users.add, bad.pop("email", "bea@example.org"), **bad)
    assert run.content() == before


@pytest.mark.parametrize(
    "text", ["", "nobody@x.org", "a\x1bb", "a\nb", "'; DROP TABLE principals", "%", "\udcff@x.org"]
)
def test_a_person_who_is_not_there_is_not_found(run: Run, text: str) -> None:
    run(users.add, ANA)
    with refused(NotFound, "dsgctl user list"):
        users.find(run.database, text)


def test_an_address_that_only_looks_alike_is_another_one(run: Run) -> None:
    """The Kelvin sign is 'k' in lower case: a provider that verifies it must not open kate's account."""
    run(users.add, "kate@example.org")
    assert principals.find_by_email(run.database, "\u212aate@example.org") is None
    assert new_users.find_by_emails(run.database, ["\u212aate@example.org"]) == {}


def test_set_attributes_changes_only_the_given_attributes(run: Run) -> None:
    run(users.add, ANA, name="Ana", pi="Lab", affiliations=["HHMI"])
    assert run(users.set_attributes, ANA.lower(), name="Ann", read_only=True)
    shown = user_queries.show(run.database, ANA)
    assert (shown["name"], shown["pi"], shown["read_only"], shown["affiliations"]) == ("Ann", "Lab", True, ["HHMI"])
    record = run.records()[-1]
    assert (record["action"], record["target"]) == ("user.set", f"user:{ANA}")
    assert record["before"] == {"name": "Ana", "read_only": False}
    assert record["after"] == {"name": "Ann", "read_only": True}


def test_setting_the_present_values_changes_nothing(run: Run) -> None:
    run(users.add, ANA, name="Ana", affiliations=["HHMI", "MRC"])
    before = run.content()
    assert not run(users.set_attributes, ANA, name="Ana", affiliations=["MRC", "HHMI"], unbind=True, new_email=ANA)
    assert not run(users.set_attributes, ANA)
    assert run.content() == before


def test_affiliations_are_replaced_as_a_whole(run: Run) -> None:
    run(users.add, ANA, affiliations=["HHMI", "MRC"])
    assert run(users.set_attributes, ANA, affiliations=["Janelia", "HHMI"])
    assert user_queries.show(run.database, ANA)["affiliations"] == ["HHMI", "Janelia"]
    assert run(users.set_attributes, ANA, affiliations=[])
    assert user_queries.show(run.database, ANA)["affiliations"] == []


def test_a_new_address_keeps_the_account(run: Run) -> None:
    user, _ = run(users.add, ANA)
    assert run(users.set_attributes, ANA, new_email="ana@other.org")
    assert users.find(run.database, "ana@other.org").id == user.id
    with refused(NotFound):
        users.find(run.database, ANA)
    assert run.records()[-1]["before"] == {"email": ANA}
    assert emails(user_queries.list_users(run.database, search="other")) == ["ana@other.org"]
    assert emails(user_queries.list_users(run.database, search="example")) == []


def test_the_case_of_an_address_can_be_changed(run: Run) -> None:
    run(users.add, ANA)
    assert run(users.set_attributes, ANA, new_email=ANA.lower())
    assert user_queries.show(run.database, ANA)["email"] == ANA.lower()


def test_the_address_of_another_person_is_a_conflict(run: Run) -> None:
    run(users.add, ANA)
    run(users.add, "Bea@x.org")
    with refused(Conflict, "Bea@x.org is another user"):
        run(users.set_attributes, ANA, new_email="bea@X.org")


@pytest.mark.parametrize("address", ["", "bea", "bot@service-account.dsg.local"])
def test_a_malformed_new_address_is_refused(run: Run, address: str) -> None:
    run(users.add, ANA)
    with refused(Invalid):
        run(users.set_attributes, ANA, new_email=address)


def test_unbinding_forgets_the_identity_and_nothing_else(run: Run) -> None:
    user, _ = run(users.add, ANA, name="Ana")
    run(users.bind, user, "https://issuer.example", "123")
    assert principals.find_by_identity(run.database, "https://issuer.example", "123") == user
    assert run(users.set_attributes, ANA, unbind=True)
    assert principals.find_by_identity(run.database, "https://issuer.example", "123") is None
    shown = user_queries.show(run.database, ANA)
    assert (shown["issuer"], shown["subject"], shown["name"]) == (None, None, "Ana")
    assert run.records()[-1]["before"] == {"issuer": "https://issuer.example", "subject": "123"}


@pytest.mark.parametrize(
    ("last", "settings"),
    [
        (users.set_attributes, {"admin": False}),
        (lambda change, email, **options: users.set_active(change, email, False, **options), {}),
        (users.remove, {}),
    ],
    ids=["no longer admin", "disabled", "removed"],
)
def test_removing_the_last_admin_needs_a_confirmation(run: Run, last: Any, settings: dict[str, Any]) -> None:
    run(users.add, ANA, admin=True)
    run(users.add, "disabled@x.org", admin=True)
    run(users.set_active, "disabled@x.org", False)
    before = run.content()
    with refused(NotAllowed, ANA, "last admin", "--last-admin"):
        run(last, ANA, **settings)
    assert run.content() == before
    assert run(last, ANA, last_admin=True, **settings)


@pytest.mark.parametrize("attributes", [{"admin": False}, {"name": "Ana", "admin": False}], ids=repr)
def test_one_of_two_admins_can_be_demoted_or_removed(run: Run, attributes: dict[str, Any]) -> None:
    run(users.add, ANA, admin=True)
    run(users.add, "bea@x.org", admin=True)
    assert run(users.set_attributes, ANA, **attributes)


@pytest.mark.parametrize("parent_is_admin", [True, False])
def test_a_last_admin_who_is_a_child_does_not_go_unsaid_with_the_parent(run: Run, parent_is_admin: bool) -> None:
    run(users.add, ANA, admin=parent_is_admin)
    run(users.add, "child@x.org", admin=True)
    make_child(run, "child@x.org", ANA)
    before = run.content()
    with refused(NotAllowed, "last admin"):
        run(users.remove, ANA)
    assert run.content() == before
    assert run(users.remove, ANA, last_admin=True)["children"] == ["child@x.org"]


def test_disabling_and_enabling_say_whether_it_was_otherwise(run: Run) -> None:
    run(users.add, ANA)
    assert run(users.set_active, ANA.lower(), False)
    assert not run(users.set_active, ANA, False)
    assert user_queries.show(run.database, ANA)["active"] is False
    assert run(users.set_active, ANA, True)
    assert not run(users.set_active, ANA, True)
    assert run.actions()[1:] == [f"user.disable user:{ANA}", f"user.enable user:{ANA}"]


def test_removing_a_person_removes_everything_that_belongs_to_them(run: Run) -> None:
    user, _ = run(users.add, ANA, affiliations=["HHMI"])
    run(users.add, "child@x.org")
    run(users.add, "bea@x.org")
    make_child(run, "child@x.org", ANA)
    run(groups.add, "lab")
    run(groups.add_member, "lab", ANA, leads=True)
    run(groups.add_member, "lab", "bea@x.org")
    run(datasets.add, "fish2")
    run(grants.add, principal_subject(user), Target("fish2", "edit"))
    document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2")
    run(acceptances.accept, document.id, ANA)
    token, _ = run(tokens.mint, user)
    expected = {
        "grants": ["fish2 edit"],
        "groups": ["lab"],
        "tokens": [token.id],
        "acceptances": [document.id],
        "children": ["child@x.org"],
    }
    assert principals.list_holdings(run.database, user) == expected
    assert run(users.remove, ANA) == expected
    assert emails(user_queries.list_users(run.database)) == ["bea@x.org"]
    for table in (m.Affiliation, m.Grant, m.Acceptance, m.Token):
        assert run.database.count(table.select()) == 0
    assert groups.show(run.database, "lab")["members"] == ["bea@x.org"]
    assert run.actions()[-2:] == ["user.remove user:child@x.org", f"user.remove user:{ANA}"]
    assert run.database.integrity_problems() == []


def test_the_id_of_a_principal_is_never_reused(run: Run) -> None:
    user, _ = run(users.add, ANA)
    run(users.remove, ANA)
    again, _ = run(users.add, ANA)
    account, _ = run(service_accounts.add, "bot")
    assert user.id < again.id < account.id


@pytest.mark.parametrize("function", [users.remove, users.set_attributes, user_queries.show, users.find])
def test_no_verb_finds_an_absent_person(run: Run, function: Any) -> None:
    with refused(NotFound, "nobody@x.org"):
        function(run.database, "nobody@x.org") if function in (user_queries.show, users.find) else run(
            function, "nobody@x.org"
        )


class TestExtend:
    """Adds to what is known, and takes nothing away."""

    def test_a_name_fills_only_an_empty_one(self, run: Run) -> None:
        user, _ = run(users.add, ANA)
        assert run(users.extend, user, name="Ana")
        assert not run(users.extend, users.find(run.database, ANA), name="Bea")
        assert user_queries.show(run.database, ANA)["name"] == "Ana"

    def test_an_affiliation_stands_beside_those_there_are(self, run: Run) -> None:
        user, _ = run(users.add, ANA, affiliations=["HHMI"])
        assert run(users.extend, user, affiliation="MRC")
        assert not run(users.extend, user, affiliation="HHMI")
        assert user_queries.show(run.database, ANA)["affiliations"] == ["HHMI", "MRC"]

    def test_a_note_stands_below_those_there_are(self, run: Run) -> None:
        user, _ = run(users.add, ANA, notes="first")
        assert run(users.extend, user, note="second")
        assert user_queries.show(run.database, ANA)["notes"] == "first\nsecond"

    @pytest.mark.parametrize("note", ["a note", "two\nlines", "a", "two\nlines\n\nand more"])
    def test_a_note_is_added_once(self, run: Run, note: str) -> None:
        run(users.add, ANA, notes="already a note here")
        for expected in (True, False, False):
            assert run(users.extend, users.find(run.database, ANA), note=note) is expected
        run(users.extend, users.find(run.database, ANA), note="and another")
        assert not run(users.extend, users.find(run.database, ANA), note=note)

    def test_extending_with_known_values_changes_nothing(self, run: Run) -> None:
        user, _ = run(users.add, ANA, name="Ana", notes="n", affiliations=["HHMI"])
        before = run.content()
        assert not run(users.extend, user, name="Ana", note="n", affiliation="HHMI")
        assert not run(users.extend, user)
        assert run.content() == before
