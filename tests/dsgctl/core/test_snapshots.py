"""What is read for the rules, where the database is not as core leaves it.

The sqlite3 shell does not enforce references unless told to: what it deletes leaves rows behind
that refer to nothing. Such a row gives nobody anything.
"""

import apsw
import pytest

from dsgctl.core import (
    datasets,
    grants,
    groups,
    service_accounts,
    services,
    snapshots,
    terms,
    token_checks,
    tokens,
    users,
    versions,
)
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.core.rules import access
from dsgctl.core.rules.access import Reason
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import AT, Run

ANA = "ana@x.org"


def shell(run: Run, statement: str) -> None:
    """As ``sqlite3 FILE STATEMENT`` does it."""
    connection = apsw.Connection(run.database.path)
    connection.execute("PRAGMA foreign_keys = off")
    connection.execute(statement)
    connection.close()


@pytest.fixture(autouse=True)
def people(run: Run) -> None:
    run(users.add, ANA)
    run(groups.add, "lab")
    run(groups.add_member, "lab", ANA)
    run(datasets.add, "fish2")
    run(versions.add, "fish2", "v1")


def reasons(run: Run) -> list[Reason]:
    """What is decided for the person, and for everybody whom a grant on the dataset reaches."""
    everybody = list(snapshots.read_dataset_holders(run.database, "fish2"))
    return [
        access.decide(snapshot, "fish2", "view", AT).reason
        for snapshot in (run.snapshot(ANA, also="fish2"), *everybody)
    ]


def test_a_group_that_was_deleted_gives_nothing(run: Run) -> None:
    run(grants.add, group_subject(run.database, "lab"), Target("fish2", "admin"))
    assert reasons(run) == [Reason.GRANTED, Reason.GRANTED]
    shell(run, "DELETE FROM groups")
    assert reasons(run) == [Reason.NO_GRANT]
    assert build_user_cache(run.snapshot(ANA), AT)["datasets_admin"] == []


def test_a_version_that_was_deleted_does_not_become_the_whole_dataset(run: Run) -> None:
    subject = principal_subject(users.find(run.database, ANA))
    run(grants.add, subject, Target("fish2", "view", "v1"))
    assert reasons(run) == [Reason.GRANTED, Reason.GRANTED]
    shell(run, "DELETE FROM versions")
    assert reasons(run) == [Reason.NO_GRANT]


def test_a_grant_for_one_service_decides_nothing_where_none_is_named(run: Run) -> None:
    run(services.add, "neuprint")
    before = [build_user_cache(run.snapshot(ANA, service=service), AT) for service in (None, "neuprint")]
    for subject in (principal_subject(users.find(run.database, ANA)), group_subject(run.database, "lab")):
        run(grants.add, subject, Target("fish2", "admin", service="neuprint"))
    assert reasons(run) == [Reason.NO_GRANT, Reason.NO_GRANT]
    assert [build_user_cache(run.snapshot(ANA, service=service), AT) for service in (None, "neuprint")] == before
    snapshot = run.snapshot(ANA)
    assert not snapshot.grants and [grant.service for grant in snapshot.service_grants] == ["neuprint", "neuprint"]


def test_a_service_that_was_deleted_does_not_become_every_service(run: Run) -> None:
    run(services.add, "neuprint")
    run(grants.add, principal_subject(users.find(run.database, ANA)), Target("fish2", "view", service="neuprint"))
    shell(run, "DELETE FROM services")
    assert reasons(run) == [Reason.NO_GRANT]
    assert not run.snapshot(ANA).grants and not run.snapshot(ANA).service_grants


def test_a_dataset_that_was_deleted_is_none(run: Run) -> None:
    subject = principal_subject(users.find(run.database, ANA))
    run(grants.add, subject, Target("fish2", "view"))
    shell(run, "DELETE FROM datasets")
    assert access.decide(run.snapshot(ANA, also="fish2"), "fish2", "view", AT).reason is Reason.NO_SUCH_DATASET
    assert build_user_cache(run.snapshot(ANA), AT)["permissions_v2_ignore_tos"] == {}


def test_the_token_of_a_deleted_principal_is_unknown(run: Run) -> None:
    token, secret = run(tokens.mint, users.find(run.database, ANA))
    shell(run, "DELETE FROM principals")
    assert token_checks.check(run.database, PresentedToken(secret), AT).problem is TokenError.UNKNOWN
    assert token_checks.check(run.database, PresentedToken(token.id), AT).problem is TokenError.UNKNOWN


def test_terms_of_one_version_do_not_hold_back_the_dataset(run: Run) -> None:
    """The clients of user/cache know datasets only."""
    subject = principal_subject(users.find(run.database, ANA))
    run(grants.add, subject, Target("fish2", "view", "v1"))
    run(terms.add, "Terms", "Be kind.", dataset="fish2", version="v1")
    assert reasons(run)[0] is Reason.GRANTED


def test_a_snapshot_has_a_dataset_only_if_it_is_requested_public_or_granted(run: Run) -> None:
    run(datasets.add, "open", public=True)
    run(datasets.add, "closed")
    assert set(run.snapshot(ANA).datasets) == {"open"}
    assert set(run.snapshot(ANA, also="closed").datasets) == {"open", "closed"}
    assert set(run.snapshot(ANA, also="no such").datasets) == {"open"}


def test_each_principal_with_a_grant_is_read_once_in_the_order_of_ids(run: Run) -> None:
    account, _ = run(service_accounts.add, "bot")
    run(users.add, "zoe@x.org")
    run(grants.add, principal_subject(account), Target("fish2", "view"))
    for permission in ("view", "edit"):
        run(grants.add, group_subject(run.database, "lab"), Target("fish2", permission))
        run(grants.add, principal_subject(users.find(run.database, ANA)), Target("fish2", permission))
    everybody = list(snapshots.read_dataset_holders(run.database, "fish2"))
    assert [(snapshot.label, len(snapshot.grants)) for snapshot in everybody] == [(ANA, 4), ("bot", 1)]
