"""The present moment never goes back in one process."""

from dsgctl.core.clock import Clock


class Host:
    """Its two clocks: the one that people set, and the one that only goes on."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def test_the_clock_follows_the_hosts_clock() -> None:
    host = Host()
    clock = Clock(lambda: host.wall, lambda: host.steady)
    for seconds in (0.0, 1.5, 3600.0):
        host.wait(seconds)
        assert (clock.seconds(), clock.behind()) == (host.wall, 0)


def test_a_host_clock_that_is_set_back_does_not_turn_the_clock_back() -> None:
    host = Host()
    clock = Clock(lambda: host.wall, lambda: host.steady)
    before = clock.seconds()
    host.wall -= 7200
    host.wait(60)
    assert (clock.seconds(), clock.behind()) == (before + 60, 7200)
    host.wait(7200)  # the host's clock is where it was, and two hours have gone by
    assert (clock.seconds(), clock.behind()) == (before + 7260, 7200)
    host.wall += 7200
    assert (clock.seconds(), clock.behind()) == (host.wall, 0)


def test_the_clock_follows_a_host_that_is_set_forward_or_wakes_from_sleep() -> None:
    host = Host()
    clock = Clock(lambda: host.wall, lambda: host.steady)
    host.wall += 86_400  # the steady clock stands still while a machine sleeps
    assert clock.seconds() == host.wall
