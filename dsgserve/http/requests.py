"""What a request says: the tokens on it, its parameters, who sends it, and what they understand.

Whatever is sent, the work is bounded: a header, a query or a form is searched for what is asked for, and not taken
apart whole.
"""

import re
from collections.abc import Sequence
from functools import cache
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from bottle import BaseRequest

from dsgctl.core.errors import Invalid
from dsgctl.core.token_checks import PresentedToken
from dsgctl.json_text import NotJson, parse_object
from dsgserve.http.ascii_text import lower, number, trim
from dsgserve.http.environ import BODY, FORM

MAX_FIELDS = 100  # parameters of a query, fields of a form
MAX_BODY = 16 * 1024  # bytes; the largest is a form with an address to go on to
MAX_VALUE = 4096  # bytes of a parameter as it is sent: a token, a name, what a provider gives back
MAX_ADDRESS = 3 * 4096  # of one that is an address to go on to: redirects.MAX_LENGTH, percent-encoded
_ADDRESSES = ("next", "redirect")
# Values of cookies that are tried. A browser keeps one of a name for each path and domain: the longest path of ours
# has nine beginnings, and a host seldom more than two domains above it.
MAX_COOKIES = 32


# Tokens


def presented_tokens(request: BaseRequest, names: tuple[str, ...]) -> Sequence[str]:
    """The tokens on a request; the first place that has any decides (contract.md, "The token on a request").

    Args:
        names: of the cookie and of the query parameter.

    Returns:
        The tokens as they were sent, to be tried in this order: several only of cookies. Empty if there is none.
    """
    if cookies := cookie_tokens(request, names):
        return cookies
    if bearer := bearer_token(request):
        return (bearer,)
    for name in names:
        if token := query_value(request, name):
            return (token,)
    return ()


def present_token(request: BaseRequest, token: str | int) -> PresentedToken:
    """A token, or the id of one, with what the token's checks may know of the request."""
    return PresentedToken(token, find_client_address(request.environ))


def cookie_tokens(request: BaseRequest, names: tuple[str, ...]) -> Sequence[str]:
    """The tokens that a browser keeps for us, each once."""
    if "HTTP_COOKIE" not in request.environ:
        return ()
    if len(names) == 1:
        return cookie_values(request, names[0])
    found = dict.fromkeys(value for name in names for value in cookie_values(request, name))
    return list(found)[:MAX_COOKIES]


def cookie_values(request: BaseRequest, name: str) -> list[str]:
    """The values of all cookies of this name that have one, each once (RFC 6265, section 4.2.1).

    Python's own parser, which Bottle uses, refuses all cookies for one whose name it does not like: any host
    below our domain could set such a one, and its user would have no login any more.
    """
    values: dict[str, None] = {}
    for cookie in _cookie_pattern(name).finditer(request.environ.get("HTTP_COOKIE", "")):
        value = trim(cookie[1])
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if value:
            values[value] = None
            if len(values) == MAX_COOKIES:
                break
    return list(values)


@cache
def _cookie_pattern(name: str) -> re.Pattern[str]:
    """White space around names and values is SP and HTAB: a browser that holds names with the prefix ``__Host-``
    against their rules takes U+0085 or U+00A0 before one for a part of another name."""
    return re.compile(rf"(?:^|;)[ \t]*{re.escape(name)}[ \t]*=([^;]*)")


def bearer_token(request: BaseRequest) -> str | None:
    """The token of ``Authorization: Bearer TOKEN``; the scheme is matched case aside (RFC 9110, 11.1)."""
    scheme, _, rest = header(request, "Authorization").partition(" ")
    return trim(rest) or None if lower(scheme) == "bearer" else None


# Headers


def header(request: BaseRequest, name: str) -> str:
    """A header as WSGI has it, empty if there is none: Bottle's own way fails on bytes that are not UTF-8."""
    return str(request.environ.get(_header_key(name), ""))


@cache
def _header_key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")


def wants_page(request: BaseRequest) -> bool:
    """Whether a person's browser asks, rather than a program."""
    return "text/html" in header(request, "Accept") and not header(request, "X-Requested-With")


def is_deliberate(request: BaseRequest, own_origin: str) -> bool:
    """Whether a person or a program asks for what the request does, rather than a browser for a page of another site.

    It is a navigation of a whole window that is no prefetch, a POST from a page of ours, or it has a header with a
    token, which no page of another site can send. Programs, and browsers of before 2023, do not say
    (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/); of these, other sites' forms are told by ``Origin``.
    """
    if bearer_token(request) is not None:
        return True
    if any(_PREFETCH.search(header(request, name)) for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")):
        return False
    site, mode, destination = (header(request, f"Sec-Fetch-{name}") for name in ("Site", "Mode", "Dest"))
    if request.environ["REQUEST_METHOD"] == "POST":
        if site == "same-origin":
            return True
        if not site and not mode and not destination:
            return header(request, "Origin") in ("", "null", own_origin)  # null: of a page without a referrer, as ours
    return mode in ("", "navigate") and destination in ("", "document")


_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE | re.ASCII)


