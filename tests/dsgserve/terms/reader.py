"""Stands in for a person who reads and accepts terms in a browser."""

import re
from typing import Any
from urllib.parse import quote

from tests.dsgserve.conftest import PAGE, Client, Form, Lab, Reply

CAVE = "https://cave.example/x?y=1"


def path(terms_id: int, **query: str) -> str:
    """The page of one document."""
    parameters = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
    return f"/api/v1/tos/{terms_id}/accept" + (f"?{parameters}" if parameters else "")


def open_page(client: Client, cookie: str | None, url: str) -> Reply:
    """GET a page as a browser does."""
    return client.get(url, cookie=cookie, accept=PAGE)


def send(client: Client, cookie: str | None, form: Form, **fields: str) -> Reply:
    """Send a form of a page."""
    return client.post(form.action, form=form.fields | fields, cookie=cookie, accept=PAGE)


def list_acceptances(lab: Lab) -> list[tuple[Any, ...]]:
    """Principal, terms, address and recorder of each recorded acceptance."""
    rows = lab.database._db.connection().execute("SELECT principal_id, terms_id, address, recorded_by FROM acceptances")
    return list(rows)


def read_checkboxes(reply: Reply) -> dict[str, str]:
    """The values of a page's checkboxes, by name."""
    checkboxes = re.findall(r'<input type="checkbox" form="several" name="([^"]*)" value="([^"]*)"', reply.text)
    return dict(checkboxes)
