"""Web origins and CORS: which text is an origin, and which may ask for tokens (contract.md, "Origins and CORS")."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

from bottle import HTTPResponse

from dsgctl.setting_values import Pattern
from dsgserve.http.ascii_text import number
from dsgserve.http.responses import Audience, Refusal

PREFLIGHT_SECONDS = 600  # for which a browser may remember a preflight

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_ORIGIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9a-fA-F:.]{{2,45}}\])(?::(?P<port>[1-9][0-9]{{0,4}}))?"
)


def parse(value: str | None) -> str | None:
    """``value`` if it is exactly ``scheme://host[:port]`` (RFC 6454, section 6.2); else None.

    Browsers send a host in another script as ASCII (punycode), so anything outside ASCII is refused; so are ``null``,
    two headers joined by a comma, and an impossible port.
    """
    if value is None or len(value) > 300:
        return None
    origin = _ORIGIN.fullmatch(value)
    if origin is None or len(origin["host"]) > 254 or number(origin["port"] or "1", most=65535) is None:
        return None
    if origin["host"].startswith("[") and not _is_ipv6(origin["host"][1:-1]):
        return None
    return value


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def is_allowed(origin: str, pattern: Pattern) -> bool:
    """Whether the configured pattern matches a parsed origin as a whole."""
    return pattern.fullmatch(origin) is not None


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The ``Origin`` header of one request, parsed once.

    Attributes:
        sent: whether there is such a header; programs send none.
        valid: the origin; None if the header is missing or is not an origin.
        allowed: whether the origin may use this server.
    """

    sent: bool
    valid: str | None
    allowed: bool

    @classmethod
    def read(cls, value: str | None, pattern: Pattern) -> "RequestOrigin":
        """
        Args:
            value: of the header; None if there is none. WSGI joins two of them with a comma, which is no origin.
            pattern: ``NGAUTH_ALLOWED_ORIGINS``.
        """
        valid = parse(value)
        return cls(value is not None, valid, valid is not None and is_allowed(valid, pattern))

    def find_refusal(self) -> Refusal | None:
        """Why a page of this origin may not send its request; None if it may, or if no page sends it."""
        if not self.sent or self.allowed:
            return None
        if self.valid is None:
            return Refusal(400, "invalid_origin", "the Origin header is not an origin", Audience.PROGRAMS)
        return Refusal(403, "origin_not_allowed", f"{self.valid} may not use this gateway", Audience.PROGRAMS)

    def build_preflight(self) -> HTTPResponse:
        """The response to OPTIONS: permission to POST for an allowed origin; for any other the same without it."""
        response = HTTPResponse(b"", 204)
        if self.allowed:
            response.set_header("Access-Control-Allow-Methods", "POST")
            response.set_header("Access-Control-Allow-Headers", "Content-Type")
            response.set_header("Access-Control-Max-Age", str(PREFLIGHT_SECONDS))
        return response

    def add_headers(self, response: HTTPResponse, *, preflight: bool) -> None:
        """Add what every response carries, errors included.

        A valid origin that is not allowed may read that it is not: without these headers its page would see a network
        error instead. A preflight of such an origin gets none.
        """
        response.set_header("Vary", "Origin")
        response.set_header("Cache-Control", "no-store")
        if self.valid is not None and (self.allowed or not preflight):
            response.set_header("Access-Control-Allow-Origin", self.valid)
            response.set_header("Access-Control-Allow-Credentials", "true")
