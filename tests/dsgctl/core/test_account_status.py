"""Whether an account counts: of a child, whether all above it do."""

import pytest

from dsgctl.core import (
    account_status,
    clock,
    datasets,
    grants,
    logins,
    offboarding,
    snapshots,
    token_checks,
    token_queries,
    tokens,
    users,
)
from dsgctl.core.errors import Conflict, Invalid, NotAllowed
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.rules import access, buckets
from dsgctl.core.token_checks import PresentedToken, TokenError
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.core.test_users import make_child

TOP, MIDDLE, CHILD = "top@x.org", "middle@x.org", "child@x.org"


@pytest.fixture
def family(run: Run) -> Run:
    """The child of a child of somebody, who may view fish, and has a token and an identity."""
    for email in (TOP, MIDDLE, CHILD):
        run(users.add, email)
    make_child(run, MIDDLE, TOP)
    make_child(run, CHILD, MIDDLE)
    run(datasets.add, "fish")
    child = users.find(run.database, CHILD)
    run(grants.add, principal_subject(child), Target("fish", "view"))
    run(users.bind, child, "https://issuer", "child")
    return run


def _find_disabled(run: Run) -> str | None:
    return account_status.find_disabled(run.database, users.find(run.database, CHILD))


# What the three are, from the top, and because of which one the child does not count.
CASES = [
    ((True, True, True), None),
    ((False, True, True), TOP),
    ((True, False, True), MIDDLE),
    ((False, False, True), MIDDLE),
    ((True, True, False), CHILD),
    ((False, False, False), CHILD),
]


@pytest.mark.parametrize(("enabled", "ended_by"), CASES)
def test_every_check_agrees_on_the_status_of_a_child(
    family: Run, enabled: tuple[bool, ...], ended_by: str | None
) -> None:
    run = family
    child = users.find(run.database, CHILD)
    _, secret = run(tokens.mint, child)
    for email, active in zip((TOP, MIDDLE, CHILD), enabled, strict=True):
        run(users.set_active, email, active)
    child = users.find(run.database, CHILD)
    counts = ended_by is None
    assert _find_disabled(run) == ended_by
    checked = token_checks.check(run.database, PresentedToken(secret), clock.now())
    assert checked.problem is (None if counts else TokenError.DISABLED)
    assert checked.token is not None
    assert token_checks.check(run.database, PresentedToken(checked.token.id), clock.now()).problem is checked.problem
    assert token_queries.show(run.database, checked.token.id, clock.now())["state"] == (
        "valid" if counts else "account_disabled"
    )
    snapshot_of_child = snapshots.read_principal(run.database, child)
    (holder,) = snapshots.read_dataset_holders(run.database, "fish")
    for snapshot in (snapshot_of_child, holder):
        assert (snapshot.active, snapshot.ended_by) == (counts, ended_by)
        assert access.effective_permissions(snapshot, clock.now()) == ({"fish": frozenset({"view"})} if counts else {})
        assert access.decide(snapshot, "fish", "view", clock.now()).allowed is counts
        assert access.may_know_of(snapshot, "fish", clock.now()) is counts
        assert buckets.decide_bucket_access(snapshot, [], clock.now()).reason is not buckets.BucketReason.GRANTED
    identity = logins.Identity("https://issuer", "child", CHILD)
    if counts:
        run(tokens.mint, child)
        run(logins.sign_in, identity)
        run(offboarding.offboard, TOP, heir=None)
        return
    with refused(Conflict, "is disabled"):
        run(tokens.mint, child)
    with pytest.raises(NotAllowed, match="disabled"):
        run(logins.sign_in, identity)
    run(users.add, "leaves@x.org")
    with refused(Invalid, "cannot become their creator"):
        run(offboarding.offboard, "leaves@x.org", heir=CHILD)


def test_an_absent_parent_or_a_circle_of_parents_is_no_error(family: Run) -> None:
    database = family.database
    top = users.find(database, TOP)
    database.script(f"UPDATE principals SET parent_id = {users.find(database, CHILD).id} WHERE id = {top.id}")
    assert _find_disabled(family) is None
    database.script(f"UPDATE principals SET active = 0 WHERE id = {top.id}")
    assert _find_disabled(family) == TOP
    database.script(f"PRAGMA foreign_keys = 0; DELETE FROM principals WHERE id = {top.id}")
    assert _find_disabled(family) == f"account {top.id}"


def test_disabling_the_parent_of_the_last_admin_is_refused(run: Run) -> None:
    for email in (TOP, MIDDLE):
        run(users.add, email, admin=email == MIDDLE)
    make_child(run, MIDDLE, TOP)
    with refused(NotAllowed, "middle@x.org is the last admin and would be disabled"):
        run(users.set_active, TOP, False)
    run(users.add, CHILD, admin=True)
    assert run(users.set_active, TOP, False)
    with refused(NotAllowed, "child@x.org is the last admin"):  # the other one does not count
        run(users.set_active, CHILD, False)
