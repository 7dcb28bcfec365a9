"""Invisible characters and control characters: refused in names, and escaped for terminals."""

import sys
import unicodedata

import pytest

from dsgctl.core import hidden_characters, validation
from dsgctl.core.errors import Invalid

# What is seen of Unicode's category Cf: signs that stand before or around numbers and words.
SEEN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")


# Default_Ignorable_Code_Point beyond Cf, from Unicode's DerivedCoreProperties.txt; U+2800 is a blank by its shape.
IGNORED = [
    (0x34F, 0x34F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0xE0000, 0xE0FFF),
    (0x2800, 0x2800),
]


def _hides(char: str) -> bool:
    kind = unicodedata.category(char)
    return (kind in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in SEEN) or any(
        first <= ord(char) <= last for first, last in IGNORED
    )


def test_every_invisible_character_is_refused_in_a_name_and_shown_escaped() -> None:
    for number in range(0x110000):
        char = chr(number)
        if unicodedata.category(char) in ("Cn", "Co") and not _hides(char):
            continue  # not assigned, or in private use
        name = f"lab{char}1"
        assert hidden_characters.has_hidden(name) is _hides(char), ascii(char)
        if not _hides(char):
            continue
        with pytest.raises(Invalid) as refusal:
            validation.single_line(name, "group name")
        assert char not in refusal.value.message
        assert ascii(char)[1:-1] in hidden_characters.escape(name)


@pytest.mark.parametrize(
    "name",
    [
        "\U0001f469\u200d\U0001f52c",
        "\u2764\ufe0f\u200d\U0001f525",
        "\u2764\ufe0e",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937",
        "Zo\xeb",
        "\u674e\u660e",
        "\u0661\u0662",
        "\U0001f468\U0001f3fd\u200d\U0001f52c",
        "\xe9diter \u2713",
        "\u5c71\u7530\u3000\u592a\u90ce",
    ],
    ids=ascii,
)
def test_joiners_where_a_script_or_an_emoji_needs_them_are_names(name: str) -> None:
    assert validation.single_line(name, "group name") == name
    assert hidden_characters.escape(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "lab\u200d1",
        "lab\u200c-1",
        "\u200dlab",
        "lab\u200d",
        "lab\ufe0f",
        "\u674e\u200d",
        "\u200d\u674e",
        "\u674e\u200d\u200d\u660e",
        "\u674e\u200c\u200d\u660e",
        "\u2764\ufe0f\ufe0f",
        "\ufe0f\u2764",
        "a\u200d\U0001f52c",
        "\U0001f469\u200da",
        "\u0430\u200d\u0431",
    ],
    ids=ascii,
)
def test_joiners_elsewhere_make_twins_and_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        validation.single_line(name, "group name")
    assert hidden_characters.escape(name) != name


def test_what_is_hidden_is_escaped_and_nothing_else() -> None:
    for start in range(0, sys.maxunicode + 1, 16):
        text = "".join(map(chr, range(start, start + 16)))
        assert (hidden_characters.escape(text) != text) == hidden_characters.has_hidden(text), hex(start)
