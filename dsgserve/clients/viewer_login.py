"""GET /api/v1/authorize without parameters, opened by a viewer with a ``middleauth+`` data source.

contract.md, "GET /api/v1/authorize as a window".
"""

from urllib.parse import urlencode

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import clients, web_origins
from dsgserve.clients.key_window import ANY_VIEWER
from dsgserve.gateway import Gateway
from dsgserve.http.requests import header, wants_page
from dsgserve.http.responses import Refusal, redirect
from dsgserve.http.route import Request
from dsgserve.login import sign_in
from dsgserve.login.dev_login import DevProvider
from dsgserve.login.oidc import Provider


def authorize(gateway: Gateway, request: Request[Provider | DevProvider]) -> HTTPResponse | Refusal:
    """GET /api/v1/authorize: the window of a viewer if a page opened it, else a sign-in."""
    viewer = _find_viewer(gateway, request.http)
    if viewer is None:
        return sign_in.authorize(gateway, request)
    return redirect("/login?" + urlencode({"viewer": viewer}))


def _find_viewer(gateway: Gateway, http: BaseRequest) -> str | None:
    """The origin of the page that opened this window, `ANY_VIEWER` if the browser does not say; None for no viewer.

    The redirects keep the origin: later requests have the ``Referer`` of the sign-in provider.
    """
    # "none": the address was typed. "same-origin": a link of our own pages.
    may_be_window = wants_page(http) and header(http, "Sec-Fetch-Site") not in ("none", "same-origin")
    if http.environ.get("QUERY_STRING") or not may_be_window or not clients.have_any(gateway.reader):
        return None
    referer = header(http, "Referer")
    if not referer:
        return ANY_VIEWER
    origin = web_origins.parse("/".join(referer.split("/", 3)[:3]))
    return None if origin == gateway.config.origin else origin
