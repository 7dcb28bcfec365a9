"""GET /health: alive, and able to answer."""

from bottle import BaseRequest, HTTPResponse

from dsgctl import __version__, probe
from dsgctl.core import clock
from dsgserve.gateway import Gateway
from dsgserve.http.responses import json_reply


def show(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """200 if the database answers; the caller turns its failure into 503."""
    gateway.reader.revision()
    body = {"status": "ok", "version": __version__}
    presented = request.environ.get("HTTP_X_DSG_PROBE", "")
    if presented and probe.is_good(gateway.secret_keys, presented, clock.now()):
        body["client"] = str(request.environ.get("REMOTE_ADDR", ""))  # what terms_pages.py would record
    return json_reply(body, headers={"Cache-Control": "no-store"})
