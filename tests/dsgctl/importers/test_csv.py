"""The import of people from CSV: what becomes of a row, and every way in which a file can be wrong."""

import os
import threading
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest

from dsgctl.core import audit_chain, dataset_list, datasets, grants, groups, user_queries, users, versions
from dsgctl.core.errors import Invalid, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.importers import csv
from dsgctl.importers.engine.report import BadRows
from tests.dsgctl.core.builders import AT, Run, refused, trace_statements
from tests.dsgctl.importers.conftest import count_added

HEAD = "email,name,affiliation,notes\n"


@pytest.fixture
def run(run: Run) -> Run:
    run(datasets.add, "fish2")
    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


class TestNewPeople:
    def test_they_are_added_join_the_group_and_may_view(self, run: Run, source: Path) -> None:
        source.write_text(HEAD + "Ada@example.org,Ada Lovelace,HHMI,met in Oslo\nbo@example.org,,,\n")
        report = run(csv.Importer("fish2").run, source)
        assert count_added(report) == {"groups": 1, "users": 2, "memberships": 2, "grants": 2}
        ada = user_queries.show(run.database, "ada@example.org")
        assert [ada[key] for key in ("email", "name", "affiliations", "notes", "groups", "leads", "grants")] == [
            "Ada@example.org",
            "Ada Lovelace",
            ["HHMI"],
            "met in Oslo",
            ["user"],
            [],
            ["fish2 view"],
        ]
        grant = next(iter(grants.list_grants(run.database, dataset="fish2")))
        assert (grant["source"], grant["expires"], grant["version"]) == ("import", None, None)
        assert user_queries.show(run.database, "bo@example.org")["affiliations"] == []
        assert run.actions()[-7:] == [
            "group.add group:user",
            "user.add user:Ada@example.org",
            "user.add user:bo@example.org",
            "group.member.add group:user user:Ada@example.org",
            "group.member.add group:user user:bo@example.org",
            "grant.add dataset:fish2 user:Ada@example.org",
            "grant.add dataset:fish2 user:bo@example.org",
        ]

    @pytest.mark.parametrize(
        "content",
        [
            b"email,name,affiliation,notes\nzoe@example.org,Zo\xc3\xab,,\n",
            b"\xef\xbb\xbfemail,name\nzoe@example.org,Zo\xc3\xab\n",
            b" EMAIL , Name \r\n zoe@example.org , Zo\xc3\xab \r\n",
            b"name,email\nZo\xc3\xab,zoe@example.org",
            b'"notes","name","email"\n"","Zo\xc3\xab","zoe@example.org"\n',
            b"email,name\n\n\nzoe@example.org,Zo\xc3\xab\n  \n,\n\n",
            b"email,name\nzoe@example.org,Zo\xc3\xab\nzoe@example.org,Zo\xc3\xab\n",
            b"email,name\nzoe@example.org,Zo\xc3\xab\nZOE@example.org,Zo\xc3\xab\n",
        ],
        ids=[
            "all columns",
            "with a BOM",
            "CR LF, spaces and capitals",
            "other order, no last line end",
            "quoted",
            "blank lines",
            "a row twice",
            "a row twice but for case",
        ],
    )
    def test_every_common_format_of_the_file_is_read(self, run: Run, source: Path, content: bytes) -> None:
        source.write_bytes(content)
        assert count_added(run(csv.Importer("fish2").run, source))["users"] == 1
        assert [(row["email"], row["name"]) for row in user_queries.list_users(run.database)] == [
            ("zoe@example.org", "Zoë")
        ]

    def test_a_note_may_have_several_lines(self, run: Run, source: Path) -> None:
        source.write_bytes(b'email,notes\nada@example.org,"one\r\ntwo\nthree"\n')
        run(csv.Importer("fish2").run, source)
        assert users.find(run.database, "ada@example.org").notes == "one\ntwo\nthree"
        assert not run(csv.Importer("fish2").run, source).changed

    def test_a_file_with_a_header_alone_adds_nobody(self, run: Run, source: Path) -> None:
        source.write_text(HEAD)
        assert count_added(run(csv.Importer("fish2").run, source)) == {"groups": 1}

    def test_a_pipe_is_read(self, run: Run, source: Path) -> None:
        os.mkfifo(source)
        writer = threading.Thread(target=source.write_text, args=(HEAD + "ada@example.org,,,\n",))
        writer.start()
        assert count_added(run(csv.Importer("fish2").run, source))["users"] == 1
        writer.join()


