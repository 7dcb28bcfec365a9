"""The form of a token: how one is generated, which texts cannot be one, and what is stored instead."""

import hashlib
import re
import secrets
import zlib
from typing import Final

MAX_LENGTH: Final = 4096  # characters; no token is longer

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 43 characters, all of them letters and digits: cloud-volume accepts hexadecimal and base64 only, and R's fafbseg 32
# characters, or 43 to 44.
_BEGINNING = "dsgt"
_RANDOM = 33  # characters: 196 bits
_CHECKSUM = 6  # characters: a CRC-32 in base 62
_OURS = re.compile(rf"{_BEGINNING}[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}|dsg_[0-9A-Za-z]{{38}}")  # now; formerly
_VISIBLE = 8  # characters shown to tell tokens apart


def generate() -> str:
    """A new token: ``dsgt``, random letters and digits, and a checksum that shows a mistyped or leaked one."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return f"{_BEGINNING}{body}{_checksum(body)}"


def _checksum(body: str) -> str:
    rest, digits = zlib.crc32(body.encode("ascii")), ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def is_mistyped(token: str) -> bool:
    """Whether a text has the form of our tokens and a wrong checksum, so that no token is equal to it."""
    body, checksum = token[len(_BEGINNING) : -_CHECKSUM], token[-_CHECKSUM:]
    return bool(_OURS.fullmatch(token)) and _checksum(body) != checksum


def is_malformed(token: str) -> bool:
    """Whether no token can be equal to a text: it is mistyped, or too long."""
    return len(token) > MAX_LENGTH or is_mistyped(token)


def digest(token: str) -> bytes:
    """The SHA-256 of a token, which is stored in its place. No salt: a token is random, not a chosen password."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def visible_prefix(token: str) -> str:
    """The first characters of a token, which may be shown; never more than a quarter of it."""
    return token[: min(_VISIBLE, len(token) // 4)]
