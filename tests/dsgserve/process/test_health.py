"""GET /health: 200 only while the database answers, and the client's address only for a signed probe."""

from datetime import timedelta

import pytest

from dsgctl import __version__, probe
from dsgctl.core.clock import now
from dsgserve.gateway import Gateway
from tests.dsgserve.conftest import KEY, Client

OK = {"status": "ok", "version": __version__}


def test_a_server_that_can_read_its_database_is_healthy(client: Client) -> None:
    reply = client.get("/health")
    assert (reply.status, reply.json(), reply.headers["cache-control"]) == (200, OK, "no-store")


def test_a_server_that_cannot_read_its_database_answers_503(client: Client, gateway: Gateway) -> None:
    assert client.get("/health").status == 200
    copy = gateway.config.database.with_name("copy")
    copy.write_bytes(gateway.config.database.read_bytes())
    copy.replace(gateway.config.database)  # it would answer from a file that nobody changes any more
    assert client.get("/health").status == 503


@pytest.mark.parametrize(
    ("key", "age", "shows"),
    [
        (KEY, timedelta(0), True),
        (KEY, timedelta(hours=1), False),
        ("another key of another server", timedelta(0), False),
    ],
)
def test_the_address_is_reported_to_a_signed_probe_alone(client: Client, key: str, age: timedelta, shows: bool) -> None:
    reply = client.get("/health", address="192.0.2.7", x_dsg_probe=probe.sign((key,), now() - age))
    assert reply.json() == ({**OK, "client": "192.0.2.7"} if shows else OK)
