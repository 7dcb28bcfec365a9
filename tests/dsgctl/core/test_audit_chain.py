"""The chain of the audit log: every change of a stored record is noticed."""

from pathlib import Path

import apsw
import pytest

from dsgctl.core import audit, audit_chain
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.core.builders import Run, trace_statements

pytestmark = pytest.mark.usefixtures("six_records")


def behind_the_triggers(path: Path, *statements: str) -> None:
    """Change the table as somebody does who may write to the file and knows what stands in the way."""
    connection = apsw.Connection(str(path))
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
    for (trigger,) in list(connection.execute(triggers)):
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_an_untouched_chain_is_whole(run: Run) -> None:
    assert len(run.records()) == 6
    assert audit_chain.verify(run.database) is None


def test_no_records_are_a_whole_chain(empty_database: Path) -> None:
    database = SqliteDatabase(empty_database, read_only=True)
    assert audit_chain.verify(database) is None
    assert audit.last_hash(database) == audit.GENESIS
    database.close()


@pytest.mark.parametrize("last", [0, 1, 5])
def test_a_chain_that_was_cut_at_its_end_is_found(run: Run, path: Path, last: int) -> None:
    behind_the_triggers(path, f"DELETE FROM audit WHERE id > {last}")
    assert audit_chain.verify(run.database) == last + 1


EDITS = {
    "at": "'2026-11-20T12:00:00.000001Z'",
    "at, to no date": "'2026-99-99T12:00:00.000000Z'",
    "actor": "'os:nobody'",
    "action": "'user.get'",
    "actor, by a NUL": "actor || char(0)",
    "actor, to bytes that are no text": "CAST(x'ff' AS TEXT)",
    "action, into the next column": """action || '","' || target""",
    "target": "'user:bea@x.org'",
    "target, by a control character": "target || char(127)",
    "before": "'{}'",
    "before, to nothing": "NULL",
    "before, to the text of nothing": "'null'",
    "after": '\'{"name":"x"}\'',
    "after, to another spelling of the same": "' ' || after",
    "after, to nothing": "NULL",
    "imported_from": "'old:2'",
    "hash": "zeroblob(32)",
}


@pytest.mark.parametrize("record_id", [1, 2, 6])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_record_is_found(run: Run, path: Path, edit: str, record_id: int) -> None:
    column = edit.partition(",")[0]
    condition = f"id = {record_id} AND {column} IS NOT ({EDITS[edit]})"
    ((changed,),) = run.database.read(f"SELECT count(*) FROM audit WHERE {condition}")
    behind_the_triggers(path, f"UPDATE audit SET {column} = {EDITS[edit]} WHERE {condition}")
    assert audit_chain.verify(run.database) == (record_id if changed else None)


@pytest.mark.parametrize("first", range(0, 0x110000, 0x8000))
def test_sqlite_writes_the_fields_as_they_were_hashed(run: Run, first: int) -> None:
    every = "".join(map(chr, range(first, first + 0x8000))).encode("utf-8", "ignore").decode()
    for fields in ([every, None], [None, every[::-1]]):
        (text,) = next(run.database.execute("SELECT CAST(json_array(?, ?) AS BLOB)", fields))
        assert audit.hash_text(audit.GENESIS, text) == audit.chain_hash(audit.GENESIS, fields)


def test_records_are_read_once_and_not_one_by_one(run: Run) -> None:
    few, many = [], []
    with trace_statements(run.database, few):
        assert audit_chain.verify(run.database) is None
    run(lambda change: [change.record("user.set", f"user:{number}") for number in range(5000)])
    with trace_statements(run.database, many):
        assert audit_chain.verify(run.database) is None
    assert many == few


@pytest.mark.parametrize(
    ("statements", "record_id"),
    [
        (["DELETE FROM audit WHERE id = 1"], 2),
        (["DELETE FROM audit WHERE id = 3"], 4),
        (["DELETE FROM audit WHERE id < 6"], 6),
        (["UPDATE audit SET id = 0 WHERE id = 3"], 0),
        (
            [
                "UPDATE audit SET id = 99 WHERE id = 2",
                "UPDATE audit SET id = 2 WHERE id = 3",
                "UPDATE audit SET id = 3 WHERE id = 99",
            ],
            2,
        ),
        (
            [
                "INSERT INTO audit (id, at, actor, action, target, hash) "
                "SELECT 7, at, actor, action, target, hash FROM audit WHERE id = 6"
            ],
            7,
        ),
        (
            [
                "INSERT INTO audit (id, at, actor, action, target, hash) "
                "SELECT 0, at, actor, action, target, zeroblob(32) FROM audit WHERE id = 1"
            ],
            0,
        ),
    ],
    ids=["first deleted", "one deleted", "all but one deleted", "moved", "two exchanged", "repeated", "put before"],
)
def test_a_deleted_moved_or_added_record_is_found(run: Run, path: Path, statements: list[str], record_id: int) -> None:
    behind_the_triggers(path, *statements)
    assert audit_chain.verify(run.database) == record_id
