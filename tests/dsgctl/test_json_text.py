"""The one reader of JSON: what it takes, and that all else is one kind of error, in one line."""

import ast
import json
from pathlib import Path

import pytest

from dsgctl.json_text import NotJson, parse, parse_object, read_member

ROOT = Path(__file__).parents[2]
DEEP = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        "true",
        "0",
        "-0",
        "1.5e3",
        '"a"',
        '{"a": {"b": [1, 2, {"c": null}]}}',
        " [1]\n",
        str(2**63 - 1),
        str(-(2**63)),
        '"\\ud83d\\ude00"',
        '"\\\\ud800"',
        '"é"',
        "[" * 200 + "]" * 200,
    ],
)
def test_json_is_read_as_python_reads_it(text: str) -> None:
    assert parse(text) == parse(text.encode()) == parse(b"\xef\xbb\xbf" + text.encode()) == json.loads(text)


BAD = {
    "nothing": (b"", "empty"),
    "blanks": (b" \n", "empty"),
    "cut off": (b'{"a":', "not JSON, or cut off"),
    "two": (b"{} {}", "not JSON"),
    "a comma": (b"[1,]", "not JSON"),
    "single quotes": (b"{'a': 1}", "not JSON"),
    "not a number": (b"NaN", "NaN is not JSON"),
    "infinite": (b"[-Infinity]", "-Infinity is not JSON"),
    "an endless fraction": (b"1e999", "larger than 64 bits"),
    "below": (b"-1e999", "larger than 64 bits"),
    "2**63": (str(2**63).encode(), "larger than 64 bits"),
    "-2**63-1": (str(-(2**63) - 1).encode(), "larger than"),
    "5,000 digits": (b"[" + b"9" * 5000 + b"]", "larger than 64 bits"),
    "1,000,000 digits": (b"-" + b"9" * 1_000_000, "larger than 64 bits"),
    "5,000 digits and a point": (b"9" * 5000 + b".5", "larger than 64 bits"),
    "deep lists": (b"[" * DEEP, "nested too deep"),
    "deep objects": (b'{"a":' * DEEP, "nested too deep"),
    "deep and closed": (b"[" * DEEP + b"]" * DEEP, "nested too deep"),
    "a name twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is repeated"),
    "a name twice, escaped": (b'{"a": 1, "\\u0061": 2}', "'a' is repeated"),
    "a long name twice": (b'{"%b": 1, "%b": 2}' % (b"x" * 9000, b"x" * 9000), "is repeated"),
    "an odd name twice": ('{"\u202e\\u001b": 1, "\u202e\\u001b": 2}'.encode(), "is repeated"),
    "half a pair": (b'["\\ud800"]', "half a surrogate pair"),
    "the other half": (b'["\\uDFFF x"]', "half a surrogate"),
    "half a pair in a name": (b'{"\\udc00": 1}', "half a surrogate pair"),
    "a pair the wrong way": (b'"\\ude00\\ud83d"', "half a surrogate pair"),
    "Latin-1": (b'{"a": "\xe9"}', "not UTF-8 text"),
    "UTF-16": ("{}".encode("utf-16"), "not UTF-8 text"),
    "a control character": (b'"\x01"', "not JSON"),
    "NUL": (b'{"a": 1}\0', "not JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_json_is_one_error_in_one_line(case: str) -> None:
    content, part = BAD[case]
    with pytest.raises(NotJson) as caught:
        parse(content)
    message = str(caught.value)
    assert part in message and message.isprintable() and len(message) < 120


def test_the_error_has_the_line_number() -> None:
    for content, line in ((b'{\n"a":\n}', 3), (b'{\n"a": "\xff"}', 2), (b"", 1)):
        with pytest.raises(NotJson) as caught:
            parse(content)
        assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[]", "a list"),
        ("1", "a number"),
        ("1.5", "a number"),
        ('"a"', "a text"),
        ("true", "a truth value"),
        ("null", "null"),
    ],
)
def test_a_value_that_is_not_an_object_is_refused(text: str, kind: str) -> None:
    with pytest.raises(NotJson, match=f"it is {kind} and not an object"):
        parse_object(text)


@pytest.mark.parametrize("holder", [None, [], "a", {}, {"a": None}, {"a": "1"}, {"a": True}, {"a": 1.0}, {"b": 1}])
def test_a_missing_member_or_one_of_another_type_is_refused(holder: object) -> None:
    assert read_member({"a": 1}, "a", int) == 1
    with pytest.raises(NotJson):
        read_member(holder, "a", int)


# No other reader

ALLOWED = {
    "dsgctl/operations/demo.py": "what its own programs have printed",
    "dsgctl/commands/demo.py": "what its own programs have printed",
}


def _reads_json(tree: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "json"
        and node.attr in ("load", "loads", "JSONDecoder")
        for node in ast.walk(tree)
    )


def test_no_other_module_reads_json_directly() -> None:
    paths = [path for path in (ROOT / "dsgctl").rglob("*.py") if path.name != "json_text.py"]
    readers = {
        str(path.relative_to(ROOT)) for path in paths if _reads_json(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert readers == ALLOWED.keys()
