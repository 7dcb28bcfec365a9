"""``access``: who may what, why, and the command to type next, which leads to 'may'."""

import json
import shlex
from typing import Any

import pytest

from dsgctl.core.rules.access import Reason
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.decision_table import CASES, Case, build
from tests.dsgctl.commands.running import Quick, Result, dump, execute
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World
from tests.level_table import NAMES, ROWS, included_levels

BO, ADA, OLD = "bo@example.org", "ada@example.org", "old@example.org"


def _explain(here: World, *words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(here.quick("access", "explain", *words, "-o", "json").ok().out)
    return answer


def _expire(here: World) -> None:
    execute(here.database, "UPDATE grants SET expires = '2026-01-31T12:30:00.000000Z'")


# How each reason comes about -> the words of the question, the reason.
REASONS: dict[str, tuple[list[str], str]] = {
    "granted": ([], f"{ADA} fish2 edit"),
    "account_disabled": (["user disable ada@example.org"], f"{ADA} fish2 edit"),
    "no_grant": ([], f"{BO} mouse view"),
    "level_too_low": ([], f"{ADA} fish2 manage"),
    "read_only": (["user set ada@example.org --read-only"], f"{ADA} fish2 edit"),
    "terms_missing": ([], f"{BO} fly view"),
    "no_such_permission": ([], f"{ADA} fish2 peek"),
    "grant_expired": ([], f"{ADA} fish2 edit"),
}


def _make(here: World, reason: str) -> list[str]:
    before, question = REASONS[reason]
    here.quick("dataset", "add", "mouse").ok()
    for line in before:
        here.quick(*line.split()).ok()
    if reason == "grant_expired":
        _expire(here)
    return question.split()


@pytest.mark.parametrize("reason", REASONS)
def test_check_and_explain_give_the_same_reason(filled: World, reason: str) -> None:
    question = _make(filled, reason)
    allowed = reason == "granted"
    checked = filled.quick("access", "check", *question, "-o", "json")
    assert checked.code == (0 if allowed else 5)
    assert json.loads(checked.out) == {"allowed": allowed, "reason": reason}
    assert checked.err == ""
    explained = _explain(filled, *question)
    assert (explained["allowed"], explained["reason"]) == (allowed, reason)
    shown = filled.quick("access", "explain", *question).ok().out
    assert shown.startswith(f"{question[0]} {'may' if allowed else 'may not'} {question[2]} {question[1]}: ")
    assert shown.splitlines()[-1] == f"  next     {explained['next']}"


@pytest.mark.parametrize("reason", sorted(REASONS.keys() - {"granted", "no_such_permission"}))
def test_the_next_command_that_explain_names_grants_the_access(filled: World, reason: str) -> None:
    question = _make(filled, reason)
    explained = _explain(filled, *question)
    assert not explained["allowed"]
    filled.quick(*shlex.split(explained["next"])[1:]).ok()
    after = _explain(filled, *question)
    assert after["allowed"], after
    assert filled.quick("access", "check", *question).ok().out == "yes\n"


def test_each_next_command_removes_one_reason_until_access_is_granted(filled: World) -> None:
    """Disabled, read-only, no grant, terms missing: one command mends one thing."""
    for line in (f"user set {BO} --read-only", f"user disable {BO}"):
        filled.quick(*line.split()).ok()
    reasons = []
    for _ in range(6):
        explained = _explain(filled, BO, "fly", "edit")
        if explained["allowed"]:
            break
        reasons.append(explained["reason"])
        filled.quick(*shlex.split(explained["next"])[1:]).ok()
    else:
        pytest.fail(f"still not: {reasons}")
    assert reasons == ["account_disabled", "level_too_low", "read_only", "terms_missing"]


def test_the_next_command_for_a_service_account_grants_the_access(filled: World) -> None:
    for permission in ("view", "edit", "admin"):
        explained = _explain(filled, "nightly-export", "fly", permission)
        filled.quick(*shlex.split(explained["next"])[1:]).ok()
        assert _explain(filled, "nightly-export", "fly", permission)["allowed"]
    filled.quick("service-account", "disable", "nightly-export").ok()
    explained = _explain(filled, "nightly-export", "fly", "view")
    assert explained["reason"] == "account_disabled"
    filled.quick(*shlex.split(explained["next"])[1:]).ok()
    assert _explain(filled, "nightly-export", "fly", "view")["allowed"]


def test_the_next_command_is_quoted_for_the_shell_for_any_names(filled: World) -> None:
    filled.quick("user", "add", "o'brien&co@example.org").ok()
    explained = _explain(filled, "o'brien&co@example.org", "fish2")
    assert shlex.split(explained["next"])[-1] == "o'brien&co@example.org"
    filled.run.shell(explained["next"]).ok()
    assert _explain(filled, "o'brien&co@example.org", "fish2")["allowed"]


def test_explain_names_grant_group_version_expiry_giver_and_scope(filled: World) -> None:
    through_group = filled.quick("access", "explain", ADA, "fish2", "view").ok().out
    assert f"{ADA} may view fish2: a grant gives it" in through_group
    assert "1: view, through group lab-1, granted by os:" in through_group
    assert "2: edit, directly, granted by os:" in through_group
    expires = _explain(filled, BO, "fish2")["grants"][0]["expires"]
    direct = filled.quick("access", "explain", BO, "fish2").ok().out
    until = f"until {expires[:10]} {expires[11:16]} UTC"
    assert f"5: view, directly, version v1.2, scope lab-1, {until}, granted by os:" in direct
    assert "(manual)" in direct
    _expire(filled)
    expired = filled.quick("access", "explain", ADA, "fish2", "edit").ok().out
    assert "may not edit fish2: the grant that gave it has expired" in expired
    assert "expired  2: edit, directly, until 2026-01-31 12:30 UTC" in expired


def test_explain_names_missing_terms_and_where_to_accept_them(filled: World) -> None:
    shown = filled.quick("access", "explain", BO, "fly").ok().out
    assert "may not view fly: terms are not accepted" in shown
    assert "terms    3 'Fly terms': accept at http://localhost:8200/api/v1/tos/3/accept" in shown
    link = "http://localhost:8200/api/v1/tos/3/accept"
    assert shown.splitlines()[-2:] == [
        f"  next     send {BO} this link: {link}; only if they have accepted elsewhere:",
        f"  next     dsgctl terms accept 3 {BO}",
    ]
    elsewhere = filled.run("access", "explain", BO, "fly", env={"DSG_ORIGIN": "https://dsg.example.org"}).ok().out
    assert "accept at https://dsg.example.org/api/v1/tos/3/accept" in elsewhere


def test_explain_says_how_to_get_access_to_a_public_dataset(filled: World) -> None:
    shown = filled.quick("access", "explain", ADA, "fly").ok().out
    assert "public: view is theirs once they accept at http://localhost:8200/api/v1/tos/3/accept" in shown


def test_explain_says_what_a_global_admin_is(filled: World) -> None:
    assert "a global admin" in filled.quick("access", "explain", "root@example.org", "fish2").ok().out


def test_explain_of_a_child_names_the_parent(filled: World) -> None:
    """The command to type next must be one that can be typed."""
    execute(
        filled.database,
        "UPDATE principals SET parent_id = (SELECT id FROM principals WHERE email = ?) WHERE email = ?",
        ADA,
        BO,
    )
    explained = _explain(filled, BO, "fly")
    assert explained["reason"] == "terms_missing"
    filled.quick(*shlex.split(explained["next"])[1:]).ok()
    assert _explain(filled, BO, "fly")["allowed"]


def test_a_child_ends_with_its_parent_and_explain_says_so(filled: World) -> None:
    execute(
        filled.database,
        "UPDATE principals SET parent_id = (SELECT id FROM principals WHERE email = ?) WHERE email = ?",
        ADA,
        BO,
    )
    filled.quick("terms", "accept", "3", ADA).ok()
    token = filled.quick("token", "mint", "--user", BO, "-o", "value").ok().out
    assert _explain(filled, BO, "fly")["allowed"]
    result = filled.quick("user", "disable", ADA).ok()
    assert result.err == f"1 child account ended with it: {BO}\n"
    explained = _explain(filled, BO, "fly")
    assert (explained["allowed"], explained["reason"]) == (False, "account_disabled")
    assert explained["why"] == f"the account is a child of {ADA}, which is disabled"
    assert f"no: the account is a child of {ADA}" in filled.quick("access", "check", BO, "fly", "view").out
    assert filled.quick("token", "inspect", "-o", "value", input=token).out == "account_disabled\n"
    assert f"{BO} is disabled with {ADA}: the server answers 401" in filled.quick("access", "show", BO).ok().err
    assert BO not in filled.quick("access", "who", "fly").ok().out
    assert f"{BO} is disabled with {ADA}" in filled.quick("token", "mint", "--user", BO).err
    assert filled.quick("--as", BO, "access", "show", BO).code == 5
    filled.quick(*shlex.split(explained["next"])[1:]).ok()  # which enables the parent
    assert _explain(filled, BO, "fly")["allowed"]
    assert filled.quick("token", "inspect", "-o", "value", input=token).ok().out == "valid\n"


def test_explain_of_a_dataset_that_is_not_there_is_not_found(filled: World) -> None:
    result = filled.quick("access", "explain", ADA, "fish9")
    assert result.code == 3
    assert is_one_line(result)
    assert f"{ADA} may not view fish9: there is no dataset of this name" in result.out


def test_show_prints_the_answer_of_user_cache(filled: World) -> None:
    answer = json.loads(filled.quick("access", "show", ADA, "--service", "clio", "-o", "json").ok().out)
    assert answer["permissions"] == {"fish2": ROWS["edit"].number}
    assert answer["permissions_v2"] == {"fish2": sorted(included_levels("edit"))}
    assert [(row["tos_id"], row.get("service")) for row in answer["missing_tos"]] == [(3, None), (2, "clio")]


def test_show_takes_a_service_account_by_name_and_by_its_address(filled: World) -> None:
    by_name = filled.quick("access", "show", "nightly-export", "-o", "json").ok()
    assert filled.quick("access", "show", "nightly-export@service-account.dsg.local", "-o", "json") == by_name
    assert json.loads(by_name.out)["service_account"] is True


def test_show_of_a_disabled_account_says_that_the_server_refuses_it(filled: World) -> None:
    result = filled.quick("access", "show", OLD).ok()
    assert "old@example.org is disabled: the server answers 401" in result.err


def test_who_lists_exactly_the_principals_that_check_allows(filled: World) -> None:
    people = [ADA, BO, OLD, "root@example.org", "nightly-export"]
    for dataset in ("fish2", "fly"):
        for permission in NAMES:
            listed = filled.quick("access", "who", dataset, permission, "-o", "value").ok().out.split()
            checks = {who: filled.quick("access", "check", who, dataset, permission).code for who in people}
            assert listed == [who for who in people if checks[who] == 0]
            assert set(checks.values()) <= {0, 5}


def test_who_names_the_grant_behind_each_access(filled: World) -> None:
    rows = json.loads(filled.quick("access", "who", "fish2", "-o", "json").ok().out)
    ada = next(row for row in rows if row["who"] == ADA)
    assert ada["through"] == ["direct", "lab-1"]
    assert ada["holds"] == sorted(included_levels("edit"))


def test_access_commands_change_nothing(filled: World) -> None:
    before = dump(filled.database)
    answers: list[Result] = [
        filled.quick("access", verb, *words)
        for verb, words in (
            ("show", [ADA]),
            ("check", [ADA, "fish2", "view"]),
            ("explain", [ADA, "fly"]),
            ("who", ["fish2"]),
        )
    ]
    assert [answer.code for answer in answers] == [0, 0, 0, 0]
    assert dump(filled.database) == before


@pytest.mark.parametrize("case", [case for case in CASES if case.service is None], ids=lambda case: case.id)
def test_check_answers_as_the_decision_table_demands(database: Database, quick: Quick, case: Case) -> None:
    with begin_change(database, "test") as change:
        who = build(change, case).who
    result = quick("access", "check", who, case.dataset, case.permission, "-o", "json")
    if case.reason is Reason.NO_SUCH_DATASET:
        assert (result.code, result.out) == (3, "")
        return
    assert json.loads(result.out) == {"allowed": case.allowed, "reason": str(case.reason)}
    assert result.code == (0 if case.allowed else 5)


def test_check_answers_with_one_word_and_an_exit_code(filled: World) -> None:
    assert filled.run.shell(f"dsgctl access check {ADA} fish2 edit && echo in").out == "yes\nin\n"
    refused = filled.run.shell(f"dsgctl access check {BO} fly view || echo out")
    assert refused.out == "no: terms are not accepted\nout\n"
    assert refused.err == ""


def test_an_explanation_says_which_locations_neuroglancer_may_read(filled: World) -> None:
    """bo may view one version: not where the whole dataset lies, although services that know no versions let him."""
    explanation = json.loads(filled.quick("access", "explain", "bo@example.org", "fish2", "-o", "json").ok().out)
    assert [(row["version"], row["may_read"], row["reason"]) for row in explanation["locations"]] == [
        (None, False, "no_permission"),
        ("v1.2", True, "granted"),
    ]
    shown = filled.quick("access", "explain", "bo@example.org", "fish2").ok().out
    assert "  bucket   gs://lab-data/fish2/: may not read: no_permission\n" in shown
    assert "  bucket   gs://lab-data/fish2/, version v1.2: may read\n" in shown


def test_a_table_is_checked_as_its_service_would(filled: World) -> None:
    """Exit codes 0, 5 and 3; `filled` has the table fish2_v1 of datastack."""
    check = f"dsgctl service table check datastack fish2_v1 {ADA}"
    assert filled.run.shell(f"{check} && echo in").out == "yes: fish2_v1 of datastack is of dataset fish2\nin\n"
    refused = filled.run.shell("dsgctl service table check datastack fish2_v1 lee@example.org")
    assert refused.code == 5 and refused.out.startswith("no: fish2_v1 of datastack is of dataset fish2: ")
    for missing in ("datastack nope ada@example.org", "nope fish2_v1 ada@example.org", "datastack fish2_v1 x@x.org"):
        assert filled.run.shell(f"dsgctl service table check {missing}").code == 3
