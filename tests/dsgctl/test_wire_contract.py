"""The body of user/cache, and the rules, against a second, naive reading of contract.md, "GET /api/v1/user/cache".

Generated data goes into a real database; naive_reading.py says what the answer must be.
"""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgctl.core import snapshots
from dsgctl.core.rules import access
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import AT, DAY
from tests.dsgctl.generated_worlds import (
    PERMISSIONS,
    SERVICES,
    WorldFiles,
    any_order,
    examples,
    read_snapshots,
    worlds,
)
from tests.dsgctl.naive_reading import World, is_enabled, oracle

ASKING = [None, *SERVICES, "unknown"]


@pytest.fixture(scope="module")
def files(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> WorldFiles:
    return WorldFiles(empty_database, tmp_path_factory.mktemp("worlds"))


@examples(80)
@given(world=worlds())
def test_user_cache_says_what_the_contract_says(files: WorldFiles, world: World) -> None:
    with files.holding(world) as database:
        for service in ASKING:
            by_id = read_snapshots(database, service)
            for principal in world["principals"]:
                # A disabled account is answered 401, so the contract says nothing of its body.
                if is_enabled(world, principal):
                    body = build_user_cache(by_id[principal["id"]], AT)
                    assert any_order(body) == any_order(oracle(world, principal, service, AT))
                    assert json.loads(json.dumps(body)) == body


@examples(40)
@given(world=worlds(), service=st.sampled_from(ASKING))
def test_a_decision_allows_what_user_cache_lists_and_an_active_account(
    files: WorldFiles, world: World, service: str | None
) -> None:
    with files.holding(world) as database:
        for dataset in [*(row["name"] for row in world["datasets"]), "no such dataset"]:
            by_id = read_snapshots(database, service, dataset if dataset.startswith("data") else None)
            for principal in world["principals"]:
                listed = oracle(world, principal, service, AT)["permissions_v2"].get(dataset, [])
                for permission in [*PERMISSIONS, "nonsense", ""]:
                    decision = access.decide(by_id[principal["id"]], dataset, permission, AT)
                    assert decision.allowed == (is_enabled(world, principal) and permission in listed)


@examples(40)
@given(world=worlds(), service=st.sampled_from(ASKING))
def test_the_facts_of_a_dataset_agree_with_those_of_each_principal(
    files: WorldFiles, world: World, service: str | None
) -> None:
    with files.holding(world) as database:
        for name in (row["name"] for row in world["datasets"]):
            by_dataset = {
                snapshot.id: snapshot for snapshot in snapshots.read_dataset_holders(database, name, service=service)
            }
            for principal_id, snapshot in read_snapshots(database, service).items():
                on_it = {grant for grant in snapshot.grants if grant.dataset == name}
                assert (principal_id in by_dataset) == bool(on_it)
                if on_it:
                    holder = by_dataset[principal_id]
                    assert set(holder.grants) == on_it
                    assert holder.label == snapshot.label
                    assert holder.datasets[name] == snapshot.datasets[name]
                    for permission in PERMISSIONS:
                        decision = access.decide(snapshot, name, permission, AT)
                        assert decision.reason == access.decide(holder, name, permission, AT).reason
                        assert decision.missing == access.decide(holder, name, permission, AT).missing


@examples(40)
@given(world=worlds())
def test_no_answer_changes_before_its_stated_time(files: WorldFiles, world: World) -> None:
    dates = {row["expires"] for row in world["grants"]}
    dates |= {row[key] for row in world["terms"] for key in ("effective", "retired")}
    moments = {AT, AT + 100 * DAY}
    for date in dates - {None}:
        moments |= {date - timedelta(microseconds=1), date, date + timedelta(microseconds=1)}
    with files.holding(world) as database:
        for service in ASKING:
            for snapshot in read_snapshots(database, service).values():
                answers = {at: build_user_cache(snapshot, at) for at in moments}
                for at in moments:
                    end = access.next_change(snapshot, at)
                    assert end is None or end > at
                    lasting = [later for later in moments if at < later and (end is None or later < end)]
                    assert all(answers[later] == answers[at] for later in lasting)
