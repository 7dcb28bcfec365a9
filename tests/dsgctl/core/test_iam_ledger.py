"""Who should read a bucket with an account of their own, the ledger, and what is changed in a policy."""

import json
import random
from collections import Counter
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgctl.core import (
    acceptances,
    buckets,
    datasets,
    grants,
    groups,
    iam_ledger,
    locations,
    service_accounts,
    services,
    terms,
    users,
    versions,
)
from dsgctl.core.errors import DsgError
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.core.rules.buckets import BucketReason, decide_bucket_access, drop_nested
from dsgctl.core.rules.iam_policy import (
    ROLE,
    Difference,
    UnknownPolicy,
    apply_difference,
    compare,
    count_principals,
    list_viewers,
    require_policy,
)
from dsgctl.core.snapshots import read_bucket
from dsgctl.core.transaction import begin_change
from dsgctl.store.models import Principal
from tests.dsgctl.core.builders import AT, DAY, Run
from tests.level_table import FOREIGN, NAMES

ADA, BO = "user:ada@example.org", "user:bo@example.org"
CONDITION = {"title": "t", "expression": "true"}


@pytest.fixture
def run_with_bucket(run: Run) -> Run:
    """fish lies in lab-data, which is chosen; fly lies there too, and is public."""
    for name in ("fish", "fly"):
        run(datasets.add, name, public=name == "fly")
        run(locations.add, name, f"gs://lab-data/{name}")
    run(buckets.set_attributes, "lab-data", iam=True)
    for name in ("Ada", "bo", "cy"):
        run(users.add, f"{name}@Example.org")
    return run


def read_members(run: Run, at: Any = AT) -> set[str]:
    with run.database.snapshot():
        return set(iam_ledger.read_members(run.database, "lab-data", at))


def give(run: Run, email: str, permission: str = "view", **settings: Any) -> None:
    principal = users.find(run.database, email)
    run(grants.add, principal_subject(principal), Target("fish", permission), **settings)


def test_nobody_is_a_member_without_a_grant_even_on_a_public_dataset(run_with_bucket: Run) -> None:
    assert read_members(run_with_bucket) == set()


@pytest.mark.parametrize("permission", NAMES)
def test_a_grant_of_any_level_makes_a_member(run_with_bucket: Run, permission: str) -> None:
    give(run_with_bucket, "ada@example.org", permission)
    assert read_members(run_with_bucket) == {ADA}


def test_a_grant_counts_until_it_ends(run_with_bucket: Run) -> None:
    give(run_with_bucket, "ada@example.org", expires=AT + DAY)
    assert read_members(run_with_bucket) == {ADA}
    assert read_members(run_with_bucket, AT + DAY) == set()


def test_admins_service_accounts_and_the_disabled_are_left_out(run_with_bucket: Run) -> None:
    for email in ("ada@example.org", "bo@example.org", "cy@example.org"):
        give(run_with_bucket, email)
    run_with_bucket(users.set_attributes, "bo@example.org", admin=True)
    run_with_bucket(users.set_active, "cy@example.org", False)
    run_with_bucket(service_accounts.add, "robot")
    robot = service_accounts.find(run_with_bucket.database, "robot")
    run_with_bucket(grants.add, principal_subject(robot), Target("fish", "view"))
    assert read_members(run_with_bucket) == {ADA}


def test_a_person_with_missing_terms_is_no_member(run_with_bucket: Run) -> None:
    give(run_with_bucket, "ada@example.org")
    run_with_bucket(terms.add, "T", "Be kind.", dataset="fish")
    assert read_members(run_with_bucket) == set()


def test_a_grant_for_one_service_makes_no_member(run_with_bucket: Run) -> None:
    run_with_bucket(services.add, "clio")
    ada = principal_subject(users.find(run_with_bucket.database, "ada@example.org"))
    run_with_bucket(grants.add, ada, Target("fish", "admin", service="clio"))
    assert read_members(run_with_bucket) == set()


def test_a_bucket_that_was_not_chosen_has_no_members(run_with_bucket: Run) -> None:
    give(run_with_bucket, "ada@example.org")
    run_with_bucket(buckets.set_attributes, "lab-data", iam=False)
    assert read_members(run_with_bucket) == set()


