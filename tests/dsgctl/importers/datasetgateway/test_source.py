"""Files that are no database of the original, or damaged, and that nothing is written to them."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.core import users
from dsgctl.core.errors import Conflict, DsgError, Invalid
from dsgctl.core.hidden_characters import has_control
from dsgctl.importers import datasetgateway
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.importers.datasetgateway.original import ORIGINAL, spoil


def _cut(size: int) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(ORIGINAL.read_bytes()[:size])


def _writer_of(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def _sql(*statements: str) -> Callable[[Path], None]:
    return lambda path: spoil(path, *statements)


def _other_program(path: Path) -> None:
    path.unlink()
    spoil(path, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")


def _page_of_garbage(number: int) -> Callable[[Path], None]:
    def spoil_page(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[number * 4096 : number * 4096 + 64] = b"\xa5" * 64
        path.write_bytes(content)

    return spoil_page


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


# Files that are no such database: how each is made, and what the error must say beside the file's name.
FILES: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "missing": (Path.unlink, ()),
    "a directory": (_directory, ()),
    "empty": (_writer_of(b""), ()),
    "a text file": (_writer_of(b"email,name\na@x.org,A\n" * 500), ()),
    "cut off in the header": (_cut(50), ()),
    "cut off after the header": (_cut(100), ()),
    "cut off after a page": (_cut(4096), ()),
    "cut off within a page": (_cut(70_000), ()),
    "cut off in the middle": (_cut(300_000), ()),
    "without its last page": (_cut(581_632 - 4096), ()),
    "without its last byte": (_cut(581_632 - 1), ()),
    "garbage for its schema": (_page_of_garbage(0), ()),
    "garbage for a page": (_page_of_garbage(20), ()),
    "of another program": (_other_program, ("dsg_user",)),
    "without a table": (_sql("DROP TABLE audit_log"), ("audit_log",)),
    "without a column": (_sql("ALTER TABLE api_key DROP COLUMN expires_at"), ("api_key", "expires_at")),
    "with a column that may matter": (
        _sql('ALTER TABLE "grant" ADD COLUMN expires_at datetime'),
        ("grant", "expires_at"),
    ),
    "with a view for a table": (
        _sql("ALTER TABLE affiliation RENAME TO other", "CREATE VIEW affiliation AS SELECT * FROM other"),
        ("affiliation",),
    ),
}


@pytest.mark.parametrize(("make", "parts"), FILES.values(), ids=FILES)
def test_another_file_is_refused(run: Run, source: Path, make: Callable[[Path], Any], parts: tuple[str, ...]) -> None:
    make(source)
    before = run.content()
    with refused(Invalid, source.name, *parts):
        run(datasetgateway.Importer().run, source)
    assert run.content() == before
    assert {path.name for path in source.parent.iterdir()} <= {source.name}


def test_our_own_database_is_refused(run: Run) -> None:
    with refused(Invalid, "dsg.sqlite3"):
        run(datasetgateway.Importer().run, Path(run.database.path))


@pytest.mark.parametrize("seed", range(40))
def test_a_byte_of_garbage_is_found_or_harmless(run: Run, source: Path, seed: int) -> None:
    """No checksum stands in the file: a letter may become another. But nothing is half done, and no fault is ours."""
    dice = random.Random(seed)
    content = bytearray(source.read_bytes())
    content[dice.randrange(100 if seed % 4 == 0 else len(content))] = dice.randrange(256)
    source.write_bytes(content)
    before = run.content()
    try:
        run(datasetgateway.Importer().run, source)
    except DsgError as error:
        assert isinstance(error, (Invalid, Conflict))
        assert source.name in error.message
        assert not has_control(error.message)
        assert run.content() == before


class TestTheSourceIsLeftAlone:
    def test_nothing_is_written_to_the_source_or_beside_it(self, run: Run, source: Path) -> None:
        run(datasetgateway.Importer().run, source)
        assert source.read_bytes() == ORIGINAL.read_bytes()
        assert [path.name for path in source.parent.iterdir()] == [source.name]

    def test_a_closed_source_in_wal_mode_is_not_written_to(self, run: Run, source: Path) -> None:
        spoil(source, "PRAGMA journal_mode = wal", "UPDATE dsg_user SET name = 'Wal' WHERE id = 3")
        before = source.read_bytes()
        run(datasetgateway.Importer().run, source)
        assert source.read_bytes() == before
        assert [path.name for path in source.parent.iterdir()] == [source.name]
        assert users.find(run.database, "user2@example.org").name == "Wal"

    def test_rows_in_the_wal_of_a_running_server_are_read(self, run: Run, source: Path) -> None:
        server = apsw.Connection(str(source))
        server.execute("PRAGMA journal_mode = wal")
        server.execute("UPDATE dsg_user SET name = 'Wal' WHERE id = 3")
        run(datasetgateway.Importer().run, source)
        server.close()
        assert users.find(run.database, "user2@example.org").name == "Wal"

    def test_uncommitted_rows_are_not_read(self, run: Run, source: Path) -> None:
        server = apsw.Connection(str(source))
        server.execute("BEGIN IMMEDIATE")
        server.execute("UPDATE dsg_user SET name = 'Half' WHERE id = 3")
        run(datasetgateway.Importer().run, source)
        server.execute("ROLLBACK")
        server.close()
        assert users.find(run.database, "user2@example.org").name == ""

    def test_a_transaction_that_was_cut_short_is_refused(self, run: Run, source: Path) -> None:
        """Its journal says how to undo it, which would write to the file."""
        server = apsw.Connection(str(source))
        server.execute("PRAGMA cache_size = 1")
        server.execute("BEGIN")
        server.execute("UPDATE dsg_user SET notes = hex(randomblob(50000))")
        journal = source.with_name(source.name + "-journal")
        cut = source.with_name("cut.sqlite3")
        shutil.copyfile(source, cut)
        shutil.copyfile(journal, cut.with_name(cut.name + "-journal"))
        server.execute("ROLLBACK")
        server.close()
        before = run.content()
        with refused(Invalid, "cut.sqlite3"):
            run(datasetgateway.Importer().run, cut)
        assert run.content() == before

    def test_a_name_with_marks_of_a_url(self, run: Run, source: Path) -> None:
        strange = source.with_name("db?mode=rwc#50%.sqlite3")
        source.rename(strange)
        assert run(datasetgateway.Importer().run, strange).changed


HOSTILE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text in a column of numbers": (
        ("UPDATE dataset_version SET ordinal = 'x' || char(27) WHERE id = 1",),
        ("ordinal is not a number",),
    ),
    "a float in a column of numbers": (("UPDATE dataset_version SET ordinal = 1.5 WHERE id = 1",), ("not a number",)),
    "a number beyond 2^63": (
        ("UPDATE public_root SET root_id = 9223372036854775808 WHERE id = 1",),
        ("public_root row 1", "not a number"),
    ),
    "an id beyond 2^53": (
        ("INSERT INTO dsg_group (id, name) VALUES (9007199254740993, 'g')",),
        ("cannot be an id here",),
    ),
    "an id below zero": (("INSERT INTO dsg_group (id, name) VALUES (-1, 'g')",), ("-1 cannot be an id here",)),
    "a long value": (
        ("UPDATE tos_document SET text = zeroblob(20000000) WHERE id = 2",),
        ("tos_document", "a value of more than 16777216 bytes"),
    ),
    "a flag that is text": (("UPDATE dsg_user SET admin = 'yes' WHERE id = 3",), ("admin is neither true nor false",)),
    "a flag that is a float": (("UPDATE dsg_user SET admin = 0.5 WHERE id = 3",), ("admin is neither",)),
}


@pytest.mark.parametrize(("sql", "parts"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("skip_conflicts", [False, True])
def test_a_hostile_value_is_refused_whatever_is_skipped(
    run: Run, newest_source: Path, sql: tuple[str, ...], parts: tuple[str, ...], skip_conflicts: bool
) -> None:
    spoil(newest_source, *sql)
    before = run.content()
    with refused(Invalid, "db.sqlite3", *parts):
        run(datasetgateway.Importer().run, newest_source, skip_conflicts=skip_conflicts)
    assert run.content() == before


def test_triggers_of_the_source_do_nothing(run: Run, source: Path) -> None:
    spoil(source, "CREATE TRIGGER t AFTER INSERT ON dsg_user BEGIN UPDATE dsg_user SET admin = 1; END")
    before = source.read_bytes()
    run(datasetgateway.Importer().run, source)
    assert source.read_bytes() == before