class TestKnownPeople:
    @pytest.fixture(autouse=True)
    def ada(self, run: Run) -> None:
        run(users.add, "ada@example.org", name="Ada", notes="first", affiliations=["HHMI"], admin=True)

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ("ada@example.org,,,", ("Ada", "first", ["HHMI"])),
            ("ADA@Example.org,,,", ("Ada", "first", ["HHMI"])),
            ("ada@example.org,Somebody,,", ("Ada", "first", ["HHMI"])),
            ("ada@example.org,,MRC LMB,", ("Ada", "first", ["HHMI", "MRC LMB"])),
            ("ada@example.org,,HHMI,first", ("Ada", "first", ["HHMI"])),
            ("ada@example.org,,,second", ("Ada", "first\nsecond", ["HHMI"])),
        ],
    )
    def test_existing_users_are_only_added_to(
        self, run: Run, source: Path, row: str, expected: tuple[str, str, list[str]]
    ) -> None:
        source.write_text(HEAD + row + "\n")
        assert "users" not in count_added(run(csv.Importer("fish2").run, source))
        ada = user_queries.show(run.database, "ada@example.org")
        assert (ada["name"], ada["notes"], ada["affiliations"]) == expected
        assert (ada["admin"], ada["groups"], ada["grants"]) == (True, ["user"], ["fish2 view"])
        assert run.actions()[-1] == "grant.add dataset:fish2 user:ada@example.org"  # as the account is written

    def test_a_blank_name_is_filled(self, run: Run, source: Path) -> None:
        run(users.add, "bo@example.org")
        source.write_text(HEAD + "bo@example.org,Bo Ek,,\n")
        assert count_added(run(csv.Importer("fish2").run, source))["people added to"] == 1
        assert users.find(run.database, "bo@example.org").name == "Bo Ek"

    def test_group_leads_keep_their_role(self, run: Run, source: Path) -> None:
        run(groups.add, "user")
        run(groups.add_member, "user", "ada@example.org", leads=True)
        source.write_text(HEAD + "ada@example.org,,,\n")
        assert count_added(run(csv.Importer("fish2").run, source)) == {"grants": 1}
        assert groups.show(run.database, "user")["leads"] == ["ada@example.org"]

    def test_a_grant_of_one_version_is_not_enough_and_one_that_ends_is_told(self, run: Run, source: Path) -> None:
        run(versions.add, "fish2", "v1")
        subject = principal_subject(users.find(run.database, "ada@example.org"))
        run(grants.add, subject, Target("fish2", "view", "v1"))
        source.write_text(HEAD + "ada@example.org,,,\n")
        report = run(csv.Importer("fish2").run, source)
        assert count_added(report)["grants"] == 1
        assert report.skipped == []
        run(grants.add, subject, Target("fish2", "view"), expires=AT + timedelta(days=3))
        again = run(csv.Importer("fish2").run, source)
        assert not again.changed
        assert len(again.skipped) == 1
        assert "line 2: ada@example.org" in again.skipped[0]
        assert "2026-11-23" in again.skipped[0]

    def test_notes_that_are_too_long_together(self, run: Run, source: Path) -> None:
        run(users.set_attributes, "ada@example.org", notes="x" * 90_000)
        source.write_text(HEAD + f"bo@example.org,,,\nada@example.org,,,{'y' * 20_000}\n")
        before = run.content()
        with refused(BadRows, "line 3", "note"):
            run(csv.Importer("fish2").run, source)
        assert run.content() == before


