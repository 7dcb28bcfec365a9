"""A policy file claims what it declares; another file may not claim the same."""

import pytest

from dsgctl.core import policy_ownership
from dsgctl.core.errors import Conflict, DsgError
from dsgctl.store.models import PolicyClaim
from tests.dsgctl.core.builders import AT, Run, refused

KEY = ("fish2", "v1")


def test_a_claim_is_made_once_and_released(run: Run) -> None:
    assert run(policy_ownership.claim, "zebrafish", "version", KEY)
    before = run.content()
    assert not run(policy_ownership.claim, "zebrafish", "version", KEY)
    assert run.content() == before
    assert policy_ownership.file_of(run.database, "version", KEY) == "zebrafish"
    assert policy_ownership.list_claimed(run.database, "zebrafish") == {("version", KEY)}
    assert policy_ownership.list_claimed(run.database, "fly") == set()
    with refused(Conflict, "zebrafish declares version fish2 v1 too", "--prune"):
        run(policy_ownership.claim, "fly", "version", KEY)
    run(policy_ownership.release, "version", KEY)
    assert policy_ownership.file_of(run.database, "version", KEY) == ""
    assert run(policy_ownership.claim, "fly", "version", KEY)


@pytest.mark.parametrize("key", ["fish2", "{}", "[1]", '["fish2", null]', '"fish2"', ""])
def test_a_claim_with_a_malformed_key_is_reported(run: Run, key: str) -> None:
    run(lambda change: change.database.run(PolicyClaim.insert(kind="dataset", key=key, file="zebrafish", since=AT)))
    with refused(DsgError, "the table declared: ", "not a list of names"):
        policy_ownership.list_claimed(run.database, "zebrafish")
