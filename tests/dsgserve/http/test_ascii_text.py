"""Text of strangers has a meaning in ASCII alone: the functions for it, and that dsgserve uses no others."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsgserve.http import ascii_text

DSGSERVE = Path(ascii_text.__file__).parent

# White space, letters and digits to Python, and to no protocol that we speak.
ODD_SPACE = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2028\u2029\u202f\u3000\ufeff"


@pytest.mark.parametrize("character", ODD_SPACE + "\r\n\0a")
def test_only_space_and_tab_are_trimmed(character: str) -> None:
    assert ascii_text.trim(f" \t{character}x{character}\t ") == f"{character}x{character}"


@pytest.mark.parametrize(
    ("text", "lower"),
    [
        ("ABCXYZ", "abcxyz"),
        ("azAZ09-_", "azaz09-_"),
        ("\u212aate", "\u212aate"),
        ("\u0130", "\u0130"),
        ("ÀÉ", "ÀÉ"),
        ("\u212aATE", "\u212aate"),
        ("", ""),
    ],
)
def test_only_the_letters_a_to_z_have_a_case(text: str, lower: str) -> None:
    assert ascii_text.lower(text) == lower


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        ("100", 100),
        ("101", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1 ", None),
        ("1\n", None),
        ("1_0", None),
        ("\u0663", None),
        ("\xb2", None),
        ("\uff11", None),
        ("1e1", None),
        ("0x1", None),
        ("9" * 5000, None),
        ("0" * 5000, None),
    ],
)
def test_a_number_is_written_in_digits_0_to_9(text: str, number: int | None) -> None:
    assert ascii_text.number(text, most=100) == number


# Methods of text that go by Unicode. Those of the first line do so without an argument only.
WITHOUT_ARGUMENT = {"strip", "lstrip", "rstrip", "split", "rsplit"}
ALWAYS = {
    "lower",
    "upper",
    "casefold",
    "title",
    "capitalize",
    "swapcase",
    "splitlines",
    "isdigit",
    "isdecimal",
    "isnumeric",
    "isalpha",
    "isalnum",
    "isspace",
    "isupper",
    "islower",
    "istitle",
    "isidentifier",
}
# Where they are right all the same: "module: what is called" -> why.
ALLOWED = {
    "ascii_text: text.lower()": "after isascii()",
    "ascii_text: int(text)": "after its pattern, and not longer than `most`",
    "last_used: int(clock.seconds())": "of our own clock",
    "gcs_tokens: int(reply.status)": "a number already",
    "landing: (query_value(request, 'q') or '')[:_LONGEST_FILTER].strip()": "words that a person looks for",
    "sign_in: error.message[0].upper()": "our own words",
    "oidc: value.strip()": "a name to show, which the provider has verified; no decision rests on it",
    "oidc: value.strip()[:limit].strip()": "the same",
    "oidc: SCOPE.split()": "our own words",
    "wire: data.lstrip()": "bytes, whose white space is ASCII; waitress strips them in the same way",
    "requests: name.upper()": "of a header's name in our own code",
    "routing: int(match[name])": "after the pattern of its route, of nine digits at most",
    "signing: int(expires.timestamp())": "a number already",
    "systemd: int(environment.get('LISTEN_FDS', '0'))": "systemd's own word",
    "systemd: int(microseconds)": "systemd's own word",
    "systemd: microseconds.isdigit()": "systemd's own word",
    "wire: header_plus.lower()": "of bytes, whose letters are ASCII",
    "wire: int(self.request.error.code)": "of waitress",
}


def calls(module: Path) -> Iterator[str]:
    """What goes by Unicode in a module: calls of such methods, numbers of text, and patterns with such classes."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and (_is_number(node) or _is_of_text(node) or _is_of_pattern(node)):
            yield ast.unparse(node)


def _is_number(call: ast.Call) -> bool:
    named = isinstance(call.func, ast.Name) and call.func.id in ("int", "float")
    return named and bool(call.args) and not isinstance(call.args[0], ast.Constant)


def _is_of_text(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return name in ALWAYS or (name in WITHOUT_ARGUMENT and not call.args and not call.keywords)


def _is_of_pattern(call: ast.Call) -> bool:
    """Whether it is a call of ``re`` with a class or a flag that means more than ASCII."""
    if not (isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "re"):
        return False
    texts = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
    if any(isinstance(text, bytes) for text in texts):
        return False
    written = "".join(text for text in texts if isinstance(text, str))
    flags = ast.unparse(call)
    return "re.ASCII" not in flags and (
        "re.IGNORECASE" in flags
        or any(character_class in written for character_class in ("\\d", "\\w", "\\s", "\\b", "\\D", "\\W", "\\S"))
    )


def calls_in_dsgserve() -> set[str]:
    return {
        f"{module.relative_to(DSGSERVE).with_suffix('')}: {call}"
        for module in sorted(DSGSERVE.rglob("*.py"))
        for call in calls(module)
    }


def test_dsgserve_uses_unicode_functions_only_where_a_reason_is_given() -> None:
    assert calls_in_dsgserve() - ALLOWED.keys() == set(), "use dsgserve/http/ascii_text.py, or say here why not"


def test_the_search_for_unicode_functions_finds_each_kind(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text(
        "a.strip(); a.strip(' '); a.split(); a.split(','); a.lower(); a.isdigit(); int(a); int(); re.compile(r'\\d')\n"
        "re.compile(r'\\d', re.ASCII); re.compile(rb'\\d'); re.match('k', a, re.IGNORECASE); re.sub('[0-9]', '', a)\n"
    )
    assert list(calls(module)) == [
        "a.strip()",
        "a.split()",
        "a.lower()",
        "a.isdigit()",
        "int(a)",
        "re.compile('\\\\d')",
        "re.match('k', a, re.IGNORECASE)",
    ]
