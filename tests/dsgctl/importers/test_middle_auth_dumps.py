"""Damaged dumps of middle_auth's tables: each is refused with the table and the line, and nothing is written."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import (
    audit_chain,
)
from dsgctl.core.errors import Conflict, DsgError, Invalid
from dsgctl.core.hidden_characters import has_control
from dsgctl.importers import middle_auth
from dsgctl.importers.engine.report import BadRows
from tests.dsgctl.core.builders import Run, refused


def rewrite(dumps: Path, table: str, old: str, new: str) -> None:
    path = dumps / f"{table}.csv"
    text = path.read_bytes()
    assert old.encode() in text
    path.write_bytes(text.replace(old.encode(), new.encode(), 1))


# Spoilt dumps: what is done to them, and what the error must say beside their directory.
def _cut(table: str, size: int) -> Callable[[Path], Any]:
    return lambda dumps: (dumps / f"{table}.csv").write_bytes((dumps / f"{table}.csv").read_bytes()[:size])


def _cut_after(table: str, text: str) -> Callable[[Path], Any]:
    def cut(dumps: Path) -> None:
        before, cut_text, _ = (dumps / f"{table}.csv").read_bytes().partition(text.encode())
        assert cut_text
        (dumps / f"{table}.csv").write_bytes(before + cut_text)

    return cut


def _write(table: str, content: bytes) -> Callable[[Path], Any]:
    return lambda dumps: (dumps / f"{table}.csv").write_bytes(content)


def _replace(table: str, old: str, new: str) -> Callable[[Path], Any]:
    return lambda dumps: rewrite(dumps, table, old, new)


def _add(table: str, row: str) -> Callable[[Path], Any]:
    def add(dumps: Path) -> None:
        with (dumps / f"{table}.csv").open("ab") as file:
            file.write(row.encode() + b"\n")

    return add


def _garbage(table: str, at: int) -> Callable[[Path], Any]:
    def spoil(dumps: Path) -> None:
        content = bytearray((dumps / f"{table}.csv").read_bytes())
        content[at] = 0xFF
        (dumps / f"{table}.csv").write_bytes(content)

    return spoil


SPOILT: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "a table is missing": (lambda dumps: (dumps / "api_key.csv").unlink(), ("no api_key.csv",)),
    "a directory for a table": (
        lambda dumps: [(dumps / "tos.csv").unlink(), (dumps / "tos.csv").mkdir()],
        ("no tos.csv",),
    ),
    "a dump is empty": (_write("group", b""), ("group.csv is empty",)),
    "cut off in the middle of a row": (_cut("user", 2990), ("user.csv is cut off",)),
    "cut off in the header": (_cut("user", 12), ("user.csv is cut off",)),
    "cut off within quotes after a line": (_cut_after("tos", "1. Be kind.\n"), ("tos.csv line 3", "not CSV")),
    "rows that others name are missing": (_cut_after("group", "2,kelp_team\n"), ("user_group.csv", "no row of group")),
    "of another program": (_write("user", b"id,login\n1,ada\n"), ("user.csv", "no column name")),
    "a spreadsheet": (_write("user", b"PK\x03\x04\x14\x00\xff\xfe\n" * 50), ("user.csv, line 1", "UTF-8")),
    "a database": (_write("user", b"SQLite format 3\x00" * 50 + b"\n"), ("user.csv, line 1",)),
    "of an older release": (_replace("user", ",read_only", ",readonly"), ("user.csv", "no column read_only", "older")),
    "of a later release": (
        _replace("group_dataset_permission", "permission_id\n1,1,1,1\n", "permission_id,expires\n1,1,1,1,\n"),
        ("group_dataset_permission.csv", "'expires'", "newer"),
    ),
    "a column twice": (_write("group", b"id,name,name\n1,a,a\n"), ("group.csv", "'name' twice")),
    "a byte of garbage in a name": (_garbage("user", 120), ("user.csv line 2", "not UTF-8")),
    "a byte of garbage in the header": (_garbage("user", 5), ("user.csv, line 1", "UTF-8")),
    "a quote too many": (_replace("user", "Bravo", '"Bra"vo'), ("user.csv line 10",)),
    "a line without end": (_write("group", b"id,name\n" + b"x" * 2**21 + b"\n"), ("group.csv, line 2", "longer")),
    "a cell too few": (_add("user_group", "99,1,2"), ("user_group.csv line 92", "3 cells")),
    "a group twice": (_add("group", "99,kelp_team"), ("group.csv line 12", "'kelp_team' is repeated")),
    "a flag that is none": (_add("user_group", "99,1,2,maybe"), ("user_group.csv line 92", "admin", "true nor false")),
    "a number that is none": (_add("user_group", "99,one,2,t"), ("user_group.csv line 92", "user_id is not a number")),
    "a number too large": (_add("user_group", "99,1,9999999999999999999,t"), ("group_id is not a number",)),
    "an id too large": (_add("dataset", "9007199254740993,big,"), ("dataset.csv line 14", "cannot be an id")),
    "a time that is none": (_add("user_tos", "99,1,2,yesterday,"), ("user_tos.csv", "created is not a time")),
    "a user that is not there": (_add("user_group", "99,4711,2,t"), ("user_group.csv line 92", "4711", "user")),
    "a parent that is not there": (_replace("user", ",,f\n", ",4711,f\n"), ("user.csv line 2", "4711")),
    "parents in a circle": (_replace("user", ",,f\n", ",1,f\n"), ("user.csv line 2", "back to themselves")),
    "terms that are not there": (_add("dataset", "99,x,4711"), ("dataset.csv line 14", "tos_id 4711")),
    "an affiliation that is not there": (_add("user_affiliation", "99,1,4711,,"), ("user_affiliation.csv", "4711")),
    "an affiliation of nobody": (_add("user_affiliation", "99,4711,1,,"), ("user_affiliation.csv line 27", "4711")),
    "a chosen name of nobody": (_add("user_custom_name", "99,4711,N,t,,"), ("user_custom_name.csv", "4711")),
    "a permission that is not there": (
        _add("group_dataset_permission", "99,1,1,4711"),
        ("group_dataset_permission.csv line 46", "4711"),
    ),
    "a token of nobody": (_add("api_key", f"99,4711,{'a' * 32},,,,"), ("api_key.csv", "user_id 4711")),
}


@pytest.mark.parametrize(("spoil", "parts"), SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("skip_conflicts", [False, True])
def test_spoilt_dumps_are_refused_with_table_and_line_and_nothing_is_written(
    run: Run, dumps: Path, spoil: Callable[[Path], Any], parts: tuple[str, ...], skip_conflicts: bool
) -> None:
    spoil(dumps)
    before = run.content()
    with refused(Invalid, "dumps", *parts):
        run(middle_auth.Importer().run, str(dumps), skip_conflicts=skip_conflicts)
    assert run.content() == before


# Rows that are sound there and cannot be kept here.
UNFIT: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "an email that is none": (_replace("user", "mirgax1@example.org", "mirgax1"), ("user.csv line 3", "'mirgax1'")),
    "an email of service accounts": (
        _replace("user", "mirgax1@example.org", "x@service-account.dsg.local"),
        ("user.csv line 3",),
    ),
    "a dataset of no name": (_add("dataset", "99,,"), ("dataset.csv line 14", "'' is not a dataset name: it is empty")),
    "a dataset with a control character": (
        _replace("dataset", ",kelp,", ",ke\x7flp,"),
        ("dataset.csv line 2", "'ke\\x7flp' is not a dataset name"),
    ),
    "a group with a line end": (_add("group", '99,"a\nb"'), ("group.csv line 12", "'a\\nb' is not a group name")),
    "a group of a great length": (_add("group", f"99,{'x' * 2049}"), ("group.csv line 12", "longer than 2048 bytes")),
    "a permission with a tab": (_add("permission", "8,a\tb"), ("permission.csv line 9", "'a\\tb'")),
    "a table with a line end": (_add("service_table", '99,"a\nb",t,1'), ("service_table.csv line", "'a\\nb'")),
    "a root below zero": (_add("cell_temp", "99,kelp_seg_v1,-1,t"), ("cell_temp.csv line 22", "-1")),
    "terms with an escape": (_replace("tos", "1. Be kind.", "1. Be \x1bkind."), ("tos.csv line 3",)),
}


@pytest.mark.parametrize(("spoil", "parts"), UNFIT.values(), ids=UNFIT)
def test_a_row_that_cannot_be_kept_is_named_and_may_be_left_out(
    run: Run, dumps: Path, spoil: Callable[[Path], Any], parts: tuple[str, ...]
) -> None:
    spoil(dumps)
    before = run.content()
    with refused(BadRows, "dumps", "--skip-conflicts to leave them out; nothing was imported", *parts):
        run(middle_auth.Importer().run, str(dumps))
    assert run.content() == before
    report = run(middle_auth.Importer().run, str(dumps), skip_conflicts=True)
    assert [line for line in report.left_out if all(part in line for part in parts)], report.left_out
    assert report.added["users"] > 30
    assert audit_chain.verify(run.database) is None
    after = run.content()
    assert not run(middle_auth.Importer().run, str(dumps), skip_conflicts=True).changed
    assert run.content() == after


def test_damaged_files_are_reported_before_rows_that_could_be_left_out(run: Run, dumps: Path) -> None:
    UNFIT["an email that is none"][0](dumps)
    SPOILT["a flag that is none"][0](dumps)
    for skip_conflicts in (False, True):
        with refused(BadRows, "user_group.csv line 92: admin is neither true nor false") as caught:
            run(middle_auth.Importer().run, str(dumps), skip_conflicts=skip_conflicts)
        assert "--skip-conflicts" not in caught.value.hint


@pytest.mark.parametrize("seed", range(30))
def test_a_byte_of_garbage_is_found_or_harmless(run: Run, dumps: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = dice.choice(sorted(dumps.glob("*.csv")))
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] = dice.randrange(256)
    path.write_bytes(content)
    before = run.content()
    try:
        run(middle_auth.Importer().run, str(dumps))
    except DsgError as error:
        assert isinstance(error, (Invalid, Conflict))
        assert path.name in error.message or "dumps" in error.message
        assert not has_control(error.message)
        assert run.content() == before


def test_a_large_file_of_bad_rows_is_not_read_to_its_end(run: Run, dumps: Path) -> None:
    _add("user_group", "99,4711,2,t\n" * 50_000 + "99,4711,2,t")(dumps)
    before = run.content()
    with refused(BadRows, "1000 bad rows", "user_group.csv line 92", "and 980 more"):
        run(middle_auth.Importer().run, str(dumps))
    assert run.content() == before


def test_a_dump_that_is_written_to_meanwhile_is_refused(run: Run, dumps: Path) -> None:
    def write(count: int, total: int) -> None:
        _add("user_tos", "99,1,2,,")(dumps)

    before = run.content()
    with refused(Invalid, "user_tos.csv was written to"):
        run(middle_auth.Importer().run, str(dumps), progress=write)
    assert run.content() == before


@pytest.mark.parametrize("source", ["nowhere", "user.csv"])
def test_a_path_that_is_no_directory_is_refused(run: Run, dumps: Path, source: str) -> None:
    with refused(Invalid, source, "directory"):
        run(middle_auth.Importer().run, str(dumps / source))