def is_for_this_machine(request: BaseRequest) -> bool:
    """Whether ``Host`` names this machine by no name that somebody else can give to an address."""
    host = re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", lower(header(request, "Host")))
    return host is not None


_FORWARDED = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_BY",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_REAL_IP",
)


def trust_proxy(environ: dict[str, Any]) -> None:
    """Put the address that nginx says a client has in place of nginx's own, and drop every forwarded header.

    nginx stands on this host and sets ``X-Forwarded-For`` itself: the last address in it is nginx's word, if the
    request came over loopback or a unix socket. What is no address there is not heeded, as if it were not sent.
    """
    address = find_client_address(environ)
    for name in _FORWARDED:
        environ.pop(name, None)
    if address != environ["REMOTE_ADDR"]:
        environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = address


def find_client_address(environ: dict[str, Any]) -> str:
    """The address of the client: the one that nginx reports, else that of the connection."""
    peer = str(environ["REMOTE_ADDR"])
    reported = _address(trim(environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2]))
    return reported if reported and _is_this_host(peer) else peer


def _is_this_host(peer: str) -> bool:
    """Whether a peer, as waitress writes it, is on this host: "localhost" is one over a unix socket."""
    if peer == "localhost":
        return True
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _address(text: str) -> str:
    try:
        return str(ip_address(text)) if len(text) <= 45 and "%" not in text else ""  # "%": a zone of any name
    except ValueError:
        return ""


# Parameters


def query_values(request: BaseRequest, name: str) -> list[str]:
    """The values of a parameter of the query, in their order; "" for one without "=".

    Raises:
        Invalid: the query has more parameters, or this one is longer, than any of ours.
    """
    query = request.environ.get("QUERY_STRING", "")
    if not query:
        return []
    if query.count("&") >= MAX_FIELDS:
        raise Invalid(f"the query has more than {MAX_FIELDS} parameters")
    values = _parameter_pattern(name).findall(query)
    if any(len(value) > (MAX_ADDRESS if name in _ADDRESSES else MAX_VALUE) for value in values):
        raise Invalid(f"'{name}' is too long")
    return [unquote_plus(value) for value in values]


@cache
def _parameter_pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|&){re.escape(name)}(?:=([^&]*)|(?=&)|\Z)")


def query_value(request: BaseRequest, name: str) -> str | None:
    """The value of a parameter of the query; the last if there are several."""
    values = query_values(request, name)
    return values[-1] if values else None


def body(request: BaseRequest) -> bytes:
    """The body, read once.

    Raises:
        Invalid: it is longer than `MAX_BODY`.
    """
    environ = request.environ
    if BODY not in environ:
        length = number(environ.get("CONTENT_LENGTH") or "0", most=MAX_BODY)
        if length is None:
            raise Invalid(f"the body is longer than {MAX_BODY} bytes")
        environ[BODY] = environ["wsgi.input"].read(length)
    return environ[BODY]  # type: ignore[no-any-return]


def form(request: BaseRequest) -> dict[str, str]:
    """The fields of a form as browsers send it; empty for any other request. Of a field sent twice the last.

    Raises:
        Invalid: it is longer, or has more fields, than any of ours.
    """
    if _content_type(request) != "application/x-www-form-urlencoded":
        return {}
    environ = request.environ
    if FORM not in environ:
        text = body(request).decode("latin-1")
        if text.count("&") >= MAX_FIELDS:
            raise Invalid(f"the form has more than {MAX_FIELDS} fields")
        environ[FORM] = dict(parse_qsl(text, keep_blank_values=True, errors="replace"))
    return environ[FORM]  # type: ignore[no-any-return]


def json_object(request: BaseRequest) -> dict[str, Any]:
    """The body as a JSON object, whatever its type.

    Raises:
        Invalid: it is none (`dsgctl.json_text`), or longer than any of ours.
    """
    try:
        return parse_object(body(request))
    except NotJson:
        raise Invalid("the body is not a JSON object") from None


def parameter(request: BaseRequest, name: str) -> str | None:
    """A field of the form or of the JSON object that was sent, or else of the query.

    Raises:
        Invalid: the body says that it is JSON, and it is none, or its field is no text.
    """
    if _content_type(request) == "application/json":
        value = json_object(request).get(name)
        if value is not None and not isinstance(value, str):
            raise Invalid(f"'{name}' is not text")
    else:
        value = form(request).get(name)
    return value or query_value(request, name)


def _content_type(request: BaseRequest) -> str:
    """Of the body of a POST; empty for any other request."""
    environ = request.environ
    if environ["REQUEST_METHOD"] != "POST":
        return ""
    return lower(trim(environ.get("CONTENT_TYPE", "").partition(";")[0]))
