"""GET /health: alive, and able to answer."""

from bottle import BaseRequest, HTTPResponse

from dsgctl import __version__
from dsgserve.gateway import Gateway
from dsgserve.replies import json_reply


def show(gateway: Gateway, request: BaseRequest) -> HTTPResponse:
    """200 if the database answers; the caller turns its failure into 503."""
    gateway.facts.revision()
    return json_reply({"status": "ok", "version": __version__}, headers={"Cache-Control": "no-store"})
