"""A server as systemd runs it: sockets that it is handed, signs of life, a stop that loses nothing."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from dsgctl.core import datasets, grants, locations, terms, tokens, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST
from tests.e2e.conftest import KEY, Server
from tests.e2e.google import run_silent_google
from tests.e2e.local import free_port, is_listening, wait_until
from tests.patience import PATIENCE

Serve = Callable[..., Server]


@contextmanager
def run_supervised(path: Path, listening: socket.socket, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """dsgserve with a listening socket as its descriptor 3, as systemd starts it."""
    program = f'exec 3<&{listening.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -m dsgserve'
    with subprocess.Popen(
        ["bash", "-c", program, sys.executable],
        pass_fds=[listening.fileno()],
        env={"PATH": os.environ["PATH"], "DATABASE_PATH": str(path), "DSG_SECRET_KEY": KEY, **environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture
def token(database: Database) -> str:
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        return tokens.mint(change, ada)[1]


def test_the_server_answers_on_an_inherited_socket_and_a_restart_refuses_no_request(path: Path, token: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1/user/cache"
        stop, broken, good = threading.Event(), [], []

        def ask() -> None:
            while not stop.is_set():
                try:
                    reply = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE)
                    good.append(reply.json()["email"])
                except (requests.RequestException, ValueError) as error:
                    broken.append(error)

        clients = [threading.Thread(target=ask) for _ in range(4)]
        with run_supervised(path, listening):
            for client in clients:
                client.start()
            wait_until(lambda: len(good) > 20, event="answers")
        answered = len(good)  # the first has ended by now
        with run_supervised(path, listening):
            wait_until(lambda: len(good) > answered + 20, event="answers of the second")
            stop.set()
            for client in clients:
                client.join()
    assert not broken
    assert set(good) == {"ada@example.org"}


def test_the_server_notifies_systemd_of_ready_watchdog_and_stopping(path: Path, tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        with run_supervised(path, listening, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000"):
            assert systemd.recv(100) == b"READY=1"
            with socket.create_connection(listening.getsockname(), timeout=PATIENCE) as client:
                client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                assert client.recv(20).startswith(b"HTTP/1.0 200")
            for _ in range(3):
                assert systemd.recv(100) == b"WATCHDOG=1"
        rest = []
        systemd.settimeout(0.1)
        while not rest or rest[-1] != b"STOPPING=1":
            rest.append(systemd.recv(100))
        assert set(rest) <= {b"WATCHDOG=1", b"STOPPING=1"}


def test_a_server_without_a_database_is_never_ready(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        with run_supervised(tmp_path / "absent", listening, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
            assert process.wait(timeout=PATIENCE) == 1
            assert process.stderr is not None
            assert "there is no database" in process.stderr.read()
        with pytest.raises(BlockingIOError):
            systemd.recv(100)


def test_a_request_in_progress_is_answered_before_the_server_ends(
    serve: Serve, database: Database, tmp_path: Path
) -> None:
    """Its answer comes from Google, which takes its time and then is not there."""
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        _, secret = tokens.mint(change, ada)
        datasets.add(change, "fish2")
        locations.add(change, "fish2", "gs://fish2")
        grants.add(change, principal_subject(ada), Target("fish2", "view"))
    with run_silent_google(tmp_path) as (slow, settings):
        server = serve(**settings)
        user_token = requests.post(f"{server.origin}/token", cookies={"dsg_token": secret}, timeout=PATIENCE).text
        got: list[int] = []

        def ask() -> None:
            body = {"token": user_token, "bucket": "fish2"}
            got.append(requests.post(f"{server.origin}/gcs_token", json=body, timeout=PATIENCE).status_code)

        client = threading.Thread(target=ask)
        client.start()
        slow.settimeout(PATIENCE)
        connection, _ = slow.accept()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        connection.close()
        client.join(timeout=PATIENCE)
        assert got == [503]
        assert server.process.wait(timeout=PATIENCE) == 0


def test_the_client_address_from_nginx_is_trusted_over_a_unix_socket(
    path: Path, database: Database, tmp_path: Path
) -> None:
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        _, secret = tokens.mint(change, ada)
        datasets.add(change, "worm", public=True)
        terms.add(change, "worm terms", "# Be kind\n", dataset="worm")

    def ask(request: str, body: str = "") -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))
            headers = f"Host: x\r\nCookie: dsg_token={secret}\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n"
            headers += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
            client.sendall(f"{request} HTTP/1.1\r\n{headers}\r\n{body}".encode())
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    command = [sys.executable, "-m", "dsgserve", "--listen", f"unix:{tmp_path}/s"]
    environment = {"PATH": os.environ["PATH"], "DATABASE_PATH": str(path), "DSG_SECRET_KEY": KEY}
    with subprocess.Popen(command, env=environment) as server:
        wait_until(lambda: is_listening(tmp_path / "s"), event="the socket")
        page = ask("GET /api/v1/tos/1/accept")
        form = page.partition('name="form" value="')[2].partition('"')[0]
        assert ask("POST /api/v1/tos/1/accept", f"form={form}").startswith("HTTP/1.1 303")
        server.terminate()
    assert not (tmp_path / "s").exists()
    assert database.scalar("SELECT address FROM acceptances") == "192.0.2.7"


def test_a_server_does_not_listen_on_unix_and_tcp_at_once(path: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "dsgserve",
        "--listen",
        f"unix:{tmp_path}/s",
        "--listen",
        f"127.0.0.1:{free_port()}",
    ]
    environment = {"PATH": os.environ["PATH"], "DATABASE_PATH": str(path), "DSG_SECRET_KEY": KEY}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert process.returncode == 2
    assert process.stderr == (
        "dsgserve: a server listens on unix sockets or on ports, not on both; start two servers, or remove one kind\n"
    )


def test_a_database_migrated_by_a_later_release_is_not_answered_from(
    serve: Serve, database: Database, token: str
) -> None:
    server = serve()
    assert server.ask(token).status_code == 200
    database.script(f"INSERT INTO migrations VALUES ({LATEST + 1}, 'later', '2027-01-01T00:00:00.000000Z')")
    for path in ("/api/v1/user/cache", "/health", "/"):
        reply = requests.get(server.origin + path, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE)
        assert reply.status_code == 503, path
    assert f"has schema {LATEST + 1} now; this program knows schema {LATEST}" in server.log.read_text()
    database.script(f"DELETE FROM migrations WHERE number > {LATEST}")
    assert server.ask(token).status_code == 200
