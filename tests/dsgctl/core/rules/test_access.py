"""The decision table, put to the rules."""

import pytest

from dsgctl.core import snapshots
from dsgctl.core.rules import access
from dsgctl.core.rules.access import Reason
from dsgctl.core.service_accounts import find_principal
from tests.decision_table import CASES, Case, build
from tests.dsgctl.core.builders import AT, Run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_rules_decide_as_the_table_says(run: Run, case: Case) -> None:
    built = run(build, case)
    snapshot = snapshots.read_principal(
        run.database, find_principal(run.database, built.who), service=case.service, also=case.dataset
    )
    decision = access.decide(snapshot, case.dataset, case.permission, AT)
    assert (decision.allowed, decision.reason) == (case.allowed, case.reason)
    assert (decision.dataset, decision.permission) == (case.dataset, case.permission)
    listed = access.effective_permissions(snapshot, AT).get(case.dataset, ())
    assert (case.permission in listed) == case.allowed


def test_the_table_has_each_reason() -> None:
    assert {case.reason for case in CASES} == set(Reason)


def test_the_table_says_ok_or_fail_and_names_each_case_once() -> None:
    assert all(case.id.partition("/")[0] == ("ok" if case.allowed else "fail") for case in CASES)
    assert len({case.id for case in CASES}) == len(CASES)
