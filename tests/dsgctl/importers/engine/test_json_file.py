"""A JSON document of another system: an object at the top, and the line of each key."""

from pathlib import Path

import pytest

from dsgctl.core.errors import Invalid
from dsgctl.importers.engine.json_file import JsonFile
from tests.dsgctl.core.builders import refused

DOCUMENT = """\ufeff{
  "users": {
    "a:\\"b": {"inner": {"users": [1, {"x": 2}]}},

    "c": 1, "d": "text: {"
  },
  "last": []
}
"""


def read(tmp_path: Path, content: bytes) -> JsonFile:
    (tmp_path / "export.json").write_bytes(content)
    return JsonFile(tmp_path / "export.json")


def test_each_key_has_its_line(tmp_path: Path) -> None:
    document = read(tmp_path, DOCUMENT.encode())
    assert dict(zip(document.content, document.lines(), strict=True)) == {"users": 2, "last": 7}
    assert dict(zip(document.content["users"], document.lines("users"), strict=True)) == {'a:"b': 3, "c": 5, "d": 5}
    assert list(document.lines("users", 'a:"b', "inner")) == [3]


@pytest.mark.parametrize("content", [b"[]", b"1", b'"a"', b"null", b"", b"{", b'{"a": 1, "a": 2}', b'{"a": "\xff"}'])
def test_any_other_document_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    with refused(Invalid, "export.json", "take a new export"):
        read(tmp_path, content)


def test_an_error_of_syntax_names_the_line(tmp_path: Path) -> None:
    with refused(Invalid, "export.json, line 2"):
        read(tmp_path, b'{"a": 1,\n"b" 2}')
