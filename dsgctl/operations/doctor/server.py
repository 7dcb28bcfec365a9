"""The server processes: their sockets, their release, and the units that keep them running."""

import os
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dsgctl import __version__
from dsgctl.config import Config
from dsgctl.core import clock
from dsgctl.operations.doctor.account import describe, find_account
from dsgctl.operations.doctor.answer import Answer, parse_answer
from dsgctl.operations.doctor.check import Case, Check, Checks, Host, failure, ok, warning
from dsgctl.store import process_registry
from dsgctl.store.process_registry import Process

SECONDS = 5  # for a connection, and for systemctl
_LONGEST = 64 * 1024  # bytes of an answer to GET /health that are read


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address on which a server listens, or should.

    Attributes:
        address: ``unix:PATH`` or ``HOST:PORT``.
        process: the registered process that listens there; None if there is none.
    """

    address: str
    process: Process | None = None

    @property
    def unit(self) -> str:
        """The name of its service unit, without the suffix."""
        match = re.fullmatch(r"unix:.*/(dsgserve(?:@[^/]+)?)\.sock", self.address)
        return match[1] if match else "dsgserve"


def find_endpoints(case: Case) -> list[Endpoint]:
    """Every socket of a unit and every address of a registered process; if there is none, that of DSG_PORT."""
    endpoints = {f"unix:{path}": Endpoint(f"unix:{path}") for path in sorted(case.host.sockets.glob("dsgserve*.sock"))}
    for process in process_registry.list_running(case.config.database, now=clock.seconds()):
        for address in process.listening:
            endpoints[address] = Endpoint(address, process)
    default = f"127.0.0.1:{case.config.port}"
    return list(endpoints.values()) or [Endpoint(default)]


def check_servers(case: Case) -> Checks:
    """Whether each server answers with this release, and nginx may connect to it."""
    endpoints = find_endpoints(case)
    for endpoint in endpoints:
        yield _check_endpoint(endpoint, case)
        yield from _check_proxy_access(endpoint, case.host)
    for unit in _list_enabled(case.host, "dsgserve*.socket"):
        path = case.host.sockets / f"{unit.removesuffix('.socket')}.sock"
        if not path.exists():
            yield failure("server", f"{unit} is enabled, and {path} is not there", f"systemctl start {unit}")


def _check_endpoint(endpoint: Endpoint, case: Case) -> Check:
    where = endpoint.address
    do = f"systemctl status {endpoint.unit}; journalctl -u {endpoint.unit} -n 20"
    if not case.host.has_systemd:
        do = "start it: dsgserve"
    try:
        status, answer = ask(where)
    except ConnectionRefusedError:
        kind = "its file was left by a server that has ended" if where.startswith("unix:") else "no server runs there"
        return failure("server", f"does not answer on {where}: connection refused, {kind}{_state(endpoint, case)}", do)
    except FileNotFoundError:
        return failure("server", f"does not answer on {where}: there is no such socket{_state(endpoint, case)}", do)
    except PermissionError:
        return failure("server", f"this user may not connect to {where}", "run it as root: sudo dsgctl doctor")
    except TimeoutError:
        return failure(
            "server",
            f"does not answer on {where}: it accepted the connection, and sent nothing for {SECONDS} s",
            f"{do}; systemctl restart {endpoint.unit}" if case.host.has_systemd else "restart it",
        )
    except OSError as error:
        return failure("server", f"does not answer on {where}: {error.strerror or 'it closed the connection'}", do)
    version = answer.version
    if status == 503:
        return failure(
            "server",
            f"answers 503 on {where}: it cannot use the database, or another release migrated it",
            f"dsgctl db check; systemctl restart {endpoint.unit}",
        )
    if status != 200 or version is None:
        return failure(
            "server",
            f"something other than dsgserve answers on {where} ({status or 'no HTTP'})",
            "set DSG_PORT to another, or stop that program: ss -ltnp",
        )
    if version != __version__:
        return failure(
            "server",
            f"runs release {version} on {where}, this is {__version__}",
            f"systemctl restart {endpoint.unit}" if case.host.has_systemd else "restart it",
        )
    return ok("server", f"answers on {where}, release {version}")


def _state(endpoint: Endpoint, case: Case) -> str:
    """The state of the unit; empty without systemd."""
    if not case.host.has_systemd:
        return ""
    state = _systemctl("is-active", f"{endpoint.unit}.service") or "not there"
    return f"; {endpoint.unit}.service is {state}"


def ask(address: str) -> tuple[int, Answer]:
    """Status and answer of ``GET /health``; status 0 if the answer is not HTTP.

    Raises:
        OSError: there is no answer.
    """
    with _connect(address) as client:
        client.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        received = b""
        while len(received) < _LONGEST and (part := client.recv(4096)):
            received += part
    if not received:
        raise ConnectionResetError
    head, _, body = received.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    return int(status[1]) if status else 0, parse_answer(body)


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(SECONDS)
        try:
            client.connect(address.removeprefix("unix:"))
        except OSError:
            client.close()
            raise
        return client
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  the server listens there
    return socket.create_connection((everywhere.get(host, host), int(port)), timeout=SECONDS)


def _check_proxy_access(endpoint: Endpoint, host: Host) -> Checks:
    """nginx's workers run as another user, who needs write access to the socket."""
    path = Path(endpoint.address.removeprefix("unix:"))
    account = find_account(host.proxy_user) if endpoint.address.startswith("unix:") and os.geteuid() == 0 else None
    if account is not None and path.exists() and not account.may(path, "w"):
        yield failure(
            "server",
            f"nginx ({host.proxy_user}) may not connect to {path} ({describe(path)})",
            f"set SocketGroup={host.proxy_user} and SocketMode=0660: systemctl edit {endpoint.unit}.socket",
        )


# Units


def check_units(case: Case) -> Checks:
    """The units that start with the host, and those that failed."""
    host = case.host
    dangling = sorted(link.name for link in host.units.glob("*.wants/dsg*") if link.is_symlink() and not link.exists())
    for name in dangling:
        yield failure("units", f"{name} is enabled, and its file is gone", f"make install, or systemctl disable {name}")
    if not host.has_systemd:
        yield warning("units", "systemd does not run here", "something else must keep dsgserve running")
        return
    if sockets := _list_enabled(host, "dsgserve*.socket"):
        yield ok("units", f"{', '.join(sockets)}: enabled")
    else:
        yield warning(
            "units",
            "no socket of dsgserve is enabled: nothing serves after a restart of the host",
            "systemctl enable --now dsgserve.socket dsgserve",
        )
    for name in _wanted_timers(case.config):
        if _list_enabled(host, name):
            yield ok("units", f"{name} is enabled")
        else:
            yield warning("units", f"{name} is not enabled", f"systemctl enable --now {name}")
    for line in _systemctl("list-units", "dsg*", "--state=failed", "--plain", "--no-legend").splitlines():
        name = line.split()[0]
        yield failure(
            "units", f"{name} failed when it last ran", f"journalctl -u {name} -n 20; systemctl restart {name}"
        )


def _wanted_timers(config: Config) -> list[str]:
    return ["dsg-prune.timer", *(["dsg-backup.timer"] if config.backup_dir is not None else [])]


def _list_enabled(host: Host, pattern: str) -> list[str]:
    """The units that start with the host, from systemd's links, which exist even if systemd does not run."""
    return sorted({link.name for link in host.units.glob(f"*.wants/{pattern}")})


def _systemctl(*words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  constant words, and names of units
            ["systemctl", *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
