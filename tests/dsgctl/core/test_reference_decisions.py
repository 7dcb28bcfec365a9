"""Decisions about references from a database: what is read is what the rules need, and nothing that the shell broke."""

import math
from dataclasses import replace

import apsw
import pytest

from dsgctl.core import reference_decisions, token_checks
from dsgctl.core.errors import Invalid
from dsgctl.core.reference_decisions import MAX_ANCHORS, MAX_COMPARISONS, decide, decide_all, read_catalogue
from dsgctl.core.rules import reference_access
from dsgctl.core.rules.reference_access import Rule, Verdict
from dsgctl.core.rules.references import Catalogue, Reference
from dsgctl.core.token_checks import PresentedToken
from dsgctl.store import Database
from dsgctl.store.models import Grant, Principal, Version
from tests.dsgctl.core.builders import AT, DAY
from tests.native_answers import build_catalogue, build_principal, fill, names, rows

SERVICES = (None, "nowhere", *names("Service").values())
REFERENCES = [
    *(Reference(name) for name in ("manc", "pisces", "abcd", "fly", "nowhere", *names("Dataset").values())),
    *(Reference("fish", version) for version in ("v1", "v2", "v3", "alt1", "loose", "3", "99", "v9")),
    *(Reference("abcd", version) for version in ("uuid-1", "uuid-alt", "v3")),
    *(Reference("yeast", version) for version in ("v1", "v2", "v3", "2")),
    Reference("pisces", "r1"),
    Reference("fishes", "1.0"),
    Reference("tree", "a"),
    Reference("tree", "b"),
]
TOKENS = [
    row["key"] for table in ("APIKey", "ServiceAccountToken") for row in rows(table) if row["key"] != "tok-expired"
]


@pytest.fixture(autouse=True)
def facts(database: Database) -> None:
    fill(database)


def owner_of(database: Database, token: str) -> Principal:
    principal = token_checks.check(database, PresentedToken(token), AT).principal
    assert principal is not None
    return principal


def shell(database: Database, statement: str) -> None:
    """As ``sqlite3 FILE STATEMENT`` does it."""
    connection = apsw.Connection(database.path)
    connection.execute("PRAGMA foreign_keys = off")
    connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_read_is_what_references_can_stand_for(database: Database, service: str | None) -> None:
    catalogue, everything = read_catalogue(database, REFERENCES, service), build_catalogue(service)
    translations = {
        (name, version): target
        for (name, version), target in everything.translations.items()
        if any(name == reference.name and version in (None, reference.version) for reference in REFERENCES)
    }
    assert catalogue == replace(everything, translations=translations)


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_nothing_else_is_read(database: Database, reference: Reference) -> None:
    catalogue = read_catalogue(database, [reference], "neuprint")
    assert len(catalogue.datasets) <= 2  # the translated one, and the one of this name
    assert {name for name, _ in catalogue.translations} <= {reference.name}


@pytest.mark.parametrize("service", SERVICES)
def test_the_decisions_are_those_of_the_rules(database: Database, service: str | None) -> None:
    requests = [(reference, permission) for reference in REFERENCES for permission in ("view", "edit", "clio_write")]
    catalogue = build_catalogue(service)
    for token in (None, *TOKENS):
        principal = owner_of(database, token) if token else None
        snapshot = build_principal(token) if token else None
        answer = decide_all(database, principal, requests, AT, service=service)
        for decision, (reference, permission) in zip(answer.decisions, requests, strict=True):
            expected = reference_access.decide(snapshot, catalogue, reference, permission, AT)
            assert replace(decision, grants=()) == replace(expected, grants=())
            assert len(decision.grants) == len(expected.grants)
        alone, until = decide(database, principal, *requests[0], AT, service=service)
        assert (alone, until) == (answer.decisions[0], None)


def test_a_decision_says_when_it_differs_by_itself(database: Database) -> None:
    shell(database, f"UPDATE terms SET retired = '{(AT + DAY):%Y-%m-%dT%H:%M:%S.000000Z}' WHERE name = 'moss terms'")
    decision, until = decide(database, None, Reference("moss"), "view", AT)
    assert (decision.verdict, until) == (Verdict.TOS_REQUIRED, AT + DAY)
    decision, until = decide(database, None, Reference("moss"), "view", AT + DAY)
    assert (decision.verdict, until) == (Verdict.ALLOW, None)


