"""How requests are read from a connection: waitress's parts, bounded; what they refuse is answered by the app too."""

import re
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from dsgserve.http import routing
from dsgserve.process.outbound import ARRIVED

MOST_HEADERS = 100  # lines; browsers send some twenty, nginx adds five
LONGEST_PATH = 4096  # bytes, an address before it included
REFUSAL = "dsgserve.refusal"  # key of an environ: the status of a request that could not be read

# The request line (RFC 9112, section 3). waitress's own expression takes time that grows with the square of a
# line that it does not match; one that matches this, it matches at once.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]+) ([^ \r\n]+)(?: HTTP/[0-9]\.[0-9])?[ \t]*(?:\r\n|\Z)")
# The same is true of white space around a header's value: 16 KB of it would take seconds.
_SOME_SPACE = b" " * 64
_LONG_SPACE = re.compile(rb"[ \t]{64,}")


class PathTooLong(BadRequest):  # type: ignore[misc]  # waitress comes without types
    """414: no path of ours is nearly as long."""

    code = 414
    reason = "URI Too Long"


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request, and what its target names.

    Attributes:
        target: `routes.NO_TARGET` if there was no request line to read it from.
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
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Take the request line and the headers apart.

        Raises:
            ParsingError, TransferEncodingNotImplemented: they cannot be understood.
        """
        line = self._read_request_line(header_plus)
        if line is None:
            raise ParsingError("no request line")
        if header_plus.count(b"\r\n") > MOST_HEADERS:
            self._refusal = RequestHeaderFieldsTooLarge(f"more than {MOST_HEADERS} headers")
            raise ParsingError("too many headers")
        if line.end(2) > LONGEST_PATH and len(line[2].partition(b"?")[0]) > LONGEST_PATH:
            self._refusal = PathTooLong("too long a path")
            raise ParsingError("too long a path")  # which waitress would decode, whatever it names
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


class Task(WSGITask):  # type: ignore[misc]
    """One request on its way to the application."""

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environ, with what `routes.resolve` said of the request when it was read."""
        environ: dict[str, Any] = super().get_environment()
        environ[routing.KEY] = self.request.target
        if self.request.arrived is not None:
            environ[ARRIVED] = self.request.arrived
        return environ


class RefusalTask(Task):
    """A request that could not be read. The application answers it too, so that every answer is made in one place."""

    def get_environment(self) -> dict[str, Any]:
        return {**super().get_environment(), REFUSAL: int(self.request.error.code)}

    def execute(self) -> None:
        self.set_close_on_finish()  # where the next request would begin is not known
        super().execute()


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    parser_class = Parser
    task_class = Task
    error_task_class = RefusalTask
