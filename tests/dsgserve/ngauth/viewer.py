"""Stands in for Neuroglancer: the requests of its ngauth client, and what its page can read of the responses."""

import html
import json
import re
from typing import Any
from urllib.parse import quote

from tests.dsgserve.conftest import PAGE, VIEWER, Client, Reply

STRANGER = "https://viewer.example.attacker.example"
NO_ORIGINS = (
    "null",
    "",
    f"{VIEWER}/",
    f"{VIEWER}, {VIEWER}",
    f"{VIEWER},https://x.example",
    "https://u@viewer.example",
    "https://viewer.example:0",
    "https://viewer.example:99999",
    "HTTPS://viewer.example",
    "viewer.example",
)
STRANGERS = (STRANGER, f"{VIEWER}.", f"{VIEWER}:443", "https://Viewer.example", "http://viewer.example")


def request_user_token(client: Client, cookie: str) -> str:
    """POST /token as a program, which gets a user token whatever terms are pending."""
    reply = client.post("/token", cookie=cookie)
    assert reply.status == 200, reply.text
    return reply.text


def exchange_user_token(client: Client, token: str, bucket: str = "fish-bucket", **options: Any) -> Reply:
    """POST /gcs_token as the viewer."""
    body = json.dumps({"token": token, "bucket": bucket}).encode()
    return client.post("/gcs_token", body=body, **{"origin": VIEWER, **options})


def assert_readable_by(reply: Reply, origin: str) -> None:
    """The page of this origin can read the response, and no cache stores it."""
    assert reply.headers["access-control-allow-origin"] == origin
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["vary"] == "Origin"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-frame-options"] == "DENY"


def assert_readable_by_nobody(reply: Reply) -> None:
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert reply.headers["vary"] == "Origin"


def open_popup(client: Client, origin: str = VIEWER, more: str = "", **options: Any) -> Reply:
    """GET /login as the window of a viewer."""
    return client.get(f"/login?origin={quote(origin, safe='')}{more}", **{"accept": PAGE, **options})


def read_message(reply: Reply) -> tuple[str, Any]:
    """The origin that the page posts to, and the message."""
    attributes = re.search(r'data-origin="([^"]*)" data-message="([^"]*)"', reply.text)
    assert attributes
    return html.unescape(attributes[1]), json.loads(html.unescape(attributes[2]))


def skip_terms(client: Client, cookie: str) -> Reply:
    """Follow the link of the popup that continues without accepting."""
    link = re.search(r'href="([^"]*)">Continue without', open_popup(client, cookie=cookie).text)
    assert link
    return client.get(html.unescape(link[1]), cookie=cookie, accept=PAGE)
