"""Text of strangers is ASCII where a protocol gives it a meaning: these functions know no other letters or digits.

Python's own ``strip``, ``lower`` and ``isdigit``, and classes of a pattern such as ``\\d``, go by Unicode: they take
away U+0085, make "k" of the Kelvin sign, and find digits in every script. They are kept out of dsgserve by
tests/dsgserve/http/test_ascii_text.py.
"""

import re

_NUMBER = re.compile(r"[0-9]+")
_TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def trim(text: str) -> str:
    """Without the optional white space of HTTP around it: SP and HTAB (RFC 9110, section 5.6.3)."""
    return text.strip(" \t")


def lower(text: str) -> str:
    """With a to z in place of A to Z."""
    return text.translate(_TO_LOWER) if not text.isascii() else text.lower()


def number(text: str, *, most: int) -> int | None:
    """The number that these digits 0 to 9 write, if it is at most ``most``; else None."""
    if len(text) > len(str(most)) or not _NUMBER.fullmatch(text):
        return None
    value = int(text)
    return value if value <= most else None
