"""What a boundary can say, held against what Google takes (tests/e2e/google_conditions.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgctl.core.rules import boundary, buckets
from tests.e2e.google_conditions import Malformed, Rule, allows, parse_boundary, parse_expression

LONG = "projects/2026/consortium-of-laboratories/larval-zebrafish/electron-microscopy/segmentation/release-{}/full/"
DOTTED = ".".join(["a" * 55] * 3 + ["b" * 54])  # 222 characters


def judge(bucket: str, prefixes: tuple[str, ...]) -> list[Rule] | None:
    """The boundary as Google reads it; None if there is none."""
    conditions = boundary.build_conditions(bucket, prefixes)
    if conditions is None:
        return None
    rules = [
        {
            "availableResource": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
            "availablePermissions": ["inRole:roles/storage.objectViewer"],
            **({"availabilityCondition": {"expression": condition}} if condition is not None else {}),
        }
        for condition in conditions
    ]
    return parse_boundary(rules)


# Prefixes of one person -> how many rules; None: a boundary has no room.
PACKED = {
    "one": (("a/",), 1),
    "six": (tuple(f"p{number}/" for number in range(6)), 1),
    "seven": (tuple(f"p{number}/" for number in range(7)), 2),
    "sixty": (tuple(f"p{number}/" for number in range(60)), 10),
    "sixty-one": (tuple(f"p{number}/" for number in range(61)), None),
    "a thousand": (tuple(f"p{number}/" for number in range(1000)), None),
    "eight long ones, six of which are longer than an expression": (tuple(map(LONG.format, range(8))), 2),
    "as many long ones as there is room for": (tuple(map(LONG.format, range(50))), 10),
    "one long one more": (tuple(map(LONG.format, range(51))), None),
    "ten of the longest": (tuple("x" * 900 + f"{number}/" for number in range(10)), 10),
    "eleven of them": (tuple("x" * 900 + f"{number:02}/" for number in range(11)), None),
    "long and short ones fill each other's gaps": (
        (*("x" * 800 + f"{number}/" for number in range(10)), *(f"{number}/" for number in range(10))),
        10,
    ),
    "sixty with the whole bucket": (("", *(f"p{number}/" for number in range(60))), 1),
    "folders that begin alike": (("release-1/", "release-10/"), 1),
    "of another script": (("神经/", "données/", "a b/"), 1),
}


@pytest.mark.parametrize(("prefixes", "rules"), PACKED.values(), ids=PACKED)
def test_prefixes_are_packed_by_number_and_by_length(prefixes: tuple[str, ...], rules: int | None) -> None:
    judged = judge("long-data", prefixes)
    assert (None if judged is None else len(judged)) == rules
    for prefix in prefixes if judged else ():
        assert allows(judged or [], "long-data", f"{prefix}info", "")
        assert allows(judged or [], "long-data", "", prefix)


PROBLEMS = {
    "whole": ("lab", "", None),
    "plain": ("lab", "a/b/", None),
    "punctuation": ("lab", "a_b-c.d~e!f$g&h(i)j*k+l,m;n=o:p@q#r%s t/", None),
    "another script": ("lab", "données/神经/", None),
    "a long bucket": (DOTTED, "a/", None),
    "single quote": ("lab", "o'neil/", "character"),
    "double quote": ("lab", 'a"b/', "character"),
    "backslash": ("lab", "a\\b/", "character"),
    "backtick": ("lab", "a`b/", "character"),
    "bracket": ("lab", "a[b/", "character"),
    "brace": ("lab", "a{b}/", "character"),
    "newline": ("lab", "a\nb/", "character"),
    "carriage return": ("lab", "a\rb/", "character"),
    "NUL": ("lab", "a\0b/", "character"),
    "next line": ("lab", "a\x85b/", "character"),
    "line separator": ("lab", "a\u2028b/", "character"),
    "zero width": ("lab", "a\u200bb/", "character"),
    "right to left": ("lab", "a\u202eb/", "character"),
    "lone surrogate": ("lab", "a\ud800b/", "character"),
    "the language itself": ("lab", "') || true || ('/", "character"),
    "no slash": ("lab", "a", "end with"),
    "too long": ("lab", "x" * 1000 + "/", "characters, and name it twice"),
    "too long for a long bucket": (DOTTED, "x" * 900 + "/", "characters, and name it twice"),
    "a bucket with a quote": ("l'ab", "a/", "name of its bucket"),
    "a bucket with a line end": ("lab\n", "", "name of its bucket"),
}


@pytest.mark.parametrize(("bucket", "prefix", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_prefix_that_no_condition_can_name_has_a_problem(bucket: str, prefix: str, problem: str | None) -> None:
    actual = boundary.find_problem(bucket, prefix)
    assert (actual is None) == (problem is None)
    assert problem is None or problem in str(actual)
    if problem is None:
        assert judge(bucket, (prefix,)) is not None


_FOLDERS = st.lists(
    st.text(st.sampled_from("ab1/-é' \\"), max_size=8).map(lambda name: name and f"{name}/"), max_size=9
)


@given(folders=_FOLDERS, name=st.text(st.sampled_from("ab1/-é"), min_size=1, max_size=9))
def test_a_boundary_opens_the_given_prefixes_and_nothing_else(folders: list[str], name: str) -> None:
    prefixes = buckets.drop_nested(folder for folder in folders if boundary.find_problem("lab", folder) is None)
    rules = judge("lab", prefixes) if prefixes else []
    assert rules is not None
    assert allows(rules, "lab", name, "") == any(name.startswith(prefix) for prefix in prefixes)
    assert allows(rules, "lab", "", name) == any(name.startswith(prefix) for prefix in prefixes)
    assert not allows(rules, "lab2", name, "")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "true",
        "resource.name.startsWith('a'b')",
        "resource.name.startsWith('a\\b/')x",
        "resource.name.startsWith(a)",
        "resource.name.startsWith('a') ||",
        "resource.name.startsWith('a\nb')",
        "resource.name.startsWith('\\q')",
        f"resource.name.startsWith('{'x' * 2048}')",
        " || ".join(["resource.name.startsWith('a')"] * 14),
    ],
)
def test_the_stand_in_refuses_what_google_would(expression: str) -> None:
    with pytest.raises(Malformed):
        parse_expression(expression)


def test_the_stand_in_reads_strings_as_the_language_has_them() -> None:
    assert parse_expression(r"""resource.name.startsWith("o'\"\\\x41\u00e9\101")""") == (("o'\"\\AéA",), ())
