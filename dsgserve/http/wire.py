"""Connections: waitress's parser with tighter bounds, and its channel. The app also answers what the parser refuses."""

import re
from typing import Any, Protocol
from wsgiref.types import WSGIEnvironment

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from dsgserve.http.environ import ARRIVED, REFUSAL, TARGET
from dsgserve.http.routing import NO_TARGET, RoutingTable

MAX_HEADERS = 100  # lines; browsers send some twenty, nginx adds five
MAX_PATH = 4096  # bytes, including scheme and host in absolute-form

# The request line (RFC 9112, section 3). waitress's own expression takes quadratic time for a line that it does not
# match; it matches every line that this one matches in linear time.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]+) ([^ \r\n]+)(?: HTTP/([0-9]\.[0-9]))?[ \t]*(?:\r\n|\Z)")
# The same is true of white space around the value of a header: 16 KB of it take seconds.
_SOME_SPACE = b" " * 64
_LONG_SPACE = re.compile(rb"[ \t]{64,}")

_TRANSFER_CODING = re.compile(rb"\r\ntransfer-encoding:([^\r\n]*)")
_LENGTH = re.compile(rb"\r\ncontent-length:")


class PathTooLong(BadRequest):  # type: ignore[misc]  # waitress comes without types
    """414: the path is much longer than that of any route."""

    code = 414
    reason = "URI Too Long"


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request.

    Attributes:
        channel: the connection that it arrives on.
        target: the route that the request line names; `NO_TARGET` if there is no request line.
        arrived: when the request was complete, of time.monotonic(); on routes that wait only (dispatcher.py).
    """

    channel: "Channel"
    target = NO_TARGET
    # waitress sets these for a request that it can read.
    command, path, query, request_uri, url_scheme = "GET", "/", "", "", "http"
    arrived: float | None = None
    _refusal: Error | None = None

    def received(self, data: bytes) -> int:
        """Consume bytes of the request, and return how many (waitress's IStreamConsumer)."""
        size = len(data)
        if self.body_rcv is None and not self.header_plus:
            data = data.lstrip()  # blank lines before a request: waitress makes a parser for each
            if not data:
                self.completed = self.empty = True
                return size
        consumed: int = super().received(data)
        if self._refusal is not None:
            self.error = self._refusal
        elif isinstance(self.error, RequestHeaderFieldsTooLarge):
            self.target = NO_TARGET  # waitress substitutes a request for "/"
            self._read_request_line(self.header_plus + data)
        if self.completed or consumed < len(data):
            # A request that is complete or refused, or whose body arrives with its headers, waits for no "100 Continue"
            # (RFC 9110, section 10.1.1). Otherwise waitress would send it, maybe after the answer, and read the next
            # request as a part of this one, with the headers of this one.
            self.expect_continue = False
        if self.completed and self.channel.stops:
            self.headers["CONNECTION"] = "close"
            self.connection_close = True
        if self.completed and consumed < len(data):
            self.channel.unread = data[consumed:]
            return size
        return size - len(data) + consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers.

        Raises:
            ParsingError, TransferEncodingNotImplemented: the request is refused.
        """
        line = self._read_request_line(header_plus)
        if line is None:
            raise ParsingError("no request line")
        if header_plus.count(b"\r\n") > MAX_HEADERS:
            self._refusal = RequestHeaderFieldsTooLarge(f"more than {MAX_HEADERS} headers")
            raise ParsingError("too many headers")
        if line.end(2) > MAX_PATH and len(line[2].partition(b"?")[0]) > MAX_PATH:
            self._refusal = PathTooLong("too long a path")
            raise ParsingError("too long a path")  # which waitress would decode
        _require_one_end(header_plus, line[3])
        try:
            if _SOME_SPACE in header_plus or b"\t" in header_plus:
                header_plus = _LONG_SPACE.sub(b" ", header_plus)
            super().parse_header(header_plus)
        except ValueError as error:  # of a library: a malformed address in brackets, an endless number
            raise ParsingError("a malformed number or address") from error

    def _read_request_line(self, header_plus: bytes) -> re.Match[bytes] | None:
        line = _REQUEST_LINE.match(header_plus)
        if line is not None:
            self.command = line[1].decode("latin-1")
            self.target = self.channel.table.resolve(line[2].decode("latin-1"))
        return line


def _require_one_end(header_plus: bytes, version: bytes | None) -> None:
    """Refuse a request whose end we and a proxy could find at different places (RFC 9112, section 6.1).

    waitress obeys Transfer-Encoding in HTTP/1.1 only, prefers it to a length, and ignores an empty one.

    Raises:
        ParsingError: the request has Transfer-Encoding and also a length, is not HTTP/1.1, or does not have "chunked"
            exactly once.
    """
    headers = header_plus.lower()
    if b"\ntransfer-encoding" not in headers:
        return
    codings = [coding.strip(b" \t") for coding in b",".join(_TRANSFER_CODING.findall(headers)).split(b",")]
    is_ambiguous = codings != [b"chunked"] and not set(codings) - {b"", b"chunked"}  # another coding gets 501
    if is_ambiguous or version != b"1.1" or _LENGTH.search(headers):
        raise ParsingError("the end of the body is ambiguous")


class ShortCut(Protocol):
    """Answers requests without the application (dsgserve/short_cut.py)."""

    def begin(self) -> None:
        """Called in the event loop when the next requests have arrived, before `answer` is called for any of them."""

    def answer(self, request: Parser, *, build: bool) -> bytes | None:
        """The response to a request, with its headers; None to let the application answer it.

        Args:
            build: false in the event loop, where nothing may take time or wait.
        """


class Task(WSGITask):  # type: ignore[misc]
    """Passes one request to the application, in a worker."""

    def execute(self) -> None:
        """Answer on the short cut, else by the application."""
        response = self.channel.short_cut.answer(self.request, build=True)
        if response is None:
            super().execute()
            return
        self.wrote_header = True
        self.channel.write_soon(response)

    def get_environment(self) -> WSGIEnvironment:
        """The WSGI environ, with the target that the parser found in the request line."""
        environ: WSGIEnvironment = super().get_environment()
        environ[TARGET] = self.request.target
        if self.request.arrived is not None:
            environ[ARRIVED] = self.request.arrived
        return environ


class RefusalTask(Task):
    """Passes a request that could not be read to the application, so that every response is made in one place."""

    def get_environment(self) -> WSGIEnvironment:
        return {**super().get_environment(), REFUSAL: int(self.request.error.code)}

    def execute(self) -> None:
        self.set_close_on_finish()  # the beginning of the next request is unknown
        self.request.headers.pop("CONNECTION", None)  # so that the response does not announce keep-alive
        super().execute()


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection. It has at most one request at a time; `make_channel_class` gives it the routes.

    Attributes:
        unread: what was received after that request.
        stops: whether the server stops: each answer is then the last on its connection, and says so, so that nobody
            sends a request on a connection that is about to be closed.
    """

    task_class = Task
    error_task_class = RefusalTask
    table: RoutingTable
    short_cut: ShortCut
    unread = b""
    stops = False

    def parser_class(self, adjustments: Any) -> Parser:
        """A parser for the next request."""
        parser = Parser(adjustments)
        parser.channel = self
        return parser

    def recv(self, buffer_size: int) -> bytes:
        """What was received before, else what the socket has."""
        if self.unread:
            data, self.unread = self.unread, b""
            return data
        return bytes(super().recv(buffer_size))

    def answer(self) -> bool:
        """Answer the request on the short cut, in the event loop. Returns whether that was possible."""
        response = self.short_cut.answer(self.requests[0], build=False)
        if response is None:
            return False
        self.requests.pop().close()
        try:
            sent = self.send(response)
            if sent < len(response) and self.connected:
                self.write_soon(response[sent:])
                self.current_outbuf_count = self.adj.outbuf_high_watermark  # the next one gets a buffer of its own
        except OSError:
            self.handle_close()
        return True

    def service(self) -> None:
        """Answer the request in a worker."""
        try:
            super().service()
        finally:
            self.server.task_dispatcher.finished.append(self)
            self.server.pull_trigger()


def make_channel_class(table: RoutingTable, short_cut: ShortCut) -> type[Channel]:
    """The class of the connections of a server: waitress makes them without arguments of ours."""
    return type("Channel", (Channel,), {"table": table, "short_cut": short_cut})
