"""What a request says: the token on it, and what its sender understands."""

from bottle import LocalRequest


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
    return next((str(cookie) for name in names if (cookie := request.get_cookie(name))), None)


def bearer_token(request: LocalRequest) -> str | None:
    """The token of ``Authorization: Bearer TOKEN``; the scheme is matched case aside (RFC 9110, 11.1)."""
    scheme, _, rest = request.get_header("Authorization", "").partition(" ")
    return rest.strip() or None if scheme.lower() == "bearer" else None


def wants_page(request: LocalRequest) -> bool:
    """Whether a person's browser asks, rather than a program."""
    return "text/html" in request.get_header("Accept", "") and not request.get_header("X-Requested-With")
