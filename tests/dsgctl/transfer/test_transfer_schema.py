"""The form of each column of a document: what a restore accepts."""

import pytest

from dsgctl.core.errors import Invalid
from dsgctl.store.queries import BlobField, Field
from dsgctl.transfer.transfer_schema import AUDIT, TABLES, columns, forms

COLUMNS = [(table, name) for table in TABLES for name in columns(table)]


def takes_text(field: Field) -> bool:
    return field.field_type == "TEXT" and not isinstance(field, BlobField)


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_no_column_accepts_what_moves_the_cursor_of_a_terminal(table: str, column: str) -> None:
    """The audit log alone does: its chain of hashes shows whether a value is that which was written."""
    _, check = forms(table)[column]
    if table == AUDIT and takes_text(columns(table)[column]) and column != "at":
        assert check("a\x1b[2J") == "a\x1b[2J"
        return
    with pytest.raises(Invalid, match=f"^{column}: "):
        check("a\x1b[2J")


def test_a_text_is_one_line_unless_its_form_says_otherwise() -> None:
    paragraphs = {(table, name) for table, name in COLUMNS if table != AUDIT and is_accepted(table, name, "a\nb")}
    assert paragraphs == {
        ("principals", "notes"),
        ("datasets", "description"),
        ("terms", "text"),
        ("declared", "file"),
    }


def is_accepted(table: str, column: str, value: str) -> bool:
    try:
        forms(table)[column][1](value)
    except Invalid:
        return False
    return True


VALUES = {
    ("tokens", "postponed"): (["", "1", "2 17"], [" ", "1 ", "x", "1  2", "0", "-1", "\u00b2", "1,2", "9" * 17]),
    ("declared", "key"): (["[]", '["lab"]', f'["{"x" * 3000}", ""]'], ["", "lab", "{}", "[1]", "[null]", '"lab"']),
}


@pytest.mark.parametrize(("table", "column"), VALUES)
def test_a_column_that_programs_parse_accepts_what_they_write_alone(table: str, column: str) -> None:
    good, bad = VALUES[table, column]
    assert [value for value in good if not is_accepted(table, column, value)] == []
    assert [value for value in bad if is_accepted(table, column, value)] == []