class TestAgain:
    def test_a_second_run_changes_nothing_and_says_so(self, run: Run, source: Path) -> None:
        rows = "".join(f"p{number}@example.org,P {number},Lab {number % 7},n\n" for number in range(2500))
        source.write_text(HEAD + rows)
        first = run(csv.Importer("fish2").run, source)
        assert count_added(first) == {"groups": 1, "users": 2500, "memberships": 2500, "grants": 2500}
        before = run.content()
        second = run(csv.Importer("fish2").run, source)
        assert run.content() == before  # no audit record either, and the same revision
        assert not second.changed
        assert second.unchanged["users"] == second.unchanged["memberships"] == second.unchanged["grants"] == 2500
        assert audit_chain.verify(run.database) is None

    def test_a_row_that_stands_twice_far_apart(self, run: Run, source: Path) -> None:
        others = "".join(f"p{number}@example.org,,,\n" for number in range(1500))
        source.write_text(f"{HEAD}ada@example.org,A,,\n{others}ADA@example.org,A,,\n")
        assert count_added(run(csv.Importer("fish2").run, source))["users"] == 1501

    def test_a_dry_run_writes_nothing(self, run: Run, source: Path) -> None:
        source.write_text(HEAD + "ada@example.org,Ada,,\n")
        before = run.content()
        assert run(csv.Importer("fish2").run, source, dry_run=True).changed
        assert run.content() == before


ROW = "x@example.org,X,,\n"
# Bad rows: what stands below the header, and what is said of which line.
ROWS: dict[str, tuple[str | bytes, dict[int, str]]] = {
    "no email": (f"{ROW},Nobody,,\n", {3: "'' is not an email address"}),
    "not an email": (f"nobody,N,,\n{ROW}", {2: "'nobody' is not an email address"}),
    "an email not in ASCII": ("zoë@example.org,N,,\n", {2: "email"}),
    "an email too long": (f"{'x' * 250}@example.org,N,,\n", {2: "email"}),
    "an email of service accounts": ("bot@service-account.dsg.local,N,,\n", {2: "not a user's address"}),
    "a control character in the email": ("a\x1b@example.org,N,,\n", {2: "\\x1b"}),
    "a control character in the name": ("a@example.org,N\x07,,\n", {2: "is not a name"}),
    "a NUL": ("a@example.org,N\0,,\n", {2: "it holds a NUL"}),
    "a mark that turns the text": ("a@example.org,N\u202egro,,\n", {2: "is not a name"}),
    "a name too long": (f"a@example.org,{'n' * 256},,\n", {2: "is not a name"}),
    "a name of two lines": ('a@example.org,"N\nM",,\n', {2: "is not a name"}),
    "an affiliation too long": (f"a@example.org,,{'n' * 256},\n", {2: "is not an affiliation"}),
    "a note with a control character": ("a@example.org,,,n\x1b\n", {2: "note"}),
    "a note too long": (f"a@example.org,,,{'n' * 100_001}\n", {2: "note"}),
    "too few cells": (f"{ROW}a@example.org,N\n", {3: "2 cells, where the header has 4"}),
    "too many cells": (f"{ROW}a@example.org,N,,,\n", {3: "5 cells, where the header has 4"}),
    "twice with other details": (f"{ROW}{ROW}X@example.org,Y,,\n", {4: "is on line 2 too"}),
    "not UTF-8": (b"a@example.org,Zo\xeb,,\nb@example.org,,,\n", {2: "not UTF-8"}),
    "not UTF-8 within a cell of two lines": (b'a@example.org,,,"one\ntw\xeb"\n', {3: "not UTF-8"}),
    "a quote in the middle": (f'{ROW}a@example.org,"N"M,,\n,B,,\n', {3: "not CSV", 4: "not an email"}),
    "a quote that is not closed": (f'{ROW}a@example.org,"N,,\n{ROW}{ROW}', {3: "not CSV"}),
    "after a cell of three lines": ('a@example.org,,,"1\n2\n3"\nnobody,,,\n', {5: "email"}),
    "several": (f"nobody,,,\n{ROW}b@example.org\n\n,C,,\n", {2: "email", 4: "1 cells", 6: "email"}),
}


@pytest.mark.parametrize(("rows", "expected"), ROWS.values(), ids=ROWS)
def test_every_bad_row_is_reported_with_its_line_and_nothing_is_written(
    run: Run, source: Path, rows: str | bytes, expected: dict[int, str]
) -> None:
    source.write_bytes(HEAD.encode() + (rows if isinstance(rows, bytes) else rows.encode()))
    before = run.content()
    with pytest.raises(BadRows) as caught:
        run(csv.Importer("fish2").run, source)
    problems = dict(problem.split(": ", 1) for problem in caught.value.problems)
    assert list(problems) == [f"line {number}" for number in expected]
    for number, part in expected.items():
        assert part in problems[f"line {number}"]
    assert run.content() == before


