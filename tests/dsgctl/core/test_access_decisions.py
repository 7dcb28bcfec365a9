"""Decisions about principals that are named; tests/decision_table.py has every rule that they follow."""

import pytest

from dsgctl.core import datasets, grants, service_accounts, users
from dsgctl.core.access_decisions import check, decide, read_principal
from dsgctl.core.errors import NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.rules.access import Reason
from tests.dsgctl.core.builders import AT, Run

PRINCIPALS = ("ana@x.org", "bot")


@pytest.fixture(autouse=True)
def holders(run: Run) -> None:
    """A person and a service account with view on fish2."""
    run(datasets.add, "fish2")
    for principal, _ in (run(users.add, "ana@x.org"), run(service_accounts.add, "bot")):
        run(grants.add, principal_subject(principal), Target("fish2", "view"))


@pytest.mark.parametrize("who", PRINCIPALS)
def test_a_decision_comes_with_the_principal_it_is_about(run: Run, who: str) -> None:
    result = check(run.database, who, "fish2", "view", AT)
    assert result == decide(run.database, who, "fish2", "view", AT)
    assert (result.decision.allowed, result.principal.service_account) == (True, who == "bot")
    assert result.principal == read_principal(run.database, who, also="fish2")
    assert check(run.database, who, "fish2", "edit", AT).decision.reason is Reason.LEVEL_TOO_LOW


@pytest.mark.parametrize("who", PRINCIPALS)
def test_only_a_check_refuses_a_dataset_that_does_not_exist(run: Run, who: str) -> None:
    assert decide(run.database, who, "fish9", "view", AT).decision.reason is Reason.NO_SUCH_DATASET
    with pytest.raises(NotFound, match="fish9"):
        check(run.database, who, "fish9", "view", AT)


@pytest.mark.parametrize("who", ["eve@x.org", "robot"])
def test_an_unknown_principal_is_refused(run: Run, who: str) -> None:
    with pytest.raises(NotFound, match=who):
        check(run.database, who, "fish2", "view", AT)