def test_accepted_terms_of_a_version_count(run_with_bucket: Run) -> None:
    run_with_bucket(versions.add, "fish", "v1")
    run_with_bucket(locations.remove, "fish", "gs://lab-data/fish")
    run_with_bucket(locations.add, "fish", "gs://lab-data/fish", version="v1")
    give(run_with_bucket, "ada@example.org")
    document, _ = run_with_bucket(terms.add, "T", "Be kind.", dataset="fish", version="v1")
    assert read_members(run_with_bucket) == set()
    run_with_bucket(acceptances.accept, document.id, "ada@example.org")
    assert read_members(run_with_bucket) == {ADA}


def test_nobody_is_a_member_of_a_bucket_with_too_many_prefixes(run_with_bucket: Run) -> None:
    give(run_with_bucket, "ada@example.org")
    for number in range(60):
        run_with_bucket(locations.add, "fish", f"gs://lab-data/more/{number}")
    assert read_members(run_with_bucket) == set()


PEOPLE = tuple(f"{name}@example.org" for name in ("ada", "bo", "cy", "admin", "child", "reader"))


def a_random_step(run: Run, chance: random.Random) -> None:
    """One change of what decides, of whatever kind."""
    who, dataset = chance.choice(PEOPLE), chance.choice(("fish", "fly", "worm"))
    version = chance.choice((None, "v1", "v2"))
    ends = chance.choice((None, AT + DAY, AT + 3 * DAY))
    subject = chance.choice(
        (
            lambda: principal_subject(users.find(run.database, who)),
            lambda: group_subject(run.database, "lab"),
        )
    )
    folder = chance.choice(("a/", "a/b/", "a-b/", "o'neil/", "c/", ""))
    target = Target(dataset, chance.choice(("view", "edit", FOREIGN)), version)
    document = chance.randint(1, 6)
    chance.choice(
        (
            lambda: run(grants.add, subject(), target, expires=ends),
            lambda: run(grants.add, subject(), target, expires=ends),
            lambda: run(grants.revoke, subject(), target),
            lambda: run(groups.add_member, "lab", who),
            lambda: run(groups.remove_member, "lab", who),
            lambda: run(locations.add, dataset, f"gs://lab-data/{folder}", version=version, any_prefix=True),
            lambda: run(locations.remove, dataset, f"gs://lab-data/{folder}", version=version),
            lambda: run(
                terms.add,
                f"T {chance.random()}",
                "Be kind.",
                dataset="fly",
                version=version,
                effective=chance.choice((AT, AT + 2 * DAY)),
            ),
            lambda: run(acceptances.accept, document, who),
            lambda: run(acceptances.accept, document, who),
            lambda: run(users.set_active, who, chance.random() < 0.7),
            lambda: run(datasets.set_attributes, dataset, public=chance.random() < 0.5),
        )
    )()


@pytest.mark.parametrize("seed", range(2))
def test_the_members_are_those_to_whom_the_gateway_gives_a_token(run: Run, seed: int) -> None:
    """The doors, person by person, at every moment, while whatever decides changes."""
    chance = random.Random(seed)
    run(groups.add, "lab")
    for name in ("fish", "fly", "worm"):
        run(datasets.add, name)
        for version in ("v1", "v2"):
            run(versions.add, name, version)
        run(locations.add, name, f"gs://lab-data/{name}")
    for number in range(61):
        run(locations.add, "fish", f"gs://wide/{number}", version="v1" if number else None)
    run(locations.add, "worm", "gs://wide/o'neil", any_prefix=True)
    for bucket in ("lab-data", "wide"):
        run(buckets.set_attributes, bucket, iam=True)
    for email in PEOPLE:
        run(users.add, email, admin=email.startswith("admin"), read_only=email.startswith("reader"))
    run(grants.add, principal_subject(users.find(run.database, "reader@example.org")), Target("worm", "view"))
    parent = users.find(run.database, "bo@example.org").id
    with begin_change(run.database, "os:test") as change:  # only an import makes children
        change.database.run(Principal.update(parent=parent).where(Principal.email == "child@example.org"))
    reasons: Counter[BucketReason] = Counter()
    for _ in range(60):
        with suppress(DsgError):  # what is not there cannot be revoked
            a_random_step(run, chance)
        for at in (AT, AT + 2 * DAY):
            for bucket in ("lab-data", "wide"):
                reasons.update(compare_doors(run, bucket, at))
    assert {*reasons} == {*BucketReason} - {BucketReason.UNKNOWN_BUCKET}, "some reason was not tried"


