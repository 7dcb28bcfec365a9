"""Reads tokens, headers and parameters from a request.

The work is bounded, whatever is sent: a header, a query or a form is searched for one name, not parsed as a whole.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote_plus

from dsgctl.core.errors import Invalid
from dsgctl.core.token_checks import PresentedToken
from dsgctl.json_text import NotJson, parse_object
from dsgserve.http import environ as keys
from dsgserve.http.ascii_text import lower, number, trim
from dsgserve.http.environ import BODY, FORM
from dsgserve.http.proxy import find_client_address

MAX_FIELDS = 100  # parameters of a query, fields of a form
MAX_BODY = 16 * 1024  # bytes, if a route declares no other limit; the largest is a form with an address to go to
MAX_VALUE = 4096  # bytes of a parameter as sent: a token, a name, a code of the provider
MAX_ADDRESS = 3 * 4096  # bytes of an address to go to: redirects.MAX_LENGTH, percent-encoded
_LONG_VALUES = ("next", "redirect", "id")  # of addresses, and of lists of ids
# Cookie values that are tried. A browser stores one cookie per name, path and domain: our longest path has nine
# prefixes, and a host seldom has more than two parent domains.
MAX_COOKIES = 32


class HasEnviron(Protocol):
    """A request as WSGI has it; Bottle's `BaseRequest` is one."""

    environ: dict[str, Any]


class ValueTooLong(Invalid):
    """A parameter of the query is longer than any that this server reads."""


# Tokens


class SentTokens(NamedTuple):
    """The tokens in one place of a request, to be tried in this order; more than one only in cookies.

    Attributes:
        in_cookie: whether that place is the cookies.
    """

    tokens: Sequence[str]
    in_cookie: bool = False


def presented_tokens(request: HasEnviron, names: tuple[str, ...]) -> SentTokens:
    """The tokens on a request; the first place that has any decides (contract.md, "The token on a request").

    Args:
        names: of the cookie and of the query parameter.
    """
    if cookies := cookie_tokens(request, names):
        return SentTokens(cookies, in_cookie=True)
    if bearer := bearer_token(request):
        return SentTokens((bearer,))
    for name in names:
        if token := query_value(request, name):
            return SentTokens((token,))
    return SentTokens(())


def present_token(request: HasEnviron, token: str | int, *, in_cookie: bool = False) -> PresentedToken:
    """A token, or the id of one, with the parts of the request that token checks may use."""
    return PresentedToken(token, find_client_address(request.environ), in_cookie=in_cookie)


def cookie_tokens(request: HasEnviron, names: tuple[str, ...]) -> Sequence[str]:
    """The tokens in the cookies of these names, each once."""
    if "HTTP_COOKIE" not in request.environ:
        return ()
    if len(names) == 1:
        return cookie_values(request, names[0])
    values = dict.fromkeys(value for name in names for value in cookie_values(request, name))
    return list(values)[:MAX_COOKIES]


def cookie_values(request: HasEnviron, name: str) -> list[str]:
    """The non-empty values of all cookies of this name, each once (RFC 6265, section 4.2.1).

    Python's own parser, which Bottle uses, refuses all cookies if it does not like the name of one. Any host below our
    domain can set such a cookie, and its user would then have no login here.
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
    """White space around names and values is SP and HTAB only: for a browser that enforces the prefix ``__Host-``,
    U+0085 or U+00A0 before a name makes another name."""
    return re.compile(rf"(?:^|;)[ \t]*{re.escape(name)}[ \t]*=([^;]*)")


def bearer_token(request: HasEnviron) -> str | None:
    """The token of ``Authorization: Bearer TOKEN``; the case of the scheme is ignored (RFC 9110, section 11.1)."""
    scheme, _, rest = header(request, "Authorization").partition(" ")
    if scheme != "Bearer" and lower(scheme) != "bearer":  # "Bearer", as most clients write it, needs one comparison
        return None
    return trim(rest) or None


# Headers


def header(request: HasEnviron, name: str) -> str:
    """A header as WSGI has it; empty if there is none. Bottle's own accessor fails on bytes that are not UTF-8."""
    return str(request.environ.get(_header_key(name), ""))


@cache
def _header_key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")


def wants_page(request: HasEnviron) -> bool:
    """Whether the client is the browser of a person, not a program."""
    return "text/html" in header(request, "Accept") and not header(request, "X-Requested-With")


def is_navigation(request: HasEnviron) -> bool:
    """Whether a browser goes to this address, and no program or script asks (contract-services.md, "CAVE")."""
    names = ("Authorization", "X-Requested-With", "Origin")
    return (
        request.environ["REQUEST_METHOD"] == "GET"
        and "text/html" in header(request, "Accept")
        and not any(header(request, name) for name in names)
    )


