"""Where a browser may be sent on to. Every ``next`` and ``redirect`` that a client gives passes here.

Not a repairer: a value that is not plainly harmless is refused (contract.md, "Login"). The one thing that is
mended is the spelling of an address elsewhere: see `_WRITTEN_OUT`.
"""

import re
from collections.abc import Collection, Iterable
from urllib.parse import quote, unquote, unquote_plus, urlsplit, urlunsplit

from bottle import BaseRequest

from dsgctl.config import Config
from dsgctl.core.errors import Invalid
from dsgserve.http.ascii_text import number
from dsgserve.http.requests import parameter

MAX_LENGTH = 4096

# Our own paths need no percent-encoding, so none is let through: what a browser or a proxy makes of
# an encoded slash or backslash is its own affair. Segments are not empty, nor "." or "..".
_SEGMENT = r"(?!\.{1,2}(?:[/?]|\Z))[A-Za-z0-9._~-]+"
# The characters of a query in RFC 3986, section 3.4; "%" only before two hex digits.
_QUERY = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
_LOCAL = re.compile(rf"/(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?(?:\?(?P<query>{_QUERY}))?")
_ABSOLUTE = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>[1-9][0-9]{0,4}))?)"
    rf"(?:/{_QUERY})?(?:\#{_QUERY})?"
)
# No address holds these, but middle_auth_client sends Flask's request.url, in which they are decoded: without
# this nobody could sign in from a page with JSON or a name in its query. Percent-encoded they are what the
# browser had asked for, and harmless; none of them is anything but data to whoever reads an address.
_WRITTEN_OUT = '"<>[]^`{|}'  # and whatever is not ASCII
_AS_IT_IS = "".join(chr(code) for code in range(128) if chr(code) not in _WRITTEN_OUT)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LAYERS = 8  # a path within a path within a path is percent-encoded thrice
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class TargetRefused(Invalid):
    """A client's address leads to a place to which this server sends nobody."""

    code = "invalid_redirect"
    title = "That address is not allowed"  # of the page


class TargetTooLong(TargetRefused):
    """It does not fit into what must carry it."""

    code = "redirect_too_long"
    title = "That address is too long"


def read_target(config: Config, request: BaseRequest, names: Iterable[str]) -> str:
    """The address to go to after this request; empty if it names none.

    Args:
        names: parameters, of which the first one that has a value counts. ``next`` is a path of this server only.

    Raises:
        TargetRefused: the address is too long, or not one to which this server sends a browser.
        Invalid: the parameters cannot be read.
    """
    for name in names:
        if value := parameter(request, name):
            return require_target(config, value, name, here=name == "next")
    return ""


def require_target(config: Config, value: str, what: str, *, here: bool = False) -> str:
    """``value`` as a place that a browser may be sent on to, in ASCII.

    Args:
        what: the name of the parameter that it comes from.
        here: paths on this server alone.

    Raises:
        TargetTooLong, TargetRefused: it is too long, or leads anywhere else.
    """
    if len(value) > MAX_LENGTH or len(_in_ascii(value)) > MAX_LENGTH:
        raise TargetTooLong(f"this link leads on to an address ('{what}') that is too long")
    target = local_path(value) or (None if here else elsewhere(config, value))
    if target is None:
        raise TargetRefused(
            f"this link leads on to an address ('{what}') that this site sends nobody to; ask whoever gave you the link"
        )
    return target


def local_path(value: str | None) -> str | None:
    """``value`` if it is a path on this server, with or without a query; else None."""
    if value is None or len(value) > MAX_LENGTH:
        return None
    found = _LOCAL.fullmatch(value)
    return value if found and not _hides_control(found["query"] or "") else None


def _hides_control(text: str) -> bool:
    """Whether a control character is in the text, or may be: more layers of encoding than `_LAYERS` do."""
    for _ in range(_LAYERS):
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
    """``value`` if it is an address elsewhere that a browser may be sent to, in ASCII; else None.

    Args:
        allowed: canonical origins, as ``DSG_ALLOWED_REDIRECTS`` lists them.
        cookie_domain: whose hosts are allowed too, over https or the scheme of ``own_origin``: over
            plain http anybody on the way can answer for them. Empty for none.
    """
    if value is None or len(value) > MAX_LENGTH:
        return None
    # Before the check, not after it: what is checked is what is sent. A host holds no "%" and is refused.
    value = _in_ascii(value)
    found = _ABSOLUTE.fullmatch(value)
    if (
        len(value) > MAX_LENGTH
        or found is None
        or number(found["port"] or "1", most=65535) is None
        or ".." in found["host"]
    ):
        return None
    if found["origin"] in allowed:
        return value
    domain = cookie_domain.removeprefix(".")
    under = bool(domain) and f".{found['host']}".endswith(f".{domain}")
    return value if under and found["scheme"] in ("https", own_origin.partition(":")[0]) else None


def _in_ascii(value: str) -> str:
    return value if _SURROGATE.search(value) else quote(value, safe=_AS_IT_IS)


def elsewhere(config: Config, value: str) -> str | None:
    """``value``, in ASCII, if it is an address on another server to which the settings let us send a browser."""
    return absolute_url(
        value, allowed=config.allowed_redirects, cookie_domain=config.cookie_domain, own_origin=config.origin
    )


def with_token(url: str, token: str, config: Config) -> str:
    """The address, with the token where its origin is one that reads it from there (``DSG_TOKEN_REDIRECTS``).

    Also where terms come first: in the address to which /activate goes on, and which may be /activate again.
    """
    return _with_token(url, token, config, 2)


def _with_token(url: str, token: str, config: Config, times: int) -> str:
    path, _, query = url.partition("?")
    if path == "/activate" and times:
        fields = [part.partition("=") for part in query.split("&")]
        return f"{path}?" + "&".join(
            f"redirect={quote(_with_token(unquote_plus(value), token, config, times - 1), safe='')}"
            if name == "redirect"
            else f"{name}{equals}{value}"
            for name, equals, value in fields
        )
    if origin_of(url) not in config.token_redirects:
        return url
    parts, names = urlsplit(url), config.token_names
    others = [one for one in parts.query.split("&") if one and unquote_plus(one.partition("=")[0]) not in names]
    return urlunsplit(parts._replace(query="&".join([*others, f"{config.token_names[0]}={quote(token, safe='')}"])))


def origin_of(target: str) -> str | None:
    """The origin of what `absolute_url` let through; None for a path on this server."""
    found = _ABSOLUTE.fullmatch(target)
    return found["origin"] if found else None
