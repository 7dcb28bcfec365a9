"""CORS: which origins may ask for tokens (contract.md, "Origins and CORS")."""

from dataclasses import dataclass

from bottle import HTTPResponse

from dsgctl.core import web_origins
from dsgctl.setting_values import Pattern
from dsgserve.http.responses import Audience, Refusal

PREFLIGHT_SECONDS = 600  # for which a browser may remember a preflight


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
        valid = web_origins.parse(value)
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
