"""The document of `dsgctl export`: what is in it, what is not, and that it is always the same for the same facts."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.core import terms, token_format, tokens, users
from dsgctl.core.errors import DsgError
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST, open_current
from dsgctl.store.times import utc_text
from dsgctl.transfer import export, transfer_schema
from tests.dsgctl.core.builders import AT, DAY, Run, refused

LATER = AT + timedelta(hours=1)
# Tables of the schema that hold no facts: what ran on the file, what a server must forget, and the search index.
NO_FACTS = {"migrations", "changes"}


@pytest.fixture
def run(database: Database) -> Run:
    return Run(database)


def write_document(database: Database, **settings: Any) -> bytes:
    return b"".join(export.build_document(database, AT, **settings))


def read_document(database: Database, **settings: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(write_document(database, **settings))
    return document


def test_an_empty_database_has_a_document_too(database: Database) -> None:
    document = read_document(database)
    assert list(document) == [
        "format",
        "version",
        "schema",
        "program",
        "exported",
        "next_ids",
        *transfer_schema.TABLES,
        "end",
    ]
    assert (document["format"], document["version"], document["schema"]) == ("dsgctl export", 1, LATEST)
    assert document["exported"] == utc_text(AT)
    assert document["end"]["rows"] == 0


def test_every_table_of_facts_is_in_it(database: Database) -> None:
    assert set(transfer_schema.TABLES) == set(database.table_sizes()) - NO_FACTS


def test_every_column_is_in_it(database: Database) -> None:
    for table in transfer_schema.TABLES:
        there = [str(row[1]) for row in database.execute(f'PRAGMA table_info("{table}")', [])]
        assert list(transfer_schema.columns(table)) == there


def test_no_secret_is_in_it_unless_asked_for(run: Run) -> None:
    run(users.add, "ada@example.org")
    _, secret = run(lambda change: tokens.mint(change, users.find(change.database, "ada@example.org")))
    document, _ = run(terms.add, "Terms", "Be kind.")
    plain = write_document(run.database)
    for kept_back in (secret, token_format.digest(secret).hex(), document.invite_token):
        assert kept_back.encode() not in plain
    assert [row["prefix"] for row in json.loads(plain)["tokens"]] == [secret[:8]]
    hashes = write_document(run.database, token_hashes=True)
    assert token_format.digest(secret).hex().encode() in hashes
    assert document.invite_token.encode() not in hashes
    assert document.invite_token.encode() in write_document(run.database, invitations=True)
    assert secret.encode() not in write_document(run.database, token_hashes=True, invitations=True)


def test_ended_tokens_are_in_it(run: Run) -> None:
    run(users.add, "ada@example.org")
    ada = users.find(run.database, "ada@example.org")
    revoked, _ = run(tokens.mint, ada)
    run(tokens.mint, ada, expires=AT + DAY)
    run(tokens.revoke, revoked.id)
    document = read_document(run.database, token_hashes=True)["tokens"]
    assert [(row["revoked"], row["expires"]) for row in document] == [(utc_text(AT), None), (None, utc_text(AT + DAY))]


def test_the_audit_log_can_be_left_out(run: Run) -> None:
    run(users.add, "ada@example.org")
    assert [row["action"] for row in read_document(run.database)["audit"]] == ["user.add"]
    document = read_document(run.database, audit_log=False)
    assert "audit" not in document
    assert "audit" not in document["next_ids"]


def test_the_same_facts_give_the_same_lines_but_for_the_moment(run: Run) -> None:
    for name in ("bo", "ada"):
        run(users.add, f"{name}@example.org")
    first, second = (b"".join(export.build_document(run.database, at)).splitlines() for at in (AT, LATER))
    assert first[0] != second[0]
    assert first[1:] == second[1:]


def test_each_row_is_on_a_line_of_its_own(run: Run) -> None:
    run(users.add, "ada@example.org", name="李 \u2063 Ada", notes="two\nlines")
    lines = write_document(run.database).decode().split("\n")
    at = lines.index('"principals": [')
    assert json.loads(lines[at + 1])["notes"] == "two\nlines"
    assert "李" in lines[at + 1]
    assert lines[at + 2] == "],"


def test_the_document_is_a_snapshot_although_others_write(run: Run, path: Path) -> None:
    run(users.add, "ada@example.org")
    lines = export.build_document(run.database, AT)
    begun = [next(lines) for _ in range(3)]
    other = open_current(path)
    with begin_change(other, "os:test") as change:
        users.add(change, "late@example.org")
    other.close()
    document = json.loads(b"".join([*begun, *lines]))
    assert [row["email"] for row in document["principals"]] == ["ada@example.org"]
    assert len(document["audit"]) == 1
    assert document["next_ids"]["principals"] == 2


def test_text_that_is_not_utf_8_is_reported_with_its_row(run: Run, path: Path) -> None:
    """Only the sqlite3 shell can put it there."""
    run(users.add, "ada@example.org")
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE principals SET pi = CAST(x'ff' AS TEXT)")
    connection.close()
    with refused(DsgError, "principals: the row after None", "not UTF-8"):
        write_document(run.database)


def test_progress_ends_with_all_rows(run: Run) -> None:
    run(users.add, "ada@example.org")
    steps: list[tuple[int, int]] = []
    document = read_document(run.database, progress=lambda count, total: steps.append((count, total)))
    assert steps[-1] == (document["end"]["rows"], document["end"]["rows"])
