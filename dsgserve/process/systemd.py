"""The protocol between systemd and a server: passed sockets, readiness and the watchdog."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping

FIRST_SOCKET = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)

log = logging.getLogger("dsgserve.systemd")


def passed_sockets(environment: Mapping[str, str]) -> list[socket.socket]:
    """The listening sockets that systemd passes to this process; empty if it passes none (sd_listen_fds(3))."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    number = int(environment.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=descriptor) for descriptor in range(FIRST_SOCKET, FIRST_SOCKET + number)]
    for passed in sockets:
        os.set_inheritable(passed.fileno(), False)
    return sockets


def notify(environment: Mapping[str, str], state: str) -> None:
    """Send ``READY=1``, ``STOPPING=1`` or ``WATCHDOG=1`` to systemd if it asks for that (sd_notify(3))."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.sendto(state.encode(), address)
    except OSError as error:
        log.warning("cannot send %s to systemd: %s", state, error)


class Watchdog:
    """Notifies systemd as often as WatchdogSec= needs it, while the server is alive (sd_watchdog_enabled(3))."""

    def __init__(self, environment: Mapping[str, str], alive: Callable[[], bool]) -> None:
        """
        Args:
            alive: returns whether the server still answers; it may take some seconds.
        """
        self._environment = environment
        self._alive = alive
        self._stop = threading.Event()
        microseconds = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._interval = int(microseconds) / 1e6 / 3 if microseconds.isdigit() and for_us else 0.0

    def start(self) -> None:
        if self._interval:
            threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            if self._alive():
                notify(self._environment, "WATCHDOG=1")
