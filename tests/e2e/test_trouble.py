"""What a running server does when the host is in trouble: the right answer or a refusal, never a wrong permission."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from dsgctl.core import tokens, users
from dsgctl.core.clock import now
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import KEY, Server, run_process
from tests.e2e.local import free_port, wait_until
from tests.e2e.visitor import Visitor
from tests.patience import PATIENCE

Serve = Callable[..., Server]
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def token(database: Database) -> str:
    """Of ada, who is an admin."""
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org", admin=True)
        return tokens.mint(change, ada)[1]


# The file


def test_a_database_that_was_replaced_is_not_answered_from(
    serve: Serve, path: Path, token: str, empty_database: Path, tmp_path: Path
) -> None:
    """Nobody writes to the file that was opened any more: what it says may have been revoked."""
    server = serve()
    assert server.ask(token).status_code == 200
    other = tmp_path / "other.sqlite3"
    shutil.copy(empty_database, other)
    other.replace(path)
    assert server.ask(token).status_code == 503
    # It ends, so that systemd starts it with what is there now.
    assert server.process.wait(timeout=PATIENCE) == 1
    last = server.log.read_text().splitlines()[-1]
    assert last == f"dsgserve: {path} was replaced while it was served; start dsgserve again, on the new file"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert serve().ask(token).status_code == 401


def test_a_database_that_was_removed_is_not_answered_from(serve: Serve, path: Path, token: str, tmp_path: Path) -> None:
    server = serve()
    assert server.ask(token).status_code == 200
    path.rename(tmp_path / "away.sqlite3")
    assert server.ask(token).status_code == 503
    assert server.process.wait(timeout=PATIENCE) == 1


# The disk


@contextmanager
def on_a_small_disk(path: Path, place: Path) -> Iterator[tuple[Server, Path]]:
    """A server whose database lies on a file system of its own, of 3 MB, and its directory as seen from here."""
    small, port = place / "small", free_port()
    small.mkdir()
    mount = f"mount -t tmpfs -o size=3m none {small} && cp {path} {path}-wal {small}/"
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_PATH": f"{small}/dsg.sqlite3",
        "DSG_SECRET_KEY": KEY,
        "DSG_PORT": str(port),
        "DSG_ORIGIN": f"http://localhost:{port}",
        "DSG_DEV_LOGIN": "1",
    }
    command = ["unshare", "--mount", "sh", "-c", f"{mount} && exec {sys.executable} -m dsgserve"]
    with run_process(command, environment, place / "small.log") as server:
        if server.process.poll() is not None and "mount" in server.log.read_text():
            pytest.skip("no file systems can be mounted here")
        yield server, Path(f"/proc/{server.process.pid}/root{small}")


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(bytes(4096))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_server_on_a_full_disk_answers_and_signs_nobody_in(path: Path, token: str, tmp_path: Path) -> None:
    with on_a_small_disk(path, tmp_path) as (server, disk):
        login = Visitor(server.origin).sign_in("ada@example.org")
        fill(disk)
        assert server.ask(token).status_code == server.ask(login).status_code == 200
        late = Visitor(server.origin)
        reply = late.finish(late.begin(), "ada@example.org")
        assert (reply.status_code, late.token) == (503, "")
        assert "disk is full" in server.log.read_text()
        (disk / "filler").unlink()
        assert server.ask(Visitor(server.origin).sign_in("ada@example.org")).status_code == 200
        # A revocation that found room counts at once.
        inside = ["nsenter", "--mount", "--target", str(server.process.pid)]
        subprocess.run(
            [*inside, sys.executable, "-m", "dsgctl", "user", "disable", "ada@example.org", "--last-admin"],
            env={"PATH": os.environ["PATH"], "DATABASE_PATH": str(tmp_path / "small" / "dsg.sqlite3")},
            check=True,
            capture_output=True,
        )
        assert server.ask(token).status_code == server.ask(login).status_code == 401


# It becomes somebody else once it has its modules: the interpreter may be in a directory that is closed to them.
AS_NOBODY = """
import os, sys
import ctypes, encodings.idna
import dsgserve.__main__, dsgserve.server, dsgctl.memory
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.argv = ["dsgserve"]
dsgserve.__main__.main()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a read-only disk, and become somebody else")
@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("mount --bind {here} {here} && mount -o remount,bind,ro {here}", "cannot be opened"),
        ("chown 65534 {here} {here}/dsg.sqlite3 && chmod 400 {here}/dsg.sqlite3", "cannot be written to"),
        ("chmod 700 {here}", "cannot be opened"),
    ],
    ids=["a read-only disk", "a file that may only be read", "a directory of somebody else"],
)
def test_the_server_does_not_start_where_it_may_not_write(
    path: Path, tmp_path: Path, before: str, message: str
) -> None:
    here = Path(tempfile.mkdtemp(dir="/var/tmp"))  # whose parents everybody may enter
    try:
        here.chmod(0o755)
        shutil.copy(path, here / "dsg.sqlite3")
        script = f'{before.format(here=here)} && exec {sys.executable} -c "$0"'
        process = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, AS_NOBODY],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={"PATH": os.environ["PATH"], "DATABASE_PATH": f"{here}/dsg.sqlite3", "DSG_PORT": str(free_port())},
        )
    finally:
        shutil.rmtree(here)
    assert process.returncode == 1, process.stderr
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"dsgserve: {here}/dsg.sqlite3 ") and message in last


