"""Whatever somebody writes with the host's sqlite3 shell: the server learns whom it concerns, and the log refuses.

The statements are generated from the schema: every verb and conflict clause, for every table, every unique key and
every column. A table that is added is tried without a word here, or fails for want of a row in table_owners.py.
"""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from dsgctl.store.migrations import list_migrations
from tests.dsgctl.store.builders import FILLED, MOMENT, fill_in, with_apsw
from tests.dsgctl.store.table_owners import OWNERS
from tests.patience import PATIENCE

# Columns that decide nothing, so that a change of them alone need not be noted.
QUIET = {"tokens": {"prefix", "description", "created", "last_used", "postponed"}}
NUMBERED = {"audit", "changes"}  # of which nothing may go or change

MORE = """
    INSERT INTO affiliations VALUES (2, 'MRC');
    INSERT INTO memberships VALUES (2, 2, 1);
    INSERT INTO services (id, name) VALUES (2, 'a2');
    INSERT INTO versions (id, dataset_id, name, ordinal) VALUES (2, 1, 'v2', 2);
    INSERT INTO locations (id, dataset_id, bucket, prefix) VALUES (2, 1, 'alone', 'b/');
    INSERT INTO grants (id, group_id, dataset_id, permission, source, granted_by, created)
      VALUES (2, 1, 2, 'view', 'manual', 'x', '{t}');
    INSERT INTO grants (id, principal_id, dataset_id, permission, source, granted_by, created, service_id)
      VALUES (3, 2, 2, 'view', 'manual', 'x', '{t}', 1), (4, 1, 2, 'view', 'manual', 'x', '{t}', 2);
    INSERT INTO translations VALUES (2, 1, 'a', 'r2', 1, 2), (3, 2, 'a', NULL, 2, NULL);
    INSERT INTO acceptances (principal_id, terms_id, accepted, recorded_by) VALUES (2, 2, '{t}', 'x');
    INSERT INTO tokens (id, principal_id, kind, hash, prefix, created)
      VALUES (2, 2, 'login', zeroblob(32), 'x', '{t}');
    INSERT INTO principals (id, kind, slug, created, created_by) VALUES (3, 'service_account', 'bot', '{t}', 'x'),
      (4, 'service_account', 'bot2', '{t}', 'x');
    INSERT INTO principals (id, kind, email, issuer, subject, created, created_by)
      VALUES (5, 'user', 'c@x.org', 'i', 's5', '{t}', 'x'), (6, 'user', 'd@x.org', 'i', 's6', '{t}', 'x');
    INSERT INTO tokens (id, principal_id, kind, hash, prefix, created)
      VALUES (3, 3, 'api', randomblob(32), 'y', '{t}'), (5, 5, 'api', randomblob(32), 'z', '{t}');
    INSERT INTO service_tables (id, service, name, dataset_id) VALUES (2, 'b', 'b', 2);
    INSERT INTO public_roots VALUES (2, 7);
    INSERT INTO iam_members VALUES ('bucket', 'user:a@x.org', 'held', '{t}'), ('alone', 'user:b@x.org', 'held', '{t}');
    INSERT INTO declared VALUES ('group', '["a"]', 'f', '{t}'), ('group', '["b"]', 'g', '{t}');
    INSERT INTO delegated_members VALUES (1, 1, '{t}'), (2, 2, '{t}');
    INSERT INTO withdrawals VALUES (1, 1, '{t}', 'x'), (2, 2, '{t}', 'x');
    INSERT INTO clients (id, name, owner_id, origin, created)
      VALUES (2, 'b', 2, 'https://b.org', '{t}');
    INSERT INTO client_app_urls VALUES (1, 'https://a.org'), (2, 'https://b.org');
    INSERT INTO client_consents VALUES (1, 1, '{t}'), (2, 2, '{t}');
    INSERT INTO tokens (id, principal_id, kind, hash, prefix, created, client_id)
      VALUES (6, 5, 'delegated', randomblob(32), 'z', '{t}', 1), (7, 6, 'delegated', randomblob(32), 'z', '{t}', 2);
    INSERT INTO audit (at, actor, action, target, hash, imported_from)
      VALUES ('{t}', 'y', 'y', 'y', zeroblob(32), 'one'), ('{t}', 'z', 'z', 'z', zeroblob(32), 'two');
"""

PRAGMAS = [(recursive, keys) for recursive in (0, 1) for keys in (0, 1)]


