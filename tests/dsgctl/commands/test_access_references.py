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


def test_a_branch_without_an_ordinal_is_refused(quick: Quick) -> None:
    result = quick("access", "explain", "ada@example.org", "fish", "--branch", "alt")
    assert (result.code, result.out) == (2, "") and "--branch needs --version" in result.err


def test_a_service_that_does_not_exist_is_named(quick: Quick) -> None:
    shown = quick("access", "explain", "ada@example.org", "fish", "--native", "--service", "nope").ok().out
    assert shown.splitlines()[0].endswith("; there is no service 'nope'")
    assert "no service" not in quick("access", "explain", "ada@example.org", "fish", "--native").ok().out


def test_the_next_command_names_no_permission_that_cannot_be_granted(quick: Quick) -> None:
    shown = quick("access", "explain", "dee@example.org", "fish", "annotate", "--native").ok().out
    assert shown.splitlines()[-1] == "  next     dsgctl access explain dee@example.org fish view --native"


def test_a_grant_for_the_service_that_asks_leads_to_the_decision_that_counts_it(quick: Quick) -> None:
    quick("user", "add", "new@example.org").ok()
    quick("grant", "add", "fish", "edit", "--user", "new@example.org", "--service", "dvid").ok()
    words = ("access", "explain", "new@example.org", "fish", "view", "--service", "dvid")
    command = f"dsgctl {' '.join(words)} --native"
    assert quick(*words).ok().out.splitlines()[-1] == f"  next     {command}"
    assert "a grant covers it" in quick(*words, "--native").ok().out
    other = quick(*words[:-1], "neuprint").ok().out
    assert other.splitlines()[-1] == "  next     dsgctl grant add fish view --user new@example.org"