def compare_doors(run: Run, bucket: str, at: datetime) -> list[BucketReason]:
    """What POST /gcs_token answers to each person, after it was held against Google's policy and explanations."""
    with run.database.snapshot():
        locations = read_bucket(run.database, bucket)
        decisions = {email: decide_bucket_access(run.snapshot(email), locations, at) for email in PEOPLE}
        members = iam_ledger.read_members(run.database, bucket, at)
    let_in = {email for email, decision in decisions.items() if decision.reason is BucketReason.GRANTED}
    assert members == {iam_ledger.member_of(email) for email in let_in - {"admin@example.org"}}
    for decision in decisions.values():
        read = {location.prefix for location, reason in decision.places if reason is BucketReason.GRANTED}
        assert drop_nested(read) == decision.prefixes
        assert bool(decision.conditions) == (decision.reason is BucketReason.GRANTED) == bool(read)
    return [decision.reason for decision in decisions.values()]


def test_the_ledger_follows_a_run_that_is_written(run_with_bucket: Run) -> None:
    assert run_with_bucket(iam_ledger.begin, "lab-data", Difference(add=(ADA, BO))) == {ADA, BO}
    assert iam_ledger.read_ledger(run_with_bucket.database, "lab-data") == {ADA: "intended", BO: "intended"}
    run_with_bucket(iam_ledger.finish, "lab-data", Difference(add=(ADA, BO)))
    run_with_bucket(iam_ledger.finish, "lab-data", Difference(remove=(BO,)))
    assert iam_ledger.read_ledger(run_with_bucket.database, "lab-data") == {ADA: "held"}
    assert run_with_bucket.actions()[-3:] == [
        f"iam.add bucket:lab-data {ADA}",
        f"iam.add bucket:lab-data {BO}",
        f"iam.remove bucket:lab-data {BO}",
    ]
    assert [row["member"] for row in iam_ledger.list_ledger(run_with_bucket.database)] == [ADA]
    assert list(iam_ledger.list_ledger(run_with_bucket.database, "other")) == []


def test_only_a_new_intention_is_withdrawn(run_with_bucket: Run) -> None:
    run_with_bucket(iam_ledger.begin, "lab-data", Difference(add=(ADA,)))  # its answer may still be on its way
    new = run_with_bucket(iam_ledger.begin, "lab-data", Difference(add=(ADA, BO)))
    run_with_bucket(iam_ledger.withdraw, "lab-data", new)
    assert iam_ledger.read_ledger(run_with_bucket.database, "lab-data") == {ADA: "intended"}
    assert not any(action.startswith("iam_ledger.") for action in run_with_bucket.actions()), "nothing has come about"


def test_a_member_removed_by_somebody_else_is_recorded_once(run_with_bucket: Run) -> None:
    run_with_bucket(iam_ledger.finish, "lab-data", Difference(add=(ADA, BO)))
    for _ in range(2):
        new = run_with_bucket(iam_ledger.begin, "lab-data", Difference(add=(ADA,), vanished=(BO,)))
        run_with_bucket(iam_ledger.withdraw, "lab-data", new)
    assert run_with_bucket.actions()[-2:] == [f"iam.forget bucket:lab-data {BO}", f"iam.forget bucket:lab-data {ADA}"]
    assert iam_ledger.read_ledger(run_with_bucket.database, "lab-data") == {}


def test_a_bucket_stays_chosen_while_members_are_left(run_with_bucket: Run) -> None:
    run_with_bucket(iam_ledger.finish, "lab-data", Difference(add=(ADA,)))
    run_with_bucket(buckets.set_attributes, "lab-data", iam=False)
    assert iam_ledger.list_chosen_buckets(run_with_bucket.database) == ["lab-data"]
    run_with_bucket(iam_ledger.finish, "lab-data", Difference(remove=(ADA,)))
    assert iam_ledger.list_chosen_buckets(run_with_bucket.database) == []


