"""``access explain --version``: the decision of the native API, for people and for programs."""

import json

import pytest

from dsgctl.store import Database
from tests.dsgctl.commands.running import Quick
from tests.native_answers import fill


@pytest.fixture(autouse=True)
def facts(database: Database) -> None:
    fill(database)


def test_the_decision_is_explained_to_people(quick: Quick) -> None:
    shown = quick("access", "explain", "ada@example.org", "abcd", "--service", "dvid", "--version", "v3").ok().out
    assert shown.splitlines() == [
        "ada@example.org, view abcd version v3 for dvid: tos_required: a grant covers it, but terms are not accepted",
        "  rule     grant",
        "  roles    view, edit",
        "  means    dataset fish, version v3, branch main, ordinal 3",
        "  grant    1: view, directly, granted by os:test (manual)",
        "  grant    2: edit, directly, granted by os:test (manual)",
        "  terms    4 'fish v3': accept at http://localhost:8200/api/v1/tos/4/accept",
        "  next     dsgctl terms accept 4 ada@example.org",
    ]


def test_anchors_of_other_branches_are_shown(quick: Quick) -> None:
    words = ("access", "explain", "svc@example.org", "fish", "--service", "dvid", "--version", "1", "--branch", "alt")
    shown = quick(*words).ok().out
    assert "  anchor   branch main, ordinal 1: view, edit" in shown
    assert "service_eval" in shown


def test_a_program_gets_the_same_as_json(quick: Quick) -> None:
    words = ("access", "explain", "ada@example.org", "fish", "edit", "--version", "99", "-o", "json")
    answer = json.loads(quick(*words).ok().out)
    assert {key: answer[key] for key in ("allowed", "decision", "rule", "dataset", "stored_version", "ordinal")} == {
        "allowed": True,
        "decision": "allow",
        "rule": "grant",
        "dataset": "fish",
        "stored_version": None,
        "ordinal": 99,
    }


def test_the_whole_dataset_is_explained_too(quick: Quick) -> None:
    shown = quick("access", "explain", "dee@example.org", "worm", "--native").ok().out
    assert shown.splitlines()[0] == "dee@example.org, view worm: allow: it is public"
    assert "  means    dataset worm, the whole" in shown


@pytest.mark.parametrize(
    ("words", "code"), [("nowhere --native", 3), ("fish --version v9", 0), ("fish --version ²", 0)]
)
def test_a_name_that_nothing_has_is_not_found(quick: Quick, words: str, code: int) -> None:
    result = quick("access", "explain", "ada@example.org", *words.split())
    assert result.code == code
    assert ("no such version" in result.out) == (code == 0)
