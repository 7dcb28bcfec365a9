"""Signed text: ngauth user tokens, proofs in forms, and sign-ins that have begun.

Signed, not encrypted: anybody who has such a text can read it, so it holds no secret of the server.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

MAX_LENGTH = 2048  # characters, unless a caller says otherwise; a user token has about 200

# SHA-384 is 64 characters of base64 with no bit to spare, so one value has one spelling only.
_SHAPE = re.compile(r"\.?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{64}")


class Purpose(StrEnum):
    """What a signature is for; a signature for one purpose fails for every other."""

    USER_TOKEN = "dsg ngauth user token"  # noqa: S105  contract.md, "POST /token"
    FORM = "dsg form"
    LOGIN = "dsg login"


class Refused(Exception):
    """The text was not signed here for this purpose, or it has expired (``expired``)."""

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__("expired" if expired else "bad signature")
        self.expired = expired


def sign(keys: Sequence[str], purpose: Purpose, values: Mapping[str, object], expires: datetime) -> str:
    """Sign values. The text needs no encoding in a URL or a cookie.

    Args:
        keys: the first one signs.
        values: of types that JSON has.
        expires: to the second; from then on `verify` refuses the text.
    """
    text = _serializer(keys, purpose).dumps({"exp": int(expires.timestamp()), "val": dict(values)})
    return text.decode() if isinstance(text, bytes) else text


# Any: the values are JSON, and each purpose has keys of its own.
def verify(
    keys: Sequence[str], purpose: Purpose, presented: str, at: datetime, *, max_length: int = MAX_LENGTH
) -> dict[str, Any]:
    """The values that were signed.

    Args:
        keys: any of them may have signed the text.
        presented: any text.
        max_length: characters; a longer text is refused before anything is computed from it.

    Raises:
        Refused: the text is not signed by these keys, not for this purpose, or has expired.
    """
    if len(presented) > max_length or not _SHAPE.fullmatch(presented):
        raise Refused
    try:
        payload = _serializer(keys, purpose).loads(presented)
    except BadData:
        raise Refused from None
    if at.timestamp() >= payload["exp"]:
        raise Refused(expired=True)
    values: dict[str, Any] = payload["val"]
    return values


def _serializer(keys: Sequence[str], purpose: Purpose) -> URLSafeSerializer:
    return URLSafeSerializer(
        list(reversed(keys)),  # itsdangerous signs with the last
        salt=purpose.value,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha384},
    )