# What the sqlite3 shell deletes leaves rows behind that refer to nothing. Such a row gives nobody anything.
BROKEN = {
    "a grant on a version": ("tok-ver", None, Reference("fish", "loose"), "DELETE FROM versions WHERE name = 'loose'"),
    "a grant for a service": ("tok-svc", "clio", Reference("secret"), "DELETE FROM services WHERE name = 'clio'"),
    "a translation of a name": (
        "tok-ada",
        "neuprint",
        Reference("zz-fish"),
        "DELETE FROM datasets WHERE name = 'fish'",
    ),
    "a translation of a version": (
        "tok-ada",
        "dvid",
        Reference("abcd", "uuid-1"),
        "DELETE FROM versions WHERE name = 'v1'",
    ),
    "a translation for a service": ("tok-ada", "dvid", Reference("abcd"), "DELETE FROM services WHERE name = 'dvid'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_refers_to_nothing_gives_nothing(database: Database, name: str) -> None:
    token, service, reference, statement = BROKEN[name]
    principal = owner_of(database, token)

    def ask() -> Verdict:
        return decide(database, principal, reference, "view", AT, service=service)[0].verdict

    assert ask() is not Verdict.DENY
    shell(database, statement)
    assert ask() is Verdict.DENY


def test_terms_of_a_version_that_was_deleted_withhold_nothing_else(database: Database) -> None:
    shell(database, "DELETE FROM versions WHERE name = 'v3' AND dataset_id = 1")
    decision, _ = decide(database, owner_of(database, "tok-ada"), Reference("fish", "v2"), "view", AT)
    assert (decision.verdict, decision.rule) == (Verdict.ALLOW, Rule.GRANT)


def test_the_anchors_of_one_call_are_bounded(database: Database) -> None:
    """A thousand references to a dataset of a thousand public versions would have a million."""
    count = math.isqrt(MAX_ANCHORS) + 1
    rows = [{"dataset": 7, "name": f"p{place}", "public": True, "ordinal": place} for place in range(count)]
    with database.transaction():
        database.insert_many(Version, rows)
    requests = [(Reference("secret", str(count + place)), "view") for place in range(count)]
    principal = owner_of(database, "tok-dee")
    few = decide_all(database, principal, requests[:2], AT, service="dvid")
    assert [len(decision.anchors) for decision in few.decisions] == [count, count]
    with pytest.raises(Invalid, match="anchors"):
        decide_all(database, principal, requests, AT, service="dvid")


def test_the_comparisons_of_one_call_are_bounded(database: Database) -> None:
    """A thousand references to a dataset on which somebody has a thousand grants would take a million."""
    count = math.isqrt(MAX_COMPARISONS) + 1
    principal = owner_of(database, "tok-ada")
    row = {"principal": principal.id, "dataset": 7, "source": "manual", "granted_by": "x", "created": AT}
    with database.transaction():
        database.insert_many(Grant, [{**row, "permission": f"p{number}"} for number in range(count)])
    requests = [(Reference("secret"), f"p{number}") for number in range(count)]
    few = decide_all(database, principal, requests[:2], AT)
    assert [decision.roles for decision in few.decisions] == [("p0",), ("p1",)]
    with pytest.raises(Invalid, match="comparisons"):
        decide_all(database, principal, requests, AT)
    principal.admin = True  # of whom no grant is looked at
    assert all(decision.allowed for decision in decide_all(database, principal, requests, AT).decisions)


@pytest.mark.parametrize("token", [None, "tok-ada", "tok-root"])
def test_a_thousand_public_versions_are_decided_in_one_call(database: Database, token: str | None) -> None:
    """Nobody compares grants that they do not have."""
    rows = [{"dataset": 7, "name": f"p{place}", "public": True, "ordinal": place} for place in range(1000)]
    with database.transaction():
        database.insert_many(Version, rows)
    principal = owner_of(database, token) if token is not None else None
    requests = [(Reference("secret", f"p{place}"), "view") for place in range(1000)]
    answer = decide_all(database, principal, requests, AT, service="dvid")
    assert all(decision.allowed for decision in answer.decisions)


def test_an_unknown_service_is_none(database: Database) -> None:
    assert read_catalogue(database, [], "nowhere") == Catalogue()


def test_one_reference_takes_few_queries(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not one more for the data of others."""
    counts = []
    execute = database.execute

    def count(sql: str, bindings: object = ()) -> object:
        counts.append(sql)
        return execute(sql, bindings)  # type: ignore[arg-type]

    principal = owner_of(database, "tok-ada")
    monkeypatch.setattr(database, "execute", count)
    reference_decisions.decide(database, principal, Reference("fish", "v1"), "view", AT, service="neuprint")
    assert len(counts) <= 10