def is_deliberate(request: HasEnviron, own_origin: str) -> bool:
    """Whether a person or a program intends this request, and not a page of another site.

    A deliberate request is a navigation of a whole window that is no prefetch, a POST from a page of ours, or a request
    with a token in a header, which no page of another site can send. Programs, and browsers from before 2023, send no
    Fetch Metadata (https://www.w3.org/TR/fetch-metadata/); forms of other sites in these are recognized by ``Origin``.
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
            # null: from a page without a referrer, as ours are
            return header(request, "Origin") in ("", "null", own_origin)
    return mode in ("", "navigate") and destination in ("", "document")


_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE | re.ASCII)


def is_for_this_machine(request: HasEnviron) -> bool:
    """Whether ``Host`` is a name of this machine that nobody else can assign to another address."""
    host = re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", lower(header(request, "Host")))
    return host is not None


# Parameters


def query_values(request: HasEnviron, name: str) -> list[str]:
    """The values of a parameter of the query, in order; "" for one without "=".

    Raises:
        Invalid: the query has more than `MAX_FIELDS` parameters.
        ValueTooLong: a value is longer than `MAX_VALUE`, or than `MAX_ADDRESS` if it is an address to go to.
    """
    query = request.environ.get("QUERY_STRING", "")
    if not query:
        return []
    if query.count("&") >= MAX_FIELDS:
        raise Invalid(f"the query has more than {MAX_FIELDS} parameters")
    values = _parameter_pattern(name).findall(query)
    if any(len(value) > (MAX_ADDRESS if name in _LONG_VALUES else MAX_VALUE) for value in values):
        raise ValueTooLong(f"'{name}' is too long")
    return [unquote_plus(value) for value in values]


@cache
def _parameter_pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|&){re.escape(name)}(?:=([^&]*)|(?=&)|\Z)")


def query_value(request: HasEnviron, name: str) -> str | None:
    """The value of a parameter of the query; the last one if there are several."""
    values = query_values(request, name)
    return values[-1] if values else None


def body(request: HasEnviron) -> bytes:
    """The body, read once; empty if the route declares none.

    Raises:
        Invalid: the body is longer than the route declares.
    """
    environ = request.environ
    if BODY not in environ:
        most = environ.get(keys.MAX_BODY, MAX_BODY)
        length = number(environ.get("CONTENT_LENGTH") or "0", most=most)
        if length is None:
            raise Invalid(f"the body is longer than {most} bytes")
        environ[BODY] = environ["wsgi.input"].read(length)
    return environ[BODY]  # type: ignore[no-any-return]


def form(request: HasEnviron) -> dict[str, str]:
    """The fields of a URL-encoded form; empty for any other request. If a field occurs twice, the last one counts.

    Raises:
        Invalid: the body is longer than `MAX_BODY`, or has more than `MAX_FIELDS` fields.
    """
    if content_type(request) != "application/x-www-form-urlencoded":
        return {}
    environ = request.environ
    if FORM not in environ:
        text = body(request).decode("latin-1")
        if text.count("&") >= MAX_FIELDS:
            raise Invalid(f"the form has more than {MAX_FIELDS} fields")
        environ[FORM] = dict(parse_qsl(text, keep_blank_values=True, errors="replace"))
    return environ[FORM]  # type: ignore[no-any-return]


def form_field(request: HasEnviron, name: str) -> str | None:
    """A field of the form; None without one.

    Raises:
        Invalid: as `form`.
    """
    return form(request).get(name)


def json_object(request: HasEnviron) -> Mapping[str, object]:
    """The body as a JSON object, whatever its content type.

    Raises:
        Invalid: the body is not a JSON object (`dsgctl.json_text`), or longer than `MAX_BODY`.
    """
    try:
        return parse_object(body(request))
    except NotJson:
        raise Invalid("the body is not a JSON object") from None


def parameter(request: HasEnviron, name: str) -> str | None:
    """A field of the form or of the JSON object in the body; without one, the parameter of the query.

    Raises:
        Invalid: the content type is JSON, but the body is not a JSON object, or the field is not text.
    """
    if content_type(request) == "application/json":
        value = json_object(request).get(name)
        if value is not None and not isinstance(value, str):
            raise Invalid(f"'{name}' is not text")
    else:
        value = form(request).get(name)
    return value or query_value(request, name)


def content_type(request: HasEnviron) -> str:
    """The content type of a POST, without parameters; empty for any other request."""
    environ = request.environ
    if environ["REQUEST_METHOD"] != "POST":
        return ""
    return lower(trim(environ.get("CONTENT_TYPE", "").partition(";")[0]))
