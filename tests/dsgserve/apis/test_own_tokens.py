"""POST /api/v1/create_token: descriptions. Who may ask is tested in native/test_long_lived_tokens.py."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dsgctl.core import token_queries, tokens, users
from dsgctl.core.clock import now
from dsgserve.apis.cave import tokens as cave_tokens
from dsgserve.apis.native.long_lived_tokens import require_itself
from dsgserve.http.route import Route
from dsgserve.login.admission import require_own_token
from tests.dsgserve.conftest import Client, Lab
from tests.dsgserve.routes import EVERY_ROUTE

NGINX = Path(__file__).parents[3] / "nginx" / "dsg.conf"

# A body, its content type, and the description of the new token; None for 400.
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BODIES: dict[str, tuple[bytes, str, str | None]] = {
    "nothing": (b"", "", "API token"),
    "an empty object": (b"{}", JSON, "API token"),
    "a description": (json.dumps({"description": "my script ²"}).encode(), JSON, "my script ²"),
    "a form": (urlencode({"description": "my script"}).encode(), FORM, "my script"),
    "an empty description": (b'{"description": ""}', JSON, "API token"),
    "120 characters": (json.dumps({"description": "x" * 120}).encode(), JSON, "x" * 120),
    "121 characters": (json.dumps({"description": "x" * 121}).encode(), JSON, None),
    "two lines": (json.dumps({"description": "a\nb"}).encode(), JSON, None),
    "no text": (b'{"description": 5}', JSON, None),
    "a list": (b"[]", JSON, None),
    "no JSON": (b"{", JSON, None),
    "too long a body": (b'{"description": "' + b"x" * 20_000 + b'"}', JSON, None),
}


@pytest.mark.parametrize("name", BODIES)
def test_any_description_has_its_status(client: Client, lab: Lab, name: str) -> None:
    body, content_type, description = BODIES[name]
    options: dict[str, Any] = {"body": body, "content_type": content_type, "authorization": f"Bearer {lab.ada}"}
    before = list(token_queries.list_tokens(lab.database, at=now()))
    reply = client.post("/api/v1/create_token", **options)
    after = list(token_queries.list_tokens(lab.database, at=now()))
    if description is None:
        assert (reply.status, after) == (400, before)
        return
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    assert {key: after[-1][key] for key in ("user", "kind", "description", "expires")} == {  # type: ignore[literal-required]
        "user": "ada@example.org",
        "kind": "api",
        "description": description,
        "expires": None,
    }
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {reply.json()}").status == 200


MAKERS = (require_own_token, require_itself, cave_tokens.require_form)  # the admissions of what stores a token
MAKING = [route for route in EVERY_ROUTE if any(endpoint.admits in MAKERS for endpoint in route.endpoints)]


@pytest.mark.parametrize("route", MAKING, ids=lambda route: route.path)
def test_nginx_limits_how_often_an_address_makes_tokens(route: Route) -> None:
    """Each is stored, with an audit record that nobody deletes."""
    limited = re.findall(r"^    (/\S+) +\$binary_remote_addr;$", NGINX.read_text(), re.MULTILINE)
    assert route.limited and route.path in limited


MAKING_REQUESTS = [
    ("POST", "/api/v1/create_token"),
    ("POST", "/api/v1/user/token"),
    ("POST", "/api/v1/refresh_token"),
    ("GET", "/api/v1/long_lived_token"),
]


@pytest.mark.parametrize(("method", "target"), MAKING_REQUESTS)
def test_a_token_that_ends_makes_none_that_outlives_it(method: str, target: str, client: Client, lab: Lab) -> None:
    """Or whoever finds one that was meant for an afternoon would have one for ever."""
    end = now() + timedelta(hours=4)
    with lab.change() as change:
        cy = users.find(change.database, "cy@example.org")
        short = tokens.mint(change, cy, expires=end)[1]
    assert client.request(method, target, authorization=f"Bearer {short}").status == 200
    (*_, row) = token_queries.list_tokens(lab.database, at=now())
    assert (row["user"], row["kind"], row["expires"]) == ("cy@example.org", "api", end)
