"""What systemd and a server say to each other: sockets it passes, and signs of life it waits for."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping

FIRST_SOCKET = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)

log = logging.getLogger("dsgserve.systemd")


def passed_sockets(environment: Mapping[str, str]) -> list[socket.socket]:
    """The listening sockets that this process was started with, none if it was not (sd_listen_fds(3))."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    number = int(environment.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=descriptor) for descriptor in range(FIRST_SOCKET, FIRST_SOCKET + number)]
    for one in sockets:
        os.set_inheritable(one.fileno(), False)
    return sockets


def notify(environment: Mapping[str, str], state: str) -> None:
    """Tell systemd, if it wants to know (sd_notify(3)): ``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.sendto(state.encode(), address)
    except OSError as error:
        log.warning("cannot tell systemd %s: %s", state, error)


class Watchdog:
    """Gives the signs of life that WatchdogSec= asks for, as long as ``alive`` says so (sd_watchdog_enabled(3))."""

    def __init__(self, environment: Mapping[str, str], alive: Callable[[], bool]) -> None:
        """
        Args:
            alive: whether the server still answers; may take some seconds.
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
