"""GET /health: whether the process runs, and whether it can answer."""

from bottle import HTTPResponse

from dsgctl import __version__, probe
from dsgctl.core import clock
from dsgserve.gateway import Gateway
from dsgserve.http.responses import json_reply
from dsgserve.http.route import Request


def show(gateway: Gateway, request: Request[None]) -> HTTPResponse:
    """200 if the database answers.

    Raises:
        StoreError: it does not; the pipeline answers 503.
    """
    gateway.reader.revision()
    body = {"status": "ok", "version": __version__}
    environ = request.http.environ
    presented = environ.get("HTTP_X_DSG_PROBE", "")
    if presented and probe.is_valid(gateway.secret_keys, presented, clock.now()):
        body["client"] = str(environ.get("REMOTE_ADDR", ""))  # the address that terms_pages.py records
    return json_reply(body, headers={"Cache-Control": "no-store"})
