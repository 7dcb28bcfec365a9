"""How requests are read from a connection: waitress's parts, bounded; what they refuse is answered by the app too."""

import re
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from dsgserve.http import routing
from dsgserve.http.environ import ARRIVED, REFUSAL, TARGET

MAX_HEADERS = 100  # lines; browsers send some twenty, nginx adds five
MAX_PATH = 4096  # bytes, an address before it included

# The request line (RFC 9112, section 3). waitress's own expression takes time that grows with the square of a
# line that it does not match; one that matches this, it matches at once.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]+) ([^ \r\n]+)(?: HTTP/([0-9]\.[0-9]))?[ \t]*(?:\r\n|\Z)")
# The same is true of white space around a header's value: 16 KB of it would take seconds.
_SOME_SPACE = b" " * 64
_LONG_SPACE = re.compile(rb"[ \t]{64,}")

_TRANSFER_CODING = re.compile(rb"\r\ntransfer-encoding:([^\r\n]*)")
_LENGTH = re.compile(rb"\r\ncontent-length:")


class PathTooLong(BadRequest):  # type: ignore[misc]  # waitress comes without types
    """414: no path of ours is nearly as long."""

    code = 414
    reason = "URI Too Long"


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request, and what its target names.

    Attributes:
        target: `routing.NO_TARGET` if there was no request line to read it from.
    """

    target = routing.NO_TARGET
    # What waitress sets of a request that it could read.
    command, path, query, request_uri, url_scheme = "GET", "/", "", "", "http"
    arrived: float | None = None  # when it was whole, if it waits for others (dispatcher.py)
    _refusal: Error | None = None

    def received(self, data: bytes) -> int:
        """Take bytes of the request; returns how many (waitress's IStreamConsumer)."""
        consumed: int = super().received(data)
        if self._refusal is not None:
            self.error = self._refusal
        elif isinstance(self.error, RequestHeaderFieldsTooLarge):
            self.target = routing.NO_TARGET  # waitress puts a request for "/" in its place
            self._read_request_line(self.header_plus + data)
        if self.completed:
            # Of a request that is whole, or refused, nothing is to come: waitress would say "100 Continue" all the
            # same, and read the next request into this one, with this one's headers.
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Take the request line and the headers apart.

        Raises:
            ParsingError, TransferEncodingNotImplemented: they cannot be understood.
        """
        line = self._read_request_line(header_plus)
        if line is None:
            raise ParsingError("no request line")
        if header_plus.count(b"\r\n") > MAX_HEADERS:
            self._refusal = RequestHeaderFieldsTooLarge(f"more than {MAX_HEADERS} headers")
            raise ParsingError("too many headers")
        if line.end(2) > MAX_PATH and len(line[2].partition(b"?")[0]) > MAX_PATH:
            self._refusal = PathTooLong("too long a path")
            raise ParsingError("too long a path")  # which waitress would decode, whatever it names
        _require_one_end(header_plus, line[3])
        try:
            if _SOME_SPACE in header_plus or b"\t" in header_plus:
                header_plus = _LONG_SPACE.sub(b" ", header_plus)
            super().parse_header(header_plus)
        except ValueError as error:  # of a library: an address in brackets that is none, a number without end
            raise ParsingError("a number or an address that is none") from error

    def _read_request_line(self, header_plus: bytes) -> re.Match[bytes] | None:
        line = _REQUEST_LINE.match(header_plus)
        if line is not None:
            self.command = line[1].decode("latin-1")
            self.target = routing.resolve(line[2].decode("latin-1"))
        return line


def _require_one_end(header_plus: bytes, version: bytes | None) -> None:
    """Refuse a request that could end at one place for us and at another for a proxy (RFC 9112, section 6.1).

    waitress heeds Transfer-Encoding in HTTP/1.1 alone, lets it win over a length, and passes over one that is empty.

    Raises:
        ParsingError: it has Transfer-Encoding, and also a length, or another version, or not "chunked" exactly once.
    """
    headers = header_plus.lower()
    if b"\ntransfer-encoding" not in headers:
        return
    written = b",".join(_TRANSFER_CODING.findall(headers))
    codings = [coding.strip(b" \t") for coding in written.split(b",")]
    unclear = codings != [b"chunked"] and not set(codings) - {b"", b"chunked"}  # another coding gets 501
    if unclear or version != b"1.1" or _LENGTH.search(headers):
        raise ParsingError("where the body ends is not clear")


class Task(WSGITask):  # type: ignore[misc]
    """One request on its way to the application."""

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environ, with what `routing.resolve` said of the request when it was read."""
        environ: dict[str, Any] = super().get_environment()
        environ[TARGET] = self.request.target
        if self.request.arrived is not None:
            environ[ARRIVED] = self.request.arrived
        return environ


class RefusalTask(Task):
    """A request that could not be read. The application answers it too, so that every answer is made in one place."""

    def get_environment(self) -> dict[str, Any]:
        return {**super().get_environment(), REFUSAL: int(self.request.error.code)}

    def execute(self) -> None:
        self.set_close_on_finish()  # where the next request would begin is not known
        self.request.headers.pop("CONNECTION", None)  # or the answer would say that the connection is kept
        super().execute()


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    parser_class = Parser
    task_class = Task
    error_task_class = RefusalTask