def test_the_error_counts_all_bad_rows_and_names_the_first(run: Run, source: Path) -> None:
    source.write_text(HEAD + "nobody,,,\n" * 50)
    with refused(BadRows, "people.csv: 50 bad rows", "line 2: ", "line 21: ", "and 30 more"):
        run(csv.Importer("fish2").run, source)
    with pytest.raises(BadRows) as caught:
        run(csv.Importer("fish2").run, source)
    assert len(caught.value.problems) == 50
    assert "line 22: " not in caught.value.message


# Files that cannot be read as such a CSV at all.
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "must name the columns"),
    "blank": (b"\n\n", "must name the columns"),
    "no header": (b"ada@example.org,Ada\n", "'ada@example.org' is unknown"),
    "without email": (b"name,notes\nAda,\n", "must name the columns"),
    "an unknown column": (b"email,phone\na@example.org,1\n", "'phone' is unknown"),
    "a column twice": (b"email,email\na@example.org,a@example.org\n", "must name the columns"),
    "UTF-16": ("email,name\na@example.org,A\n".encode("utf-16"), "not UTF-8"),
    "a spreadsheet": (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\xff\xfe" * 50, "not UTF-8"),
    "a line without end": (b"email\n" + b"x" * 2**21, "line 2"),
    "a header that is not closed": (b'"email\nx@example.org\n', "not CSV"),
    "UTF-16 without a mark": ("email,name\na@example.org,A\n".encode("utf-16-le"), "not UTF-8"),
    "semicolons": (b"email;name\na@example.org;A\n", "has semicolons between its cells; save it as CSV with commas"),
    "tabs": (b"email\tname\na@example.org\tA\n", "has tabs between its cells"),
    "Latin-1 in the header": (b"email,na\xefme\n", "not UTF-8"),
    "old line ends and a quote without end": (
        b'email,name\ra@example.org,"A\r',
        "line 2: not CSV: a quoted cell has no",
    ),
    "a CR in a cell without quotes": (b"email,name\na@example.org,A\rB\n", "line 2: not CSV: a carriage return is in"),
    "old line ends and a line without end": (b"email\r" + b"x" * 2**21, "line 2: longer than"),
}


@pytest.mark.parametrize(("content", "part"), FILES.values(), ids=FILES)
def test_another_file_is_refused(run: Run, source: Path, content: bytes, part: str) -> None:
    source.write_bytes(content)
    before = run.content()
    with refused(Invalid, "people.csv", part):
        run(csv.Importer("fish2").run, source)
    assert run.content() == before


def test_a_dataset_that_does_not_exist_is_not_created(run: Run, source: Path) -> None:
    source.write_text(HEAD + ROW)
    with refused(NotFound, "fish3"):
        run(csv.Importer("fish3").run, source)
    assert [row["name"] for row in dataset_list.list_datasets(run.database)] == ["fish2"]


@pytest.mark.parametrize("kind", ["missing", "a directory"])
def test_a_file_that_cannot_be_opened_raises_oserror(run: Run, source: Path, kind: str) -> None:
    if kind == "a directory":
        source.mkdir()
    with pytest.raises(OSError, match=r"people\.csv"):
        run(csv.Importer("fish2").run, source)


def test_thousands_are_imported_in_batches_and_progress_is_reported(run: Run, source: Path) -> None:
    rows = "".join(f"p{number}@example.org,Person {number},Lab,note {number}\n" for number in range(5000))
    source.write_text(HEAD + rows)
    steps: list[tuple[int, int]] = []
    run(csv.Importer("fish2").run, source, progress=lambda count, total: steps.append((count, total)))
    assert steps[0] == (100, 5000)
    assert steps[-1] == (5000, 5000)


def _write_people(source: Path, count: int) -> None:
    rows = (f"p{number}@example.org,Person {number},Lab {number % 7},note {number}\n" for number in range(count))
    source.write_text(HEAD + "".join(rows))