@dataclass(frozen=True)
class Table:
    """What the schema says of one."""

    name: str
    columns: list[str]
    keys: list[list[str]]  # unique ones, the primary key among them; of expressions, their columns
    has_rowid: bool


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A database with several rows in every table."""
    path = tmp_path_factory.mktemp("shell") / "dsg.sqlite3"
    path.write_bytes(empty_database.read_bytes())
    with_apsw(path, *(fill_in(FILLED + MORE).split(";\n")), "PRAGMA journal_mode = wal")
    return path


def tables(path: Path) -> list[Table]:
    names = with_apsw(
        path,
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
        "AND name NOT LIKE 'sqlite!_%' ESCAPE '!'",
    )
    schema = []
    for name, without_rowid in names:
        columns = with_apsw(path, f"SELECT name, pk FROM pragma_table_xinfo('{name}') ORDER BY cid")
        keys = [[column for column, pk in columns if pk]]
        for index, sql in with_apsw(
            path,
            f"SELECT l.name, s.sql FROM pragma_index_list('{name}') AS l LEFT JOIN sqlite_schema AS s "
            "ON s.name = l.name WHERE l.\"unique\" AND l.origin <> 'pk'",
        ):
            index_columns = [row[0] for row in with_apsw(path, f"SELECT name FROM pragma_index_info('{index}')")]
            keys.append(
                [column for column, _ in columns if column in (sql or "")] if None in index_columns else index_columns
            )
        schema.append(Table(name, [column for column, _ in columns], [key for key in keys if key], not without_rowid))
    return schema


def where(table: Table, row: dict[str, str]) -> str:
    return " AND ".join(f"{column} = {row[column]}" for column in table.keys[0])


def rows_of(path: Path, table: Table) -> list[dict[str, str]]:
    quoted = ", ".join(f"quote({column})" for column in table.columns)
    return [dict(zip(table.columns, row, strict=True)) for row in with_apsw(path, f"SELECT {quoted} FROM {table.name}")]


def statements(path: Path, table: Table) -> Iterator[tuple[str, str]]:
    """Verb and statement, for each pair of rows: the second is to take the place of the first."""
    rows = rows_of(path, table)
    assert len(rows) > 1, f"{table.name} needs two rows in MORE"
    columns = ", ".join(table.columns)
    for first, second in [*pairwise(rows), *pairwise(reversed(rows))]:
        for key in table.keys:
            key_values = {column: first[column] for column in key}
            if any(value == "NULL" for value in key_values.values()) and len(key) == 1:
                continue
            # A new row, like the second but for the key, and with keys of its own for the rest.
            fresh = {other[0]: "NULL" for other in table.keys if other != key and other == ["id"]}
            values = ", ".join(({**second, **fresh, **key_values})[column] for column in table.columns)
            for verb in ("INSERT", "INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"):
                yield verb, f"{verb} INTO {table.name} ({columns}) VALUES ({values})"
            other = next((column for column in table.columns if column not in key), key[0])
            yield (
                "upsert",
                (
                    f"INSERT INTO {table.name} ({columns}) VALUES ({values}) "
                    f"ON CONFLICT DO UPDATE SET {other} = excluded.{other}"
                ),
            )
            settings = ", ".join(f"{column} = {value}" for column, value in key_values.items())
            for verb in ("UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"):
                yield verb, f"{verb} {table.name} SET {settings} WHERE {where(table, second)}"
        for column in (*table.columns, *(["rowid"] if table.has_rowid else [])):
            value = first.get(column, first.get("id", "1"))
            for verb in ("UPDATE", "UPDATE OR REPLACE"):
                yield verb, f"{verb} {table.name} SET {column} = {value} WHERE {where(table, second)}"
        yield "DELETE", f"DELETE FROM {table.name} WHERE {where(table, second)}"
    yield "DELETE", f"DELETE FROM {table.name}"
    yield (
        "UPDATE FROM",
        (
            f"UPDATE OR REPLACE {table.name} SET {table.columns[0]} = o.{table.columns[0]} "
            f"FROM (SELECT * FROM {table.name} LIMIT 1) AS o"
        ),
    )


def run_shell(path: Path, pragmas: tuple[int, int], tried: list[str], dump: list[str]) -> list[list[str]]:
    """What the tables hold at first and after each statement alone, a line a row."""
    script = [f"PRAGMA recursive_triggers = {pragmas[0]};", f"PRAGMA foreign_keys = {pragmas[1]};", ".mode list", *dump]
    for statement in tried:
        # In a transaction that is undone: each begins from the same rows.
        script += ["BEGIN;", f"{statement};", ".print ~~~", *dump, "ROLLBACK;"]
    process = subprocess.run(
        ["sqlite3", "-init", "/dev/null", str(path)],
        input="\n".join(script),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert "no such" not in process.stderr and "syntax error" not in process.stderr, process.stderr[:500]
    return [part.splitlines() for part in process.stdout.split("~~~\n")]


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 shell")
@pytest.mark.parametrize("pragmas", PRAGMAS, ids=lambda pair: f"recursive_triggers={pair[0]},foreign_keys={pair[1]}")
@pytest.mark.parametrize("name", OWNERS)
def test_every_write_by_the_shell_is_noted_or_refused(
    sample: Path, tmp_path: Path, name: str, pragmas: tuple[int, int]
) -> None:
    path = tmp_path / "dsg.sqlite3"
    path.write_bytes(sample.read_bytes())
    described = {table.name: table for table in tables(path)}
    tried = list(statements(path, described[name]))
    dump = ["SELECT 'changed', principal_id, group_id, number FROM changes;"]
    for table, owner in OWNERS.items():
        columns = [column for column in described[table].columns if column not in QUIET.get(table, set())]
        if owner is not None:
            dump.append(
                f"SELECT '{table}', {owner}, {', '.join(f'quote({column})' for column in columns)} FROM {table};"
            )
    dump.append("SELECT 'audit', id, quote(hash), actor, quote(imported_from) FROM audit;")
    before, *after = run_shell(path, pragmas, [statement for _, statement in tried], dump)
    assert len(after) == len(tried)
    effective: Counter[str] = Counter()
    for (verb, statement), lines in zip(tried, after, strict=True):
        changed = [line for line in (set(before) ^ set(lines)) if not line.startswith(("changed|", "audit|"))]
        effective[verb] += bool(changed)
        numbers = [int(line.rpartition("|")[2]) for line in before if line.startswith("changed|")]
        noted_rows = {
            tuple(line.split("|")[1:3])
            for line in lines
            if line.startswith("changed|") and int(line.rpartition("|")[2]) > max(numbers)
        }
        if ("", "") not in noted_rows:
            concerned = {tuple(line.split("|")[1:3]) for line in changed}
            assert concerned <= noted_rows, (statement, sorted(changed))
        left = [line for line in lines if line.startswith("audit|")]
        assert left[: len(left)] and set(left) >= {line for line in before if line.startswith("audit|")}, statement
        newest = [int(line.rpartition("|")[2]) for line in lines if line.startswith("changed|")]
        assert max(newest) >= max(numbers), statement
    # The statements do what they are for. (With its keys looked after, no bucket that has a location goes.)
    if OWNERS[name] is not None and (name, pragmas[1]) != ("buckets", 1):
        assert effective["UPDATE OR REPLACE"] and effective["DELETE"], effective


def test_every_table_is_tried(sample: Path) -> None:
    names = {table.name for table in tables(sample) if not table.name.startswith("principals_search")}
    assert names == OWNERS.keys()


REFUSED = [
    "REPLACE INTO audit (id, at, actor, action, target, hash) VALUES (1, '{t}', 'e', 'e', 'e', zeroblob(32))",
    "INSERT OR REPLACE INTO audit (at, actor, action, target, hash, imported_from) "
    "VALUES ('{t}', 'e', 'e', 'e', zeroblob(32), 'one')",
    "INSERT INTO audit (id, at, actor, action, target, hash) VALUES (0, '{t}', 'e', 'e', 'e', zeroblob(32))",
    "INSERT INTO audit (id, at, actor, action, target, hash) VALUES (-1, '{t}', 'e', 'e', 'e', zeroblob(32))",
    "INSERT INTO audit (rowid, at, actor, action, target, hash) VALUES (1, '{t}', 'e', 'e', 'e', zeroblob(32)) "
    "ON CONFLICT DO UPDATE SET actor = 'e'",
    "UPDATE OR IGNORE audit SET actor = 'e'",
    "UPDATE OR REPLACE audit SET id = 2 WHERE id = 1",
    "DELETE FROM audit WHERE id = 3",
    "DELETE FROM audit",
    "DELETE FROM changes",
    "UPDATE changes SET number = number - 1",
    "UPDATE OR REPLACE changes SET number = 1",
    "REPLACE INTO changes SELECT max(number), NULL, 1 FROM changes",
    "INSERT INTO changes (number) VALUES (-5)",
]


@pytest.mark.parametrize("pragmas", PRAGMAS)
@pytest.mark.parametrize("statement", REFUSED)
def test_the_audit_log_and_the_change_numbers_refuse_a_write(
    sample: Path, tmp_path: Path, statement: str, pragmas: tuple[int, int]
) -> None:
    path = tmp_path / "dsg.sqlite3"
    path.write_bytes(sample.read_bytes())
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA recursive_triggers = {pragmas[0]}; PRAGMA foreign_keys = {pragmas[1]}")
    before = [list(connection.execute(f"SELECT * FROM {table}")) for table in ("audit", "changes")]
    with pytest.raises(apsw.ConstraintError, match=r"audit records|of changes|newest change"):
        connection.execute(fill_in(statement))
    assert [list(connection.execute(f"SELECT * FROM {table}")) for table in ("audit", "changes")] == before
    connection.close()


@pytest.mark.parametrize("number", [step.number for step in list_migrations()])
def test_a_database_of_every_release_gets_the_same_schema(tmp_path: Path, number: int) -> None:
    from dsgctl.store.migrations import migrate, open_current, schema_problems

    path = tmp_path / "dsg.sqlite3"
    for step in list_migrations()[:number]:
        with_apsw(path, step.sql, f"INSERT INTO migrations VALUES ({step.number}, '{step.name}', '{MOMENT}')")
    with_apsw(path, f"INSERT INTO groups (name, created) VALUES ('lab', '{MOMENT}')")
    assert len(migrate(path, now=MOMENT)) == len(list_migrations()) - number
    database = open_current(path)
    assert schema_problems(database) == [] and database.integrity_problems() == []
    assert database.read("SELECT name FROM groups") == [("lab",)]
    database.close()
