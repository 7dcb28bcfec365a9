"""Bodies with which the routes do what they are for: what our pages send for a login, and what programs send."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from dsgctl.core import clients
from dsgserve.apis.cave import tables as cave_tables
from dsgserve.apis.native import authorize
from dsgserve.ngauth import endpoints
from tests.dsgserve.clients.windows import open_window, register
from tests.dsgserve.conftest import VIEWER, Client, Lab
from tests.dsgserve.routes import NAMES

FORM, JSON = "application/x-www-form-urlencoded", "application/json"

# The fields of a form, as our page shows it to the login of a cookie; filled in, so that it changes
# something. The field ``form`` has the proof.
ReadFields = Callable[[Client, Lab, str], dict[str, str]]


def read_token_form(client: Client, lab: Lab, cookie: str) -> dict[str, str]:
    """The form that makes a token."""
    form = client.get("/settings/tokens", cookie=cookie).forms()[-1]
    return {**form.fields, "description": "a laptop"}


def read_terms_form(client: Client, lab: Lab, cookie: str) -> dict[str, str]:
    (form,) = client.get(f"/api/v1/tos/{lab.fly_terms}/accept", cookie=cookie).forms()
    return {"terms": str(lab.fly_terms), **form.fields}


def read_key_form(client: Client, lab: Lab, cookie: str) -> dict[str, str]:
    if not clients.have_any(lab.database):
        register(lab, VIEWER)
    (form,) = open_window(client, VIEWER, cookie=cookie).forms()
    return {**form.fields, "decision": "allow"}


@dataclass(frozen=True)
class Body:
    """What a program sends. The body of a form of ours follows from its `ReadFields`."""

    content_type: str
    build: Callable[[Client, Lab], bytes]


def _ask_for_bucket(client: Client, lab: Lab) -> bytes:
    token = client.post("/token", cookie=lab.ada).text
    return json.dumps({"token": token, "bucket": "fish-bucket"}).encode()


# By the handler, for each that fails without a body.
BODIES: dict[Callable[..., object], Body] = {
    endpoints.gcs_token: Body(JSON, _ask_for_bucket),
    authorize.answer: Body(JSON, lambda _client, _lab: json.dumps({"entries": [{"name": "fish"}]}).encode()),
    cave_tables.show_all_public: Body(JSON, lambda _client, _lab: json.dumps([NAMES["root"]]).encode()),
}
