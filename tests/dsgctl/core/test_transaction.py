"""One change is one transaction: all of it with its records, or nothing."""

import pytest

from dsgctl.core import (
    acceptances,
    audit,
    audit_chain,
    datasets,
    grants,
    groups,
    locations,
    service_accounts,
    service_tables,
    services,
    terms,
    tokens,
    users,
    versions,
)
from dsgctl.core.audit import Record
from dsgctl.core.change import Change
from dsgctl.core.clock import now
from dsgctl.core.errors import Conflict, DsgError
from dsgctl.core.grant_targets import Target, group_subject
from dsgctl.core.new_users import NewUser
from dsgctl.core.transaction import accept_clock, begin_change, require_clock
from dsgctl.store import Database
from tests.dsgctl.core.builders import AT, DAY, Run, add_people


def everything(change: Change) -> None:
    """Every kind of change there is, each once."""
    user, _ = users.add(change, "ana@x.org", name="Ana", affiliations=["HHMI"])
    users.set_attributes(change, "ana@x.org", name="Ann")
    users.bind(change, user, "https://issuer.example", "1")
    groups.add(change, "lab")
    groups.add_member(change, "lab", "ana@x.org")
    datasets.add(change, "fish2")
    versions.add(change, "fish2", "v1")
    locations.add(change, "fish2", "gs://bucket/a", version="v1")
    grants.add(change, group_subject(change.database, "lab"), Target("fish2", "edit"))
    services.add(change, "clio")
    service_tables.add_table(change, "clio", "t", "fish2")
    service_tables.add_root(change, "clio", "t", 1)
    document, _ = terms.add(change, "Terms", "Be kind.", dataset="fish2")
    acceptances.accept(change, document.id, "ana@x.org")
    account, _ = service_accounts.add(change, "bot")
    token, _ = tokens.mint(change, account)
    tokens.rotate(change, token.id, overlap=DAY)
    tokens.prune(change, before=AT + 2 * DAY)
    terms.retire(change, document.id)
    versions.remove(change, "fish2", "v1")
    groups.remove(change, "lab")
    services.remove(change, "clio")
    service_accounts.set_active(change, "bot", False)
    service_accounts.remove(change, "bot")
    datasets.remove(change, "fish2")
    users.remove(change, "ana@x.org")
    add_people(change, [NewUser(f"u{number}@x.org", {}) for number in range(1100)])


def test_a_dry_run_reports_every_change_and_makes_none(run: Run) -> None:
    run(users.add, "eve@x.org")
    before, records = run.content(), list[Record]()
    with begin_change(run.database, "os:test", at=AT, dry_run=True, watch=records.append) as change:
        everything(change)
    assert run.content() == before
    planned = [f"{record.action} {record.target}" for record in records]
    run(everything)
    assert run.actions()[1:] == planned
    assert audit_chain.verify(run.database) is None


# Days from now at which changes were made, in their order, and whether the clock is refused now
CLOCKS: dict[str, tuple[list[float], bool]] = {
    "nothing yet": ([], False),
    "yesterday": ([-1], False),
    "a moment ahead": ([4 / 1440], False),
    "ahead": ([1], True),
    "ahead, then by a clock that was set back": ([30, 0], True),
    "ahead, then often": ([30, *([-1] * 50)], True),
    "ahead in the middle": ([-9, 400, -8, -7], True),
}


@pytest.mark.parametrize("case", CLOCKS)
def test_the_clock_is_compared_with_the_latest_recorded_change(database: Database, case: str) -> None:
    days, refused = CLOCKS[case]
    at = now()
    for number, day in enumerate(days):
        with begin_change(database, "os:test", at=at + day * DAY) as change:
            users.add(change, f"u{number}@x.org")
    if not refused:
        require_clock(database, at)
        return
    with pytest.raises(DsgError, match="this host's clock says"):
        require_clock(database, at)
    with begin_change(database, "os:test", at=at) as change:
        accept_clock(change)
    require_clock(database, at)
    with pytest.raises(DsgError):
        require_clock(database, at - DAY)
    with begin_change(database, "os:test", at=at + 2 * DAY) as change:
        users.add(change, "later@x.org")
    with pytest.raises(DsgError):
        require_clock(database, at)


def test_an_imported_record_is_not_compared_with_this_clock(database: Database) -> None:
    audit.append(database, [Record(now() + 400 * DAY, "x", "x", "x", imported_from="there")])
    require_clock(database, now())
    assert audit.find_latest_change(database) is None


def test_an_imported_record_does_not_accept_this_clock(database: Database) -> None:
    ahead = now() + 30 * DAY
    here = Record(ahead, "x", "x", "x")
    audit.append(database, [here, Record(now(), "x", audit.ACCEPT_CLOCK, "clock", imported_from="there")])
    assert audit.find_latest_change(database) == ahead
    with pytest.raises(DsgError, match="this host's clock says"):
        require_clock(database, now())


def test_the_latest_change_is_found_through_an_index(database: Database) -> None:
    plan = database.read("EXPLAIN QUERY PLAN " + audit._LATEST)
    assert all("SCAN" not in row[3] or "USING" in row[3] for row in plan)
    assert not any("TEMP B-TREE" in row[3] for row in plan)


def test_a_change_that_fails_halfway_is_rolled_back(run: Run) -> None:
    run(users.add, "eve@x.org")
    before = run.content()

    def fail_halfway(change: Change) -> None:
        everything(change)
        users.add(change, "eve@x.org", name="Eve")

    with pytest.raises(Conflict):
        run(fail_halfway)
    assert run.content() == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, RuntimeError], ids=lambda kind: kind.__name__)
def test_a_change_stopped_by_any_exception_is_rolled_back(run: Run, stop: type[BaseException]) -> None:
    before = run.content()

    def stop_halfway(change: Change) -> None:
        everything(change)
        raise stop()

    with pytest.raises(stop):
        run(stop_halfway)
    assert run.content() == before
    run(users.add, "eve@x.org")  # and the database can be written to


@pytest.mark.parametrize("records", [1, 1100])
def test_a_change_that_cannot_be_recorded_is_rolled_back(run: Run, records: int) -> None:
    run.database.script(
        "CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no room for records'); END"
    )
    before = run.content()
    with pytest.raises(Exception, match="no room for records"):
        run(add_people, [NewUser(f"u{number}@x.org", {}) for number in range(records)])
    assert run.content() == before


def test_a_change_has_one_actor_and_one_moment(run: Run) -> None:
    run(everything, actor="os:eve as root", at=AT + DAY)
    records = run.records()
    assert {record["actor"] for record in records} == {"os:eve as root"}
    assert {record["at"] for record in records} == {AT + DAY}


def test_a_change_without_a_given_time_happens_now(database: Database) -> None:
    earlier = now()
    with begin_change(database, "os:test") as change:
        assert earlier <= change.at <= now()
    assert earlier.utcoffset() is not None
