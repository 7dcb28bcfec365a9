"""Fixtures: a token exchange, a clock, a credential, and an gcs_issuer that uses them."""

import threading
from collections.abc import Iterator

import pytest

from dsgserve.ngauth.gcs_tokens import GcsTokenIssuer
from dsgserve.process.outbound import ConcurrencyLimit
from tests.dsgserve.ngauth.sts import Clock, Exchange, Source


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    server = Exchange()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clock: Clock) -> Source:
    return Source(clock)


@pytest.fixture
def gcs_issuer(exchange: Exchange, clock: Clock, source: Source) -> GcsTokenIssuer:
    return GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=lambda named: source, clock=clock)
