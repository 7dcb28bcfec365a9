"""Where a browser may be redirected to. Every ``next`` and ``redirect`` of a client is checked here.

A value that is not plainly harmless is refused, not repaired (contract.md, "Redirects"). The one exception is the
spelling of an address on another server: see `_DECODED`.
"""

import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import quote, unquote, unquote_plus, urlsplit, urlunsplit

from bottle import BaseRequest

from dsgctl.config import Config
from dsgctl.core.errors import Invalid
from dsgserve.http.ascii_text import number
from dsgserve.http.requests import ValueTooLong, parameter

MAX_LENGTH = 4096

# Our own paths need no percent-encoding, so none is accepted: browsers and proxies disagree about an encoded slash or
# backslash. A segment is not empty, nor "." or "..".
_SEGMENT = r"(?!\.{1,2}(?:[/?]|\Z))[A-Za-z0-9._~-]+"
# The characters of a query in RFC 3986, section 3.4; "%" only before two hex digits.
_QUERY = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
_LOCAL = re.compile(rf"/(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?(?:\?(?P<query>{_QUERY}))?")
_ABSOLUTE = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>[1-9][0-9]{0,4}))?)"
    rf"(?:/{_QUERY})?(?:\#{_QUERY})?"
)
# No address has these characters, but middle_auth_client sends Flask's request.url, in which they are decoded. They are
# encoded again: otherwise nobody could sign in from a page with JSON or a name in its query. The result is the address
# that the browser requested, and harmless: none of these characters has a meaning in an address.
_DECODED = '"<>[]^`{|}'  # and everything outside ASCII
_UNCHANGED = "".join(chr(code) for code in range(128) if chr(code) not in _DECODED)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MAX_LAYERS = 8  # of percent-encoding; a path within a path within a path has three
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class TargetRefused(Invalid):
    """The address that a client sent is not an allowed redirect target."""

    code = "invalid_redirect"
    title = "That address is not allowed"  # of the page


class TargetTooLong(TargetRefused):
    """The address is too long to be kept during a sign-in."""

    code = "redirect_too_long"
    title = "That address is too long"


def read_target(
    config: Config,
    request: BaseRequest,
    names: Iterable[str],
    read: Callable[[BaseRequest, str], str | None] = parameter,
) -> str:
    """The address to go to after this request; empty if it names none.

    Args:
        names: parameters, of which the first one that has a value counts. ``next`` is a path of this server only.
        read: returns the value of a parameter of the request.

    Raises:
        TargetTooLong: the address is too long.
        TargetRefused: the address is not allowed.
        Invalid: the parameters cannot be read.
    """
    for name in names:
        try:
            value = read(request, name)
        except ValueTooLong:
            raise _refuse_length(name) from None
        if value:
            return require_target(config, value, name, here=name == "next")
    return ""


def require_target(config: Config, value: str, name: str, *, here: bool = False) -> str:
    """``value`` in ASCII, if a browser may be redirected to it.

    Args:
        name: of the parameter.
        here: whether only paths of this server are allowed.

    Raises:
        TargetTooLong: the address is longer than `MAX_LENGTH`.
        TargetRefused: the address is not allowed.
    """
    if len(value) > MAX_LENGTH or len(_to_ascii(value)) > MAX_LENGTH:
        raise _refuse_length(name)
    target = local_path(value) or (None if here else external_url(config, value))
    if target is None:
        raise TargetRefused(
            f"this link redirects to an address ('{name}') that this site does not allow; ask whoever gave you the link"
        )
    return target


def _refuse_length(name: str) -> TargetTooLong:
    return TargetTooLong(f"this link redirects to an address ('{name}') that is too long; shorten it")


def local_path(value: str | None) -> str | None:
    """``value`` if it is a path of this server, with or without a query; else None."""
    if value is None or len(value) > MAX_LENGTH:
        return None
    path = _LOCAL.fullmatch(value)
    return value if path and not _may_have_control(path["query"] or "") else None


def _may_have_control(text: str) -> bool:
    """Whether a control character is in the text, under up to `_MAX_LAYERS` layers of encoding; True beyond these."""
    for _ in range(_MAX_LAYERS):
        if _CONTROL.search(text):
            return True
        decoded = unquote(text, errors="replace")
        if decoded == text:
            return False
        text = decoded
    return True


def absolute_url(
    value: str | None, *, allowed: Collection[str], cookie_domain: str = "", own_origin: str = ""
) -> str | None:
    """``value`` in ASCII, if it is an allowed address on another server; else None.

    Args:
        allowed: canonical origins, as ``DSG_ALLOWED_REDIRECTS`` lists them.
        cookie_domain: hosts below it are allowed too, over https or with the scheme of ``own_origin``: over plain http
            anybody in the network can answer for them. Empty for none.
    """
    if value is None or len(value) > MAX_LENGTH:
        return None
    # Before the check, so that what is checked is what is sent. A host with "%" is refused.
    value = _to_ascii(value)
    url = _ABSOLUTE.fullmatch(value)
    if len(value) > MAX_LENGTH or url is None or number(url["port"] or "1", most=65535) is None or ".." in url["host"]:
        return None
    if url["origin"] in allowed:
        return value
    domain = cookie_domain.removeprefix(".")
    is_below = bool(domain) and f".{url['host']}".endswith(f".{domain}")
    return value if is_below and url["scheme"] in ("https", own_origin.partition(":")[0]) else None


def _to_ascii(value: str) -> str:
    return value if _SURROGATE.search(value) else quote(value, safe=_UNCHANGED)


def external_url(config: Config, value: str) -> str | None:
    """``value`` in ASCII, if it is an address on another server that the settings allow; else None."""
    return absolute_url(
        value, allowed=config.allowed_redirects, cookie_domain=config.cookie_domain, own_origin=config.origin
    )


def with_token(url: str, token: str, config: Config) -> str:
    """The address with the token in its query, if its origin takes the token from there (``DSG_TOKEN_REDIRECTS``).

    If the address is /activate, because terms come first, the token goes into the address to which /activate leads.
    That can be /activate again, once.
    """
    return _with_token(url, token, config, 2)


def _with_token(url: str, token: str, config: Config, depth: int) -> str:
    path, _, query = url.partition("?")
    if path == "/activate" and depth:
        fields = [part.partition("=") for part in query.split("&")]
        return f"{path}?" + "&".join(
            f"redirect={quote(_with_token(unquote_plus(value), token, config, depth - 1), safe='')}"
            if name == "redirect"
            else f"{name}{equals}{value}"
            for name, equals, value in fields
        )
    if origin_of(url) not in config.token_redirects:
        return url
    parts, names = urlsplit(url), config.token_names
    others = [field for field in parts.query.split("&") if field and unquote_plus(field.partition("=")[0]) not in names]
    return urlunsplit(parts._replace(query="&".join([*others, f"{config.token_names[0]}={quote(token, safe='')}"])))


def origin_of(target: str) -> str | None:
    """The origin of an address that `absolute_url` returned; None for a path of this server."""
    url = _ABSOLUTE.fullmatch(target)
    return url["origin"] if url else None
