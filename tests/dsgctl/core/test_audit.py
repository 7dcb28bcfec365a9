"""The record of every change: whole, in order, and not to be altered unseen."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.core import audit, audit_chain, users
from dsgctl.core.errors import NotFound
from tests.dsgctl.core.builders import AT, DAY, Run, refused

pytestmark = pytest.mark.usefixtures("six_records")


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "UPDATE audit SET id = 9"])
def test_the_table_refuses_update_and_delete(run: Run, path: Path, statement: str) -> None:
    before = run.content()
    connection = apsw.Connection(str(path))
    with pytest.raises(apsw.ConstraintError, match="audit records cannot be"):
        connection.execute(statement + " WHERE id = 2")
    connection.close()
    assert run.content() == before


def test_the_chain_goes_on_from_the_last_record(run: Run) -> None:
    last = audit.last_hash(run.database)
    run(users.add, "cid@x.org")
    record = run.records()[-1]
    fields = ["2026-11-20T12:00:00.000000Z", "os:test", "user.add", "user:cid@x.org", None, "{}", None]
    assert record["hash"] == audit.chain_hash(last, fields).hex()
    assert audit_chain.verify(run.database) is None


def test_records_of_another_system_are_known_by_where_they_come_from(run: Run) -> None:
    origins = [f"old:{number}" for number in range(1200)]
    assert audit.find_imported(run.database, origins) == {"old:1"}
    record = run.records()[4]
    assert (record["at"], record["actor"], record["after"]) == (AT - 9 * DAY, "old", {"a": [2], "b": 1})


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"limit": 2}, [6, 5]),
        ({"actor": "eve"}, [1]),
        ({"actor": "OS:TEST"}, [6, 2]),
        ({"target": "ana@x.org"}, [6, 4, 2, 1]),
        ({"target": "%"}, [3]),
        ({"target": "0%_s"}, [3]),
        ({"target": "a_a"}, []),
        ({"actor": "*"}, []),
        ({"since": AT}, [6, 4, 3, 2]),
        ({"since": AT + timedelta(microseconds=1)}, [6, 4]),
        ({"since": AT, "actor": "os:", "target": "ana", "limit": 1}, [6]),
    ],
    ids=repr,
)
def test_records_are_listed_from_the_newest_by_part_of_actor_and_target(
    run: Run, filters: dict[str, Any], expected: list[int]
) -> None:
    assert [row["id"] for row in audit.list_records(run.database, **filters)] == expected


def test_a_moment_of_any_zone_is_compared_as_a_moment(run: Run) -> None:
    since = datetime.fromisoformat(AT.isoformat()).astimezone(timezone(timedelta(hours=9)))
    assert [row["id"] for row in audit.list_records(run.database, since=since)] == [6, 4, 3, 2]


def test_a_record_is_shown_whole(run: Run) -> None:
    shown = audit.show(run.database, 2)
    assert re.fullmatch("[0-9a-f]{64}", shown.pop("hash"))
    assert shown == {
        "id": 2,
        "at": AT,
        "actor": "os:test",
        "action": "user.set",
        "target": "user:ana@x.org",
        "before": {"name": "Zoë 陈"},
        "after": {"name": "Ana"},
        "imported_from": None,
    }
    with refused(NotFound, "no audit record 7", "dsgctl audit list"):
        audit.show(run.database, 7)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (None, None),
        ({}, "{}"),
        ({"b": 1, "a": None}, '{"a":null,"b":1}'),
        ({"name": "Zoë 陈", "on": True}, '{"name":"Zoë 陈","on":true}'),
        ({"at": AT}, '{"at":"2026-11-20T12:00:00.000000Z"}'),
        ({"at": [AT.astimezone(timezone(timedelta(hours=-5)))]}, '{"at":["2026-11-20T12:00:00.000000Z"]}'),
    ],
)
def test_each_state_has_one_encoding(state: Any, expected: str | None) -> None:
    assert audit.encode_state(state) == expected


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_a_value_without_an_encoding_is_refused(run: Run, value: Any) -> None:
    before = run.content()
    with pytest.raises(TypeError, match="an audit record cannot hold"):
        run(lambda change: change.record("user.set", "user:x", after={"value": value}))
    assert run.content() == before


def different_fields() -> list[Callable[[], list[str | None]]]:
    base: list[str | None] = ["a", "b", "c", "d", None, "{}", None]
    return [
        lambda: base,
        lambda: ["ab", "", *base[2:]],
        lambda: [*base[:4], "null", *base[5:]],
        lambda: [*base[:4], "{}", None, None],
        lambda: ['a","b', "c", *base[2:]],
    ]


def test_no_two_records_have_one_hash() -> None:
    hashes = {audit.chain_hash(audit.GENESIS, fields()) for fields in different_fields()}
    assert len(hashes) == len(different_fields())
    assert audit.chain_hash(bytes(32), ["a"]) != audit.chain_hash(bytes(31) + b"\x01", ["a"])
