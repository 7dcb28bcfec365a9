"""What the server signs, so that it comes back as it went out: ngauth user tokens and form tokens.

Signed, not encrypted: whoever holds one can read it, so nothing secret goes in.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

MAX_LENGTH = 2048  # characters; ours are a tenth of it

# SHA-384 is 64 characters of base64 with no bit to spare, so one value has one spelling only.
_SHAPE = re.compile(r"\.?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{64}")


class Purpose(StrEnum):
    """What a signature is good for; one made for one purpose fails for every other."""

    USER_TOKEN = "dsg ngauth user token"  # noqa: S105  contract.md, "POST /token"
    FORM = "dsg form"


class Refused(Exception):
    """It was not signed here for this purpose, or it is too old (``expired``)."""

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__("expired" if expired else "bad signature")
        self.expired = expired


def sign(keys: Sequence[str], purpose: Purpose, values: Mapping[str, Any], expires: datetime) -> str:
    """``values`` as URL-safe text that `verify` gives back until ``expires`` (a whole second).

    Args:
        keys: the first one signs.
    """
    signed = _serializer(keys, purpose).dumps({"exp": int(expires.timestamp()), "val": dict(values)})
    return signed.decode() if isinstance(signed, bytes) else signed


def verify(keys: Sequence[str], purpose: Purpose, presented: str, at: datetime) -> dict[str, Any]:
    """The values that `sign` was given.

    Args:
        keys: each may have signed it.
        presented: any text.

    Raises:
        Refused: it is not ours, not for this purpose, or it has expired.
    """
    if len(presented) > MAX_LENGTH or not _SHAPE.fullmatch(presented):
        raise Refused
    try:
        found = _serializer(keys, purpose).loads(presented)
    except BadData:
        raise Refused from None
    if at.timestamp() >= found["exp"]:
        raise Refused(expired=True)
    values: dict[str, Any] = found["val"]
    return values


def _serializer(keys: Sequence[str], purpose: Purpose) -> URLSafeSerializer:
    return URLSafeSerializer(
        list(reversed(keys)),  # itsdangerous signs with the last
        salt=purpose.value,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha384},
    )
