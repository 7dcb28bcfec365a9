"""Characters that move the cursor, change the direction of writing, or are invisible.

On a terminal they can forge output, and in a name they can make it look like another one.
"""

import re
from collections.abc import Callable

# Control characters (Unicode categories Cc and Cs), separators of lines and paragraphs, and marks that
# change the direction of writing: on a terminal they move the cursor, or make one name look like another.
# A text, not a compiled pattern: `re` compiles it at the first use, and most commands never use it.
_CONTROL = "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"

# Invisible characters, which let two different names look the same: those of Unicode's category Cf and those with
# the property Default_Ignorable_Code_Point (https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point).
# The visible ones of Cf, such as Arabic and Kaithi number signs, are not among them.
_UNSEEN = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u206f\u2800\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Joiners (U+200C, U+200D) and variation selectors (U+FE0E, U+FE0F) change how Persian, Indian scripts and emoji look.
# They count as hidden elsewhere, above all beside Latin letters.
_SCRIPTS = "\u0590-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\ufdff\ufe0e\ufe0f\ufe70-\ufefe\U0001f000-\U0001faff"
_ANY = f"[{_CONTROL[1:-1]}{_UNSEEN}\u200c\u200d\ufe0e\ufe0f]"  # a text without these has no hidden character
_HIDDEN = (
    f"{_CONTROL}|[{_UNSEEN}]|(?<![{_SCRIPTS}])[\u200c\u200d]|[\u200c\u200d](?![{_SCRIPTS}])"
    "|(?<![\u2010-\u2027\u2030-\u205e\u2070-\ufdff\U0001f000-\U0001faff])[\ufe0e\ufe0f]"
)


def has_hidden(text: str, *, allowed: str = "") -> bool:
    """Whether ``text`` has an invisible or a control character that is not one of ``allowed``."""
    if text.isascii():
        return has_control(text, allowed=allowed)
    return any(hidden not in allowed for hidden in re.findall(_HIDDEN, text))


def escape(text: str, *, allowed: str = "", spelling: Callable[[str], str] = lambda char: ascii(char)[1:-1]) -> str:
    """The same text with every hidden character spelled out, except those of ``allowed``.

    Args:
        spelling: how to spell a character; by default as in Python, ``\\u200b``.
    """
    if not (has_control(text, allowed=allowed) if text.isascii() else re.search(_ANY, text)):
        return text  # the quick answer for nearly every text
    return re.sub(_HIDDEN, lambda hidden: hidden[0] if hidden[0] in allowed else spelling(hidden[0]), text)


def has_control(text: str, *, allowed: str = "") -> bool:
    """Whether ``text`` has a control character that is not one of ``allowed``."""
    if text.isprintable():  # the quick answer: an import asks a million times
        return False
    return any(control not in allowed for control in re.findall(_CONTROL, text))
