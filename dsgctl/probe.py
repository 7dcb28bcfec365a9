"""The proof with which ``dsgctl doctor`` asks a server, through its proxies, which client address it sees.

``GET /health`` reports the address to a request that a signing key signed within the last minute. The response contains
only what the client and the proxies sent.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

HEADER = "X-Dsg-Probe"
SECONDS = 60


def sign(keys: Sequence[str], at: datetime) -> str:
    """The value of the header, signed with the first key."""
    moment = str(int(at.timestamp()))
    return f"{moment}.{_signature(keys[0], moment)}"


def is_valid(keys: Sequence[str], presented: str, at: datetime) -> bool:
    """Whether one of the keys signed this within the last minute."""
    moment, _, signature = presented.partition(".")
    if not (presented.isascii() and moment.isdigit() and len(moment) <= 12):
        return False
    if abs(int(at.timestamp()) - int(moment)) > SECONDS:
        return False
    return any(hmac.compare_digest(_signature(key, moment), signature) for key in keys)


def _signature(key: str, moment: str) -> str:
    return hmac.new(key.encode(), f"dsg doctor probe {moment}".encode(), hashlib.sha256).hexdigest()
