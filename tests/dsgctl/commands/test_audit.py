"""``dsgctl audit``: the log is whole, or it is said where it is not; and it can be kept elsewhere."""

import json

import pytest

from tests.dsgctl.commands.running import execute
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World

TRIGGERS = ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete")


def test_verify_reports_an_intact_log_and_its_head(filled: World) -> None:
    message = filled.quick("audit", "verify").ok().out
    head = filled.quick("audit", "verify", "-o", "value").ok().out.strip()
    assert message == f"every record follows from the one before it; the last is {head}\n"
    last = json.loads(filled.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert head.startswith(f"{last['id']}:")


@pytest.mark.parametrize(
    ("statement", "record_id"),
    [
        ("UPDATE audit SET actor = 'os:nobody' WHERE id = 7", 7),
        ("DELETE FROM audit WHERE id = 7", 8),
        ("UPDATE audit SET id = 0 WHERE id = 7", 0),
    ],
)
def test_verify_names_the_first_record_that_was_changed(filled: World, statement: str, record_id: int) -> None:
    for step in (*TRIGGERS, statement):
        execute(filled.database, step)
    result = filled.quick("audit", "verify")
    assert (result.code, result.out, is_one_line(result)) == (1, "", True)
    assert f"audit record {record_id} does not follow from the one before it" in result.err


def test_verify_detects_records_cut_off_at_the_end(filled: World) -> None:
    for step in (*TRIGGERS, "DELETE FROM audit WHERE id > 30"):
        execute(filled.database, step)
    assert "audit record 31 does not follow" in filled.quick("audit", "verify").err


def test_verify_detects_a_rewritten_log_by_a_head_noted_elsewhere(filled: World) -> None:
    """Whoever may write to the file can also make a chain that verifies: hence ``--seen``."""
    head = filled.quick("audit", "verify", "-o", "value").ok().out.strip()
    filled.quick("group", "add", "later").ok()
    filled.quick("audit", "verify", "--seen", head).ok()
    for step in (*TRIGGERS, "DELETE FROM audit", "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'audit'"):
        execute(filled.database, step)
    for number in range(60):
        filled.quick("group", "add", f"other-{number}").ok()
    filled.quick("audit", "verify").ok()
    result = filled.quick("audit", "verify", "--seen", head)
    assert (result.code, result.out, is_one_line(result)) == (1, "", True)
    assert "somebody rewrote it" in result.err


@pytest.mark.parametrize(
    "head", ["1", "1:", ":", "1:xyz", "-1:" + "0" * 64, "1:" + "A" * 64, "9" * 19 + ":" + "0" * 64]
)
def test_verify_refuses_a_malformed_head(filled: World, head: str) -> None:
    result = filled.quick("audit", "verify", "--seen", head)
    assert (result.code, result.out, is_one_line(result)) == (2, "", True)
    assert "is not ID:HASH" in result.err


def test_an_export_has_every_record_whole_and_can_be_continued(filled: World) -> None:
    lines = filled.quick("audit", "export", "-o", "jsonl").ok().out.splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["id"] for record in records] == list(range(1, len(records) + 1))
    for record in records[::7]:
        assert record == json.loads(filled.quick("audit", "show", str(record["id"]), "-o", "json").ok().out)
    filled.quick("group", "add", "later").ok()
    more = filled.quick("audit", "export", "--after", str(len(records)), "-o", "jsonl").ok().out
    assert json.loads(more)["target"] == "group:later"
