"""A gateway on a port of loopback, for tests of what is sent and received in bytes."""

from collections.abc import Iterator

import pytest

from dsgserve.gateway import Gateway
from tests.dsgserve.wire import Wire, listening


@pytest.fixture
def wire(gateway: Gateway) -> Iterator[Wire]:
    with listening(gateway) as served:
        yield served