# The clock


def _run_to_its_end(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Start a server that is expected to end by itself."""
    words = [sys.executable, "-m", "dsgserve"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.skipif(FAKETIME is None, reason="needs Debian's faketime")
def test_a_clock_that_is_set_back_does_not_revive_expired_tokens(
    serve: Serve, database: Database, path: Path, tmp_path: Path
) -> None:
    at = tmp_path / "clock"
    at.write_text("+0")
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        ending = tokens.mint(change, ada, expires=now() + timedelta(hours=1))[1]
        lasting = tokens.mint(change, ada)[1]
    settings = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(at),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    server = serve(**settings)
    assert server.ask(ending).status_code == 200
    at.write_text("+2h")
    assert server.ask(ending).status_code == 401
    at.write_text("-30d")
    assert server.ask(ending).status_code == 401
    assert server.ask(lasting).status_code == 200
    wait_until(lambda: "clock was set back by 2599" in server.log.read_text(), event="the warning")

    # Nor does a new start: the last change is in its future.
    environment = {"PATH": os.environ["PATH"], "DATABASE_PATH": str(path), "DSG_PORT": str(free_port()), **settings}
    refusal = _run_to_its_end(environment)
    assert refusal.returncode == 1
    last = refusal.stderr.splitlines()[-1]
    assert last.startswith("dsgserve: this host's clock says ") and "set the clock: timedatectl" in last

    # Nor does a command by the same clock lift that.
    words = [sys.executable, "-m", "dsgctl", "user", "add", "bob@example.org"]
    command = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert command.returncode == 1 and "dsgctl: this host's clock says " in command.stderr
    with begin_change(database, "os:test", at=now() - timedelta(days=30)) as change:
        users.add(change, "bob@example.org")
    refusal = _run_to_its_end(environment)
    assert refusal.returncode == 1


def test_an_operator_accepts_changes_made_by_a_clock_that_was_ahead(
    serve: Serve, database: Database, path: Path
) -> None:
    with begin_change(database, "os:test", at=now() + timedelta(days=400)) as change:
        users.add(change, "ada@example.org")
    environment = {"PATH": os.environ["PATH"], "DATABASE_PATH": str(path)}
    words = [sys.executable, "-m", "dsgctl", "db", "clock"]
    looked = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert looked.returncode == 1 and "dsgctl db clock --accept" in looked.stderr
    subprocess.run([*words, "--accept"], env=environment, capture_output=True, timeout=PATIENCE, check=True)
    subprocess.run(words, env=environment, capture_output=True, timeout=PATIENCE, check=True)
    assert requests.get(serve().origin + "/health", timeout=PATIENCE).status_code == 200
