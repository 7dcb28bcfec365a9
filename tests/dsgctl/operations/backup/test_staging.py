"""A database whose schema was altered is neither backed up nor restored."""

import hashlib
from pathlib import Path

import pytest

from dsgctl.store.migrations import LATEST, open_current
from tests.dsgctl.operations.backup.conftest import Run
from tests.dsgctl.operations.backup.tars import make_entry, make_manifest, make_tar
from tests.dsgctl.store.builders import with_apsw

ADMIN = "UPDATE principals SET admin = 1 WHERE id = new.id"


PLANTED = {
    "a trigger": [f"CREATE TRIGGER evil AFTER INSERT ON tokens BEGIN {ADMIN}; END"],
    "a trigger of one of our names": [
        "DROP TRIGGER tokens_change_delete",
        f"CREATE TRIGGER tokens_change_delete AFTER INSERT ON tokens BEGIN {ADMIN}; END",
    ],
    "one trigger less": ["DROP TRIGGER audit_no_delete"],
    "a view": ["CREATE VIEW evil AS SELECT * FROM principals"],
    "a view in a table's place": [
        "PRAGMA foreign_keys = 0",
        "ALTER TABLE affiliations RENAME TO a",
        "CREATE VIEW affiliations AS SELECT * FROM a",
    ],
    "a table": ["CREATE TABLE evil (a)"],
    "a table of an index's name": ["CREATE TABLE principals_search_evil (a)"],
    "a column": ["ALTER TABLE principals ADD COLUMN evil TEXT"],
    "an index": ["CREATE INDEX evil ON tokens (kind)"],
    "one index less": ["DROP INDEX principals_email"],
    "no check": [
        "PRAGMA writable_schema = 1",
        "UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (admin IN (0, 1))', '') WHERE name = 'principals'",
    ],
    "a migration more": [f"INSERT INTO migrations VALUES ({LATEST + 1}, 'evil', 'x')"],
    "a migration less": ["DELETE FROM migrations WHERE number = 2"],
    "a migration of another name": ["UPDATE migrations SET name = 'evil' WHERE number = 2"],
    "migrations that are a view": ["ALTER TABLE migrations RENAME TO m", "CREATE VIEW migrations AS SELECT * FROM m"],
}


@pytest.mark.parametrize("change", PLANTED)
def test_restore_refuses_a_database_with_a_foreign_schema(run: Run, home: Path, path: Path, change: str) -> None:
    planted = home / "planted.sqlite3"
    planted.write_bytes(path.read_bytes())
    with_apsw(planted, *PLANTED[change])
    content = planted.read_bytes()
    sizes = dict.fromkeys(read_table_sizes(path), 0)
    bundle = make_tar(
        home,
        make_manifest(files={"db.sqlite3": hashlib.sha256(content).hexdigest()}, rows=sizes),
        make_entry("db.sqlite3", content),
    )
    result = run("db", "restore", str(bundle), "--apply", "-y")
    assert result.code == 1 and "is damaged" in result.err and result.err.count("\n") == 1
    before = path.read_bytes()
    with_apsw(path, *PLANTED[change])
    result = run("db", "check")
    assert result.code == 1 and result.err.count("\n") == 1 and "fault" not in result.err
    assert run("db", "backup").code == 1
    path.write_bytes(before)
    run("db", "check").ok()


def read_table_sizes(path: Path) -> dict[str, int]:
    database = open_current(path)
    try:
        return database.table_sizes()
    finally:
        database.close()
