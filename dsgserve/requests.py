"""What a request says: the token on it, and what its sender understands."""

from urllib.parse import parse_qsl

from bottle import LocalRequest

from dsgctl.core.errors import Invalid

MOST_FIELDS = 100


def presented_token(request: LocalRequest, names: tuple[str, ...]) -> str | None:
    """The token on a request; the first place that has one decides (contract.md, "The token on a request").

    Args:
        names: of the cookie and of the query parameter.

    Returns:
        The token as it was sent, or None if there is none.
    """
    if cookie := cookie_token(request, names):
        return cookie
    if bearer := bearer_token(request):
        return bearer
    for name in names:
        if parameter := request.query.get(name):
            return str(parameter)
    return None


def cookie_token(request: LocalRequest, names: tuple[str, ...]) -> str | None:
    """The token that a browser keeps for us."""
    if "HTTP_COOKIE" not in request.environ:
        return None
    return next(filter(None, (cookie(request, name) for name in names)), None)


def cookie(request: LocalRequest, name: str) -> str | None:
    """The value of the first cookie of this name that has one (RFC 6265, 4.2.1).

    Python's own parser, which Bottle uses, refuses all cookies for one whose name it does not like: any host
    below our domain could set such a one, and its user would have no login any more.
    """
    for pair in request.environ.get("HTTP_COOKIE", "").split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name and (found := value.strip().strip('"')):
            return str(found)
    return None


def header(request: LocalRequest, name: str) -> str:
    """A header as WSGI has it, empty if there is none: Bottle's own way fails on bytes that are not UTF-8."""
    return str(request.headers.raw(name, ""))


def bearer_token(request: LocalRequest) -> str | None:
    """The token of ``Authorization: Bearer TOKEN``; the scheme is matched case aside (RFC 9110, 11.1)."""
    scheme, _, rest = header(request, "Authorization").partition(" ")
    return rest.strip() or None if scheme.lower() == "bearer" else None


def form(request: LocalRequest) -> dict[str, str]:
    """The fields of a form as browsers send it; empty for any other request. Of a field sent twice the last.

    Not Bottle's, which takes other kinds of forms apart too, and fails on odd ones.

    Raises:
        Invalid: it has more fields than any of ours.
    """
    kind = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if request.method != "POST" or kind != "application/x-www-form-urlencoded":
        return {}
    try:
        text = request.body.read().decode("latin-1")
        return dict(parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS))
    except ValueError:
        raise Invalid(f"the form has more than {MOST_FIELDS} fields") from None


def parameter(request: LocalRequest, name: str) -> str | None:
    """A field of the form, or of the query."""
    return form(request).get(name) or request.query.getunicode(name)


def wants_page(request: LocalRequest) -> bool:
    """Whether a person's browser asks, rather than a program."""
    return "text/html" in header(request, "Accept") and not header(request, "X-Requested-With")
