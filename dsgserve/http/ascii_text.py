"""Functions for protocol text, which is ASCII: other letters, digits and white space are not treated as such.

Python's own ``strip``, ``lower`` and ``isdigit``, and pattern classes such as ``\\d``, follow Unicode: they strip
U+0085, turn the Kelvin sign into "k", and accept the digits of every script. tests/dsgserve/http/test_ascii_text.py
keeps them out of dsgserve.
"""

import re

_NUMBER = re.compile(r"[0-9]+")
_TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def trim(text: str) -> str:
    """The text without SP and HTAB around it, the optional white space of HTTP (RFC 9110, section 5.6.3)."""
    return text.strip(" \t")


def lower(text: str) -> str:
    """The text with a to z in place of A to Z."""
    return text.translate(_TO_LOWER) if not text.isascii() else text.lower()


def is_number(text: str) -> bool:
    """Whether a text is decimal digits 0 to 9, however many."""
    return _NUMBER.fullmatch(text) is not None


def number(text: str, *, most: int) -> int | None:
    """The number in decimal digits 0 to 9, if it is at most ``most``; else None."""
    if len(text) > len(str(most)) or not _NUMBER.fullmatch(text):
        return None
    value = int(text)
    return value if value <= most else None
