"""Which text is the origin of a web page (contract.md, "Origins and CORS")."""

import re
from ipaddress import IPv6Address

from dsgctl.core.errors import Invalid
from dsgctl.core.validation import quote

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_ORIGIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9a-fA-F:.]{{2,45}}\])(?::(?P<port>[1-9][0-9]{{0,4}}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def parse(value: str | None) -> str | None:
    """``value`` if it is exactly ``scheme://host[:port]`` (RFC 6454, section 6.2); else None.

    Browsers send a host in another script as ASCII (punycode), so anything outside ASCII is refused; so are ``null``,
    two headers joined by a comma, and an impossible port.
    """
    return value if value is not None and _match(value) else None


def require_canonical(value: str) -> str:
    """``value`` if it is an origin as browsers write it: they compare origins as text.

    Raises:
        Invalid: it is no origin, has capital letters, the scheme's own port, or a long form of an address.
    """
    origin = _match(value)
    if origin is None or _DEFAULT_PORTS[origin["scheme"]] == origin["port"] or not _is_canonical_host(origin["host"]):
        raise Invalid(
            f"{quote(value)} is not an origin",
            "write it as browsers do: https://HOST or https://HOST:PORT, in lower case, without '/' at the end and "
            "without the scheme's own port",
        )
    return value


def _match(value: str) -> re.Match[str] | None:
    if len(value) > 300:
        return None
    origin = _ORIGIN.fullmatch(value)
    if origin is None or len(origin["host"]) > 254 or int(origin["port"] or "1") > 65535:
        return None
    if origin["host"].startswith("[") and _parse_ipv6(origin["host"]) is None:
        return None
    return origin


def _is_canonical_host(host: str) -> bool:
    return host == f"[{_parse_ipv6(host)}]" if host.startswith("[") else re.search("[A-Z]", host) is None


def _parse_ipv6(host: str) -> IPv6Address | None:
    try:
        return IPv6Address(host[1:-1])
    except ValueError:
        return None
