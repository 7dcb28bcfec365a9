"""Stands in for a registered client: opens its window, and reads what the page posts."""

import html
import json
import re
from typing import Any
from urllib.parse import quote

from dsgctl.core import clients
from tests.dsgserve.conftest import PAGE, Client, Lab, Reply

ATLAS = "https://lab.github.io"
DATA = "https://data.example.org"


def register(lab: Lab, origin: str = ATLAS, name: str = "atlas") -> None:
    """Register a client; ada is responsible for it."""
    with lab.change() as change:
        clients.add(change, name, origin=origin, owner="ada@example.org", app_urls=[DATA])


def open_window(client: Client, origin: str = ATLAS, token: str = "api", **options: Any) -> Reply:  # noqa: S107
    """GET /login as a page of this origin opens it."""
    query = f"origin={quote(origin, safe='')}&token={quote(token, safe='')}"
    return client.get(f"/login?{query}", **{"accept": PAGE, **options})


def read_messages(reply: Reply) -> list[tuple[str, Any]]:
    """Each origin that the page posts to, and the message."""
    assert reply.status == 200, reply.text
    attribute = re.search(r'data-messages="([^"]*)"', reply.text)
    assert attribute, reply.text
    return [(origin, message) for origin, message in json.loads(html.unescape(attribute[1]))]


def answer(client: Client, page: Reply, cookie: str, decision: str = "allow", **fields: str) -> Reply:
    """Send the form of a page."""
    (form,) = [form for form in page.forms() if form.action == "/login"]
    sent = {name: value for name, value in form.fields.items() if name != "remember"}
    return client.post("/login", form={**sent, "decision": decision, **fields}, cookie=cookie)


def take_key(client: Client, cookie: str, origin: str = ATLAS, **fields: str) -> str:
    """Open the window, allow it, and return the key."""
    ((target, message),) = read_messages(answer(client, open_window(client, origin, cookie=cookie), cookie, **fields))
    assert target == origin
    return str(message["token"])
