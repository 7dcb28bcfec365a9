"""systemd's side of the protocol: passed sockets in a process of their own, and a real notification socket."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsgserve.process.systemd import FIRST_SOCKET, Watchdog, notify, passed_sockets
from tests.patience import PATIENCE


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd hears of a service."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(PATIENCE)
        listener.bind(str(tmp_path / "notify"))
        yield listener


def test_a_state_reaches_systemd(systemd: socket.socket) -> None:
    notify({"NOTIFY_SOCKET": systemd.getsockname()}, "READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_a_state_reaches_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(PATIENCE)
        listener.bind("\0" + f"dsg-test-{os.getpid()}")
        notify({"NOTIFY_SOCKET": f"@dsg-test-{os.getpid()}"}, "STOPPING=1")
        assert listener.recv(100) == b"STOPPING=1"


def test_without_systemd_nothing_is_sent_and_a_socket_that_is_gone_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify({}, "READY=1")
    assert caplog.text == ""
    notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}, "READY=1")
    assert "cannot send READY=1 to systemd" in caplog.text


# Takes the sockets as a server does, after systemd's exec, and answers on the first.
SERVER = """
import os
from dsgserve.process.systemd import passed_sockets
os.environ["LISTEN_PID"] = str(os.getpid())
sockets = passed_sockets(os.environ)
assert not any(os.get_inheritable(passed.fileno()) for passed in sockets)
connection, _ = sockets[0].accept()
connection.sendall(str(len(sockets)).encode())
"""


def test_passed_sockets_are_served() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        move = f"exec {FIRST_SOCKET}<&{listener.fileno()}; exec {sys.executable} -c '{SERVER}'"
        environment = {**os.environ, "LISTEN_FDS": "1"}
        with subprocess.Popen(["bash", "-c", move], pass_fds=[listener.fileno()], env=environment) as server:
            with socket.create_connection(listener.getsockname(), timeout=PATIENCE) as client:
                assert client.recv(10) == b"1"
            assert server.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    "environment", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": "", "LISTEN_FDS": "1"}]
)
def test_sockets_for_another_process_are_not_taken(environment: dict[str, str]) -> None:
    assert passed_sockets(environment) == []


def test_the_watchdog_notifies_only_while_the_server_is_alive(systemd: socket.socket) -> None:
    questions, alive = threading.Semaphore(0), False

    def answer() -> bool:
        questions.release()
        return alive

    watchdog = Watchdog({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "3000"}, answer)
    watchdog.start()
    for _ in range(3):
        assert questions.acquire(timeout=PATIENCE)
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    systemd.settimeout(PATIENCE)
    alive = True
    assert systemd.recv(100) == b"WATCHDOG=1"
    watchdog.stop()
    for thread in _list_watchdogs():
        thread.join(PATIENCE)


def _list_watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "watchdog"]


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "3000", "WATCHDOG_PID": "1"}])
def test_without_a_watchdog_of_ours_no_thread_starts(environment: dict[str, str]) -> None:
    Watchdog(environment, lambda: True).start()
    assert _list_watchdogs() == []