def test_people_are_written_by_statements_for_many_of_them(run: Run, source: Path) -> None:
    counts = []
    for size in (1000, 2000, 3000):
        _write_people(source, size)
        statements: list[str] = []
        with trace_statements(run.database, statements):
            run(csv.Importer("fish2").run, source, dry_run=True)
        counts.append(len(statements))
    growth = [counts[1] - counts[0], counts[2] - counts[1]]
    assert max(growth) < 60, f"for a thousand people each: {growth}"


def test_memory_does_not_grow_with_the_file(run: Run, source: Path) -> None:
    most = []
    for size in (2000, 2000, 6000):  # the first run imports modules
        _write_people(source, size)
        tracemalloc.start()
        run(csv.Importer("fish2").run, source, dry_run=True)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[2] < most[1] + 4000 * 50, most


@pytest.mark.parametrize("first", range(0, 40, 8))
def test_a_file_with_many_repetitions_names_each_line(run: Run, source: Path, first: int) -> None:
    rows = [f"p{number % 40}@example.org,Person {number},,\n" for number in range(first, 80)]
    source.write_text(HEAD + "".join(rows))
    with pytest.raises(BadRows) as caught:
        run(csv.Importer("fish2").run, source)
    assert caught.value.problems == [
        f"line {line + 40}: p{(line + first - 2) % 40}@example.org is on line {line} too, with other details"
        for line in range(2, 42 - first)
    ]


def test_a_file_that_is_written_to_is_refused(run: Run, source: Path) -> None:
    _write_people(source, 300)

    def write_more(count: int, total: int) -> None:
        with source.open("a") as file:
            file.write("late@example.org,,,\n")

    before = run.content()
    with refused(Invalid, "was written to while it was read"):
        run(csv.Importer("fish2").run, source, progress=write_more)
    assert run.content() == before


NOTED = (b"email,notes", b'a@example.org,"one\ntwo"', b'b@example.org,"x\ry"', b"c@example.org,")
LINE_ENDS: dict[str, bytes] = {
    "LF": b"\n".join(NOTED) + b"\n",
    "CR LF": b"\r\n".join(NOTED) + b"\r\n",
    "CR, as Excel calls Macintosh": b"\r".join(NOTED) + b"\r",
    "CR, without the last": b"\r".join(NOTED),
    "CR, with a mark": b"\xef\xbb\xbf" + b"\r".join(NOTED),
    "CR, then LF": NOTED[0] + b"\r" + b"\n".join(NOTED[1:]),
    "blank lines at the end": b"\n".join(NOTED) + b"\n\n\r\n,\n",
    "CR and blank lines at the end": b"\r".join(NOTED) + b"\r\r\r",
}


@pytest.mark.parametrize("content", LINE_ENDS.values(), ids=LINE_ENDS)
def test_lines_may_end_as_any_program_ends_them(run: Run, source: Path, content: bytes) -> None:

    source.write_bytes(content)
    report = run(csv.Importer("fish2").run, source)
    assert report.added["users"] == 3
    notes = {email: users.find(run.database, f"{email}@example.org").notes for email in "abc"}
    assert notes == {"a": "one\ntwo", "b": "x\ny", "c": ""}


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 99_000])
def test_a_line_that_ends_with_cr_may_end_anywhere_in_what_is_read_at_once(run: Run, source: Path, size: int) -> None:
    head = b"email,notes\ra@example.org,"
    source.write_bytes(head + b"x" * (size - len(head) - 1) + b"\r\nb@example.org,\r")
    assert run(csv.Importer("fish2").run, source).added["users"] == 2


def test_a_header_alone_adds_nobody(run: Run, source: Path) -> None:
    for content in (b"email", b"email\r", b"email,name\n\n"):
        source.write_bytes(content)
        assert run(csv.Importer("fish2").run, source).added["users"] == 0


def test_a_bad_row_of_old_line_ends_is_named_by_its_line(run: Run, source: Path) -> None:
    source.write_bytes(b'email,notes\ra@example.org,"one\rtwo"\rnobody,\r')
    with refused(BadRows, "line 4: 'nobody' is not an email address"):
        run(csv.Importer("fish2").run, source)
