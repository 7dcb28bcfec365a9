"""The uses of tokens are written while other threads go on using tokens."""

from dsgctl.core import clock
from dsgserve.gateway import Gateway
from dsgserve.user_cache.last_used import MINUTE, LastUsed
from tests.dsgserve.conftest import Lab


def test_a_token_that_is_first_used_during_a_write_does_not_stop_it(gateway: Gateway, lab: Lab) -> None:
    last_used = LastUsed(gateway.writer)

    class Minute(int):
        """A minute; while it is compared, another token is used, as by another thread."""

        def __eq__(self, other: object) -> bool:
            last_used.note(len(last_used._minutes) + 1)
            return int(self) == other

        __hash__ = int.__hash__

    last_used.note(1)
    last_used._minutes[1] = Minute(clock.seconds() // MINUTE)
    last_used.write()
    assert lab.scalar("SELECT last_used FROM tokens WHERE id = 1")
    last_used.write()
    assert lab.scalar("SELECT last_used FROM tokens WHERE id = 2")
