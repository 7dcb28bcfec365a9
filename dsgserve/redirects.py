"""Where a browser may be sent on to. Every ``next`` and ``redirect`` that a client gives passes here.

Not a repairer: a value that is not plainly harmless is refused (contract.md, Login).
"""

import re
from collections.abc import Collection
from urllib.parse import unquote

MAX_LENGTH = 4096

# The characters of RFC 3986 without the fragment; "%" only before two hex digits.
_PATH = r"(?:[A-Za-z0-9._~!$&'()*+,;=:/-]|%[0-9A-Fa-f]{2})*"  # nor "@": no path of ours has one
_QUERY = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
_LOCAL = re.compile(rf"(?P<path>/{_PATH})(?:\?(?P<query>{_QUERY}))?")
_ABSOLUTE = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>[1-9][0-9]{0,4}))?)"
    rf"(?:/{_QUERY})?(?:\#{_QUERY})?"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LEAVING = re.compile(r"[\x00-\x20\x7f-\xa0\\@]|//|/\.\.?(/|$)")
_DEPTH = 4  # layers of percent-encoding looked under; what needs more is refused


def local_path(value: str | None) -> str | None:
    """``value`` if it is a path on this server, with or without a query; else None.

    Refused are ``//host`` and what some browser or proxy may take for it (backslashes, control
    characters, dot segments, empty segments), also when percent-encoded, however often.
    """
    if value is None or len(value) > MAX_LENGTH:
        return None
    found = _LOCAL.fullmatch(value)
    if found is None or _hides(_LEAVING, found["path"]) or _hides(_CONTROL, found["query"] or ""):
        return None
    return value


def _hides(pattern: re.Pattern[str], text: str) -> bool:
    """Whether the pattern is found in the text under any layer of percent-encoding."""
    for _ in range(_DEPTH):
        if pattern.search(text):
            return True
        decoded = unquote(text, errors="replace")
        if decoded == text:
            return False
        text = decoded
    return True


def absolute_url(
    value: str | None, *, allowed: Collection[str], cookie_domain: str = "", own_origin: str = ""
) -> str | None:
    """``value`` if it is an address elsewhere that a browser may be sent to; else None.

    Args:
        allowed: canonical origins, as ``DSG_ALLOWED_REDIRECTS`` lists them.
        cookie_domain: whose hosts are allowed too, over https or the scheme of ``own_origin``: over
            plain http anybody on the way can answer for them. Empty for none.
    """
    if value is None or len(value) > MAX_LENGTH:
        return None
    found = _ABSOLUTE.fullmatch(value)
    if found is None or int(found["port"] or 1) > 65535 or ".." in found["host"]:
        return None
    if found["origin"] in allowed:
        return value
    domain = cookie_domain.removeprefix(".")
    under = bool(domain) and f".{found['host']}".endswith(f".{domain}")
    return value if under and found["scheme"] in ("https", own_origin.partition(":")[0]) else None


def origin_of(target: str) -> str | None:
    """The origin of what `absolute_url` let through; None for a path on this server."""
    found = _ABSOLUTE.fullmatch(target)
    return found["origin"] if found else None
