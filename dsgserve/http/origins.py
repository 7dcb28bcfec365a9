"""Web origins: which text is one, and which may ask for tokens (contract.md, "ngauth")."""

import re
from ipaddress import IPv6Address

from dsgctl.config import Pattern
from dsgserve.http.ascii_text import number

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_ORIGIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9a-fA-F:.]{{2,45}}\])(?::(?P<port>[1-9][0-9]{{0,4}}))?"
)


def parse(value: str | None) -> str | None:
    """The origin, if ``value`` is exactly ``scheme://host[:port]`` (RFC 6454, section 6.2); else None.

    A host in another script comes from a browser in ASCII (punycode), so anything else is
    refused; so are ``null``, two headers joined by a comma, and a port that cannot be.
    """
    if value is None or len(value) > 300:
        return None
    found = _ORIGIN.fullmatch(value)
    if found is None or len(found["host"]) > 254 or number(found["port"] or "1", most=65535) is None:
        return None
    if found["host"].startswith("[") and not _is_ipv6(found["host"][1:-1]):
        return None
    return value


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def allowed(origin: str, pattern: Pattern) -> bool:
    """Whether the configured pattern matches the whole of a parsed origin."""
    return pattern.fullmatch(origin) is not None
