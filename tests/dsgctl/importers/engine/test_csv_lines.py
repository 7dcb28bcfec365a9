"""CSV of any program: the line of each row, and what is wrong with it."""

from pathlib import Path

import pytest

from dsgctl.core.errors import Invalid
from dsgctl.importers.engine.csv_lines import Record, count_lines, read_records, read_state
from tests.dsgctl.core.builders import refused

FILES: dict[str, tuple[bytes, list[Record]]] = {
    "ok/lines": (b"a,b\n1,2\n", [Record(1, ["a", "b"]), Record(2, ["1", "2"])]),
    "ok/CR LF": (b"a\r\n1\r\n", [Record(1, ["a"]), Record(2, ["1"])]),
    "ok/CR alone": (b"a\r1\r", [Record(1, ["a"]), Record(2, ["1"])]),
    "ok/no end of the last line": (b"a\n1", [Record(1, ["a"]), Record(2, ["1"])]),
    "ok/a byte order mark": (b"\xef\xbb\xbfa\n", [Record(1, ["a"])]),
    "ok/a blank line": (b"a\n\n1\n", [Record(1, ["a"]), Record(2, []), Record(3, ["1"])]),
    "ok/a cell of two lines": (b'"a\nb",c\n1\n', [Record(1, ["a\nb", "c"]), Record(3, ["1"])]),
    "ok/nothing": (b"", []),
    "fail/another encoding": (
        b"a\n\xe9\n1\n",
        [Record(1, ["a"]), Record(2, [], "it is not UTF-8 text", False), Record(3, ["1"])],
    ),
    "fail/a NUL": (b"a\n\0\n", [Record(1, ["a"]), Record(2, [], "it is not UTF-8 text: it holds a NUL", False)]),
    "fail/a quote without an end": (b'a\n"b', [Record(1, ["a"]), Record(2, [], "not CSV: a quoted cell has no end")]),
    "fail/text after a quote": (
        b'a\n"b"c\n1\n',
        [Record(1, ["a"]), Record(2, [], "not CSV: a quoted cell goes on after its closing quote"), Record(3, ["1"])],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_each_row_has_its_line_or_what_is_wrong_with_it(tmp_path: Path, name: str) -> None:
    content, records = FILES[name]
    (tmp_path / "people.csv").write_bytes(content)
    with (tmp_path / "people.csv").open("rb") as file:
        assert list(read_records("people.csv", file)) == records
        assert list(read_records("people.csv", file)) == records, "from the beginning again"


@pytest.mark.parametrize(
    ("content", "part"), [(b"a\n" + b"x" * (2**20 + 1), "line 2: longer than"), ("a\n".encode("utf-16"), "UTF-16")]
)
def test_a_file_that_is_no_csv_is_refused(tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    with (tmp_path / "people.csv").open("rb") as file, refused(Invalid, "people.csv", part):
        list(read_records("people.csv", file))


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"a\rb\r", 2)])
def test_the_lines_of_a_file_are_counted(tmp_path: Path, content: bytes, lines: int) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    with (tmp_path / "people.csv").open("rb") as file:
        assert count_lines(file) == lines


def test_the_state_of_a_file_changes_when_somebody_writes_to_it(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"a\n")
    with path.open("rb") as file:
        before = read_state(file)
        assert read_state(file) == before
        with path.open("ab") as other:
            other.write(b"b\n")
        assert read_state(file) != before
