"""Sites with data, with one fault at a time."""

import json

import pytest

from dsgctl.core import clients, users
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
from tests.dsgctl.operations.doctor.installation import Installation
from tests.dsgctl.operations.doctor.listener import listening_server
from tests.dsgctl.operations.doctor.planting import Examine, find_row
from tests.e2e.local import free_port

OPEN = "Access-Control-Allow-Origin: *\r\n"
ANSWERS: dict[str, tuple[int, str, str, str, tuple[str, ...]]] = {  # status, headers, login_url -> what is reported
    "as shipped": (200, OPEN, "ORIGIN", "ok", ("sends viewers here",)),
    "under a prefix": (200, OPEN, "ORIGIN/sticky_auth", "ok", ("sends viewers here",)),
    "another gateway": (200, OPEN, "https://other.example", "warning", ("to 'https://other.example'", "login_url")),
    "a slash at the end": (200, OPEN, "ORIGIN/", "warning", ("correct its login_url",)),
    "closed to pages": (200, "", "ORIGIN", "warning", ("pages of other sites may not read", "gate.conf")),
    "behind its own gate": (401, OPEN, "ORIGIN", "warning", ("does not say where to sign in (401)",)),
    "another answer": (200, OPEN, "", "warning", ("does not say where to sign in (200)",)),
}


def register(here: Installation, site: str) -> None:
    database = open_current(here.database)
    with begin_change(database, "os:test") as change:
        users.add(change, "ada@example.org")
        clients.add(change, "viewer", origin="https://viewer.test", owner="ada@example.org", app_urls=(site,))
    database.close()


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_a_site_with_data_says_is_compared_with_this_gateway(
    answer: str, here: Installation, examine: Examine
) -> None:
    status, headers, login_url, state, parts = ANSWERS[answer]
    body = json.dumps({"login_url": login_url.replace("ORIGIN", here.site.origin)} if login_url else [])
    reply = f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    with listening_server(reply.encode()) as port:
        register(here, f"http://127.0.0.1:{port}")
        _, rows = examine()
    find_row(rows, "data sites", state, *parts)


def test_a_site_that_does_not_answer_is_reported(here: Installation, examine: Examine) -> None:
    register(here, f"http://127.0.0.1:{free_port()}")
    find_row(examine()[1], "data sites", "warning", "/auth_info does not answer: connection refused")