# What is changed in a policy. Member spelled as Google might, in the ledger as, wanted -> what is done.
COMPARED: dict[str, tuple[bool, str | None, bool, Difference]] = {
    "nothing": (False, None, False, Difference()),
    "new": (False, None, True, Difference(add=(ADA,))),
    "somebody else's": (True, None, False, Difference()),
    "somebody else's, wanted too": (True, None, True, Difference()),
    "ours": (True, "held", True, Difference(unchanged=1)),
    "ours, no longer wanted": (True, "held", False, Difference(remove=(ADA,))),
    "ours, taken out by others": (False, "held", True, Difference(add=(ADA,))),
    "ours, taken out, not wanted": (False, "held", False, Difference(vanished=(ADA,))),
    "written, the answer lost": (True, "intended", True, Difference(confirmed=(ADA,), unchanged=1)),
    "written, no longer wanted": (True, "intended", False, Difference(confirmed=(ADA,), remove=(ADA,))),
    "not written": (False, "intended", True, Difference(add=(ADA,))),
    "not written, not wanted": (False, "intended", False, Difference(vanished=(ADA,))),
}


@pytest.mark.parametrize(("there", "state", "is_wanted", "difference"), COMPARED.values(), ids=COMPARED)
def test_compare_decides_about_a_member_as_the_table_says(
    there: bool, state: str | None, is_wanted: bool, difference: Difference
) -> None:
    policy = {
        "etag": "a",
        "bindings": [
            {
                "role": ROLE,
                "members": ["deleted:user:ada@example.org?uid=1", *(["user:Ada@Example.org"] if there else [])],
            },
            {"role": ROLE, "members": [ADA], "condition": CONDITION},
            {"role": "roles/storage.admin", "members": [ADA]},
        ],
    }
    actual = compare(policy, {ADA} if is_wanted else set(), {ADA: state} if state else {})
    assert actual == difference
    after = apply_difference(policy, actual)
    assert (ADA in list_viewers(after)) == ((there or is_wanted) and ADA not in difference.remove)
    assert after["bindings"][0]["members"][0] == "deleted:user:ada@example.org?uid=1"
    assert after["bindings"][1:] == policy["bindings"][1:]


_MEMBERS = st.lists(st.sampled_from([ADA, BO, "user:Ada@example.org", "group:g@x.org", "allUsers"]), max_size=4)
_BINDINGS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from([ROLE, "roles/storage.admin"]), "members": _MEMBERS},
        optional={"condition": st.just(CONDITION)},
    ),
    max_size=5,
)
_PEOPLE = st.sets(st.sampled_from([ADA, BO]))


@given(bindings=_BINDINGS, people=_PEOPLE, ours=_PEOPLE)
def test_applying_a_difference_changes_our_members_only(bindings: list[Any], people: set[str], ours: set[str]) -> None:
    policy = {"etag": "a", "version": 3, "kind": "storage#policy", "bindings": bindings}
    before = json.dumps(policy)
    difference = compare(policy, people, dict.fromkeys(ours, "held"))
    after = apply_difference(policy, difference)
    assert json.dumps(policy) == before
    assert {key: after[key] for key in ("etag", "version", "kind")} == {
        "etag": "a",
        "version": 3,
        "kind": policy["kind"],
    }

    def others(of: dict[str, Any]) -> list[Any]:
        return [binding for binding in of["bindings"] if binding["role"] != ROLE or "condition" in binding]

    assert others(after) == others(policy)
    assert list_viewers(after) == list_viewers(policy) - set(difference.remove) | set(difference.add)
    assert list_viewers(after) & {ADA, BO} == (list_viewers(policy) & {ADA, BO}) - (ours - people) | people
    again = compare(after, people, dict.fromkeys(ours & list_viewers(after) | {*difference.add}, "held"))
    assert (again.add, again.remove) == ((), ())
    if not difference.remove:
        assert count_principals(after) == count_principals(policy) + len(difference.add)


def test_a_policy_without_bindings_is_valid() -> None:
    policy = require_policy({"etag": "a"})
    assert apply_difference(policy, Difference(add=(ADA,)))["bindings"] == [{"role": ROLE, "members": [ADA]}]
    with pytest.raises(UnknownPolicy):
        require_policy({"etag": "", "bindings": []})
    with pytest.raises(UnknownPolicy):
        require_policy({"etag": "a", "version": True})
