"""``dsgctl db shell``: SQL through our own SQLite, reading unless told otherwise, and nothing beyond rows."""

import json
from pathlib import Path

import pytest

from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World


def test_db_shell_prints_rows_in_every_format(filled: World) -> None:
    select = "SELECT email, admin FROM principals WHERE email LIKE 'ada%'"
    assert json.loads(filled.quick("db", "shell", select, "-o", "json").ok().out) == [
        {"email": "ada@example.org", "admin": 0}
    ]
    assert filled.quick("db", "shell", select, "-o", "value").ok().out == "ada@example.org\n"
    assert "ada@example.org" in filled.quick("db", "shell", select).ok().out
    assert filled.run("db", "shell", "-o", "csv", input=f"{select};\n").out == "email,admin\nada@example.org,0\n"


def test_several_statements_and_columns_of_one_name(filled: World) -> None:
    out = filled.quick(
        "db", "shell", "SELECT 1 AS a, 2 AS a", "SELECT x'00ff' AS b; SELECT NULL AS c", "-o", "jsonl"
    ).ok()
    assert [json.loads(line) for line in out.out.splitlines()] == [{"a": 1, "a:2": 2}, {"b": "00ff"}, {"c": None}]


READS = [
    "PRAGMA table_info(tokens)",
    "PRAGMA integrity_check",
    "PRAGMA table_list",
    "SELECT max(number) FROM changes",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT * FROM n",
    "SELECT * FROM principals_search('ada')",
    "EXPLAIN QUERY PLAN SELECT * FROM tokens",
    "-- nothing",
    "",
]


@pytest.mark.parametrize("sql", READS)
def test_db_shell_runs_a_statement_that_only_reads(filled: World, sql: str) -> None:
    before = dump(filled.database)
    filled.run("db", "shell", input=sql).ok()
    filled.quick("db", "shell", "--", sql or "SELECT 1").ok()
    assert dump(filled.database) == before


WRITES = [
    "UPDATE principals SET name = 'x'",
    "DELETE FROM tokens",
    "INSERT INTO services (name) VALUES ('x')",
    "REPLACE INTO services (name) VALUES ('clio')",
    "WITH x AS (SELECT 1) DELETE FROM tokens",
]
NEVER = [
    "ATTACH '/tmp/other.sqlite3' AS other",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO '/tmp/copy-of-all.sqlite3'",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE VIEW v AS SELECT 1",
    "DROP TABLE tokens",
    "CREATE TRIGGER t AFTER INSERT ON tokens BEGIN SELECT 1; END",
    "DROP TRIGGER audit_no_delete",
    "CREATE INDEX i ON tokens (id)",
    "ALTER TABLE tokens ADD COLUMN a",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "END; BEGIN",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = delete",
    "PRAGMA foreign_keys = 0",
    "PRAGMA recursive_triggers = 0",
    "PRAGMA ignore_check_constraints = 1",
    "PRAGMA application_id = 0",
    "PRAGMA schema_version = 9",
    "PRAGMA user_version = 9",
    "PRAGMA page_size = 512",
    "PRAGMA wal_checkpoint",
    "PRAGMA query_only = 0",
    "PRAGMA locking_mode = exclusive",
    "PRAGMA temp_store_directory = '/'",
    "UPDATE sqlite_sequence SET seq = 0",
    "DELETE FROM sqlite_sequence",
    "UPDATE sqlite_schema SET sql = ''",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT writefile('/tmp/dsg-shell-x', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT fts3_tokenizer('x')",
]


@pytest.mark.parametrize("sql", [*WRITES, *NEVER])
def test_db_shell_refuses_a_statement_that_changes_anything(filled: World, sql: str) -> None:
    before = dump(filled.database)
    for words in ([], ["--write"]):
        if words and sql in WRITES:
            continue
        result = filled.quick("db", "shell", sql, *words)
        assert (result.code, result.out, is_one_line(result)) == (1, "", True), result
        assert "fault of dsgctl" not in result.err
    assert dump(filled.database) == before
    assert not Path("/tmp/copy-of-all.sqlite3").exists() and not Path("/tmp/dsg-shell-x").exists()


def test_a_change_is_all_or_nothing_with_its_audit_record(filled: World) -> None:
    sql = "UPDATE principals SET name = 'Ada L' WHERE email = 'ada@example.org'"
    before = dump(filled.database)
    for bad in (
        f"{sql}; UPDATE nowhere SET a = 1",
        f"{sql}; INSERT INTO memberships VALUES (999, 999, 0)",
        f"{sql}; DELETE FROM audit",
        f"{sql}; UPDATE principals SET admin = 7",
    ):
        result = filled.quick("db", "shell", "--write", bad)
        assert (result.code, is_one_line(result)) == (1, True), result
        assert dump(filled.database) == before
    filled.quick("db", "shell", "--write", sql).ok()
    assert json.loads(filled.quick("user", "show", "ada@example.org", "-o", "json").ok().out)["name"] == "Ada L"
    record = json.loads(filled.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["action"] == "db.shell"
    shown = json.loads(filled.quick("audit", "show", str(record["id"]), "-o", "json").ok().out)
    assert shown["after"] == {"sql": sql}
    filled.quick("audit", "verify").ok()
    filled.quick("db", "check").ok()


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT",
        "SELECT 'a",
        "SELECT * FROM nowhere",
        "SELECT ?",
        "SELECT :a",
        "SELECT \x1b[31m",
        "SELECT 1 LIMIT 'x'",
    ],
)
def test_db_shell_reports_a_syntax_error_in_one_line(filled: World, sql: str) -> None:
    result = filled.quick("db", "shell", sql)
    assert (result.code, result.out, is_one_line(result)) == (1, "", True), result
    assert "fault of dsgctl" not in result.err


def test_db_shell_is_refused_to_a_delegate(filled: World) -> None:
    for person in ("ada@example.org", "root@example.org"):
        result = filled.quick("--as", person, "db", "shell", "SELECT 1")
        assert (result.code, result.out) == (5, "")


def test_db_shell_on_a_terminal_reads_lines_until_the_statement_ends(filled: World) -> None:
    with on_a_terminal(filled.run, "db", "shell") as terminal:
        terminal.wait_for("sql> ")
        terminal.type("SELECT email\n")
        terminal.wait_for("...> ")
        terminal.type("FROM principals WHERE id = 1;\n")
        terminal.wait_for("@example.org")
        terminal.type("SELEC;\n")
        terminal.wait_for("syntax error")
        terminal.press("\x04")
        assert terminal.end() == 0
