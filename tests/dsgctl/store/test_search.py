"""The search for people, and the indexes that look-ups use."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from dsgctl.core import new_users, principals, user_queries, users
from dsgctl.core.new_users import NewUser
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.dsgctl.core.builders import add_people
from tests.dsgctl.store.builders import (
    Write,
)

PEOPLE = [
    ("ana@example.org", "Ana Łukasz", ""),
    ("zoe@example.org", "Zoë Émile", "Dr. Zoë"),
    ("percent@x.org", "100% sure", ""),
    ("underscore@x.org", "core_a_b", ""),
    ("quote@x.org", 'O\'Neil "Tip"', ""),
    ("star@x.org", "NEAR(a* AND b)", ""),
    ("cn@x.org", "陈小明", ""),
    ("ru@x.org", "Анна ПЕТРОВА", ""),
    ("eszett@x.org", "Straße", ""),
]


@pytest.fixture
def people(database: Database) -> Database:
    with begin_change(database, "os:test") as change:
        add_people(change, [NewUser(email, {"name": name, "display_name": shown}) for email, name, shown in PEOPLE])
    return database


def search(database: Database, text: str) -> list[str]:
    return [row["email"].partition("@")[0] for row in user_queries.list_users(database, search=text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ana", ["ana"]),
        ("ANA", ["ana"]),
        ("aNa@EXAMPLE", ["ana"]),
        ("example.org", ["ana", "zoe"]),
        ("łukasz", ["ana"]),
        ("ŁUKASZ", ["ana"]),
        ("zoë", ["zoe"]),
        ("ZOË", ["zoe"]),
        ("émile", ["zoe"]),
        ("ÉMILE", ["zoe"]),
        ("dr. zoë", ["zoe"]),
        ("анна петрова", ["ru"]),
        ("АННА", ["ru"]),
        ("陈小明", ["cn"]),
        ("100%", ["percent"]),
        ("0% ", ["percent"]),
        ("%sure", []),
        ("a_b", ["underscore"]),
        ("core_a", ["underscore"]),
        ("O'Neil", ["quote"]),
        ('"Tip"', ["quote"]),
        ('l "T', ["quote"]),
        ("NEAR(", ["star"]),
        ("a* AND", ["star"]),
        ("(a*", ["star"]),
        ("x.org AND", []),
        ("name:", []),
        ('"""', []),
        ("straße", ["eszett"]),
        ("nobody", []),
        ("'; DROP", []),
    ],
)
def test_three_or_more_letters_are_found_literally_and_regardless_of_case(
    people: Database, text: str, expected: list[str]
) -> None:
    assert search(people, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uk", ["ana"]),
        ("UK", ["ana"]),
        ("ł", ["ana"]),
        ("Ł", ["ana"]),
        ("éM", ["zoe"]),
        ("Ém", ["zoe"]),
        ("ÉM", ["zoe"]),
        ("ёж", []),
        ("陈", ["cn"]),
        ("小明", ["cn"]),
        ("пЕ", ["ru"]),
        ("НН", ["ru"]),
        ("%", ["percent"]),
        ("0%", ["percent"]),
        ("_b", ["underscore"]),
        ("*", ["star"]),
        ("* ", ["star"]),
        ('"', ["quote"]),
        ("'", ["quote"]),
        ("(", ["star"]),
        ("%%", []),
        ("ß", ["eszett"]),
    ],
)
def test_fewer_than_three_letters_are_found_in_the_same_way(people: Database, text: str, expected: list[str]) -> None:
    assert search(people, text) == expected


def test_the_search_follows_every_change(people: Database, write_elsewhere: Write) -> None:
    with begin_change(people, "os:test") as change:
        users.set_attributes(change, "ana@example.org", name="Bettina", new_email="bet@example.org")
        users.remove(change, "zoe@example.org")
        users.set_active(change, "cn@x.org", False)
    assert search(people, "Łukasz") == search(people, "ana@") == search(people, "Zoë") == []
    assert search(people, "bettina") == search(people, "bet@") == ["bet"]
    assert search(people, "陈小明") == ["cn"]
    write_elsewhere("UPDATE principals SET display_name = 'Anastasia' WHERE email = 'bet@example.org'")
    assert search(people, "nastas") == ["bet"]
    people.script("INSERT INTO principals_search (principals_search, rank) VALUES ('integrity-check', 1)")


def plan(database: Database, ask: Callable[[], object]) -> str:
    """How the engine goes about the last query of a function."""
    connection = database._db.connection()
    statements: list[tuple[str, Any]] = []
    connection.exec_trace = lambda cursor, sql, bindings: statements.append((sql, bindings)) or True
    try:
        ask()
    finally:
        connection.exec_trace = None
    sql, bindings = statements[-1]
    return "; ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql, bindings))


def test_a_search_for_three_letters_goes_through_the_index(people: Database) -> None:
    steps = plan(people, lambda: list(user_queries.list_users(people, search="ana", limit=10)))
    # One table is gone through, by its index of words; principals are looked up by id.
    assert steps.count("SCAN") == 1
    assert re.search(r"SCAN \w+ VIRTUAL TABLE INDEX \d+:M", steps)
    assert "TEMP B-TREE FOR ORDER BY" not in steps


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda database: principals.find_by_email(database, "Ana@example.org"), "principals_email"),
        (lambda database: new_users.find_by_emails(database, ["a@x.org", "b@x.org"]), "principals_email"),
        (lambda database: principals.find_by_identity(database, "https://i.example", "1"), "principals_subject"),
        (lambda database: list(user_queries.list_users(database, limit=10)), ""),
    ],
    ids=["email", "emails", "subject", "list"],
)
def test_a_look_up_goes_through_its_index(people: Database, ask: Callable[[Database], object], index: str) -> None:
    steps = plan(people, lambda: ask(people))
    assert index in steps
    assert "TEMP B-TREE" not in steps
    assert not index or "SCAN" not in steps
