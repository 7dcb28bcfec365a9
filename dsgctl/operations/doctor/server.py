"""The processes that run: on which sockets they answer, with which release, and what keeps them running."""

import os
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsgctl import __version__
from dsgctl.config import Config
from dsgctl.core import clock
from dsgctl.json_text import NotJson, parse_object
from dsgctl.operations.doctor.account import describe, find_account
from dsgctl.operations.doctor.check import Case, Check, Checks, Host, failed, ok, warning
from dsgctl.store import process_registry
from dsgctl.store.process_registry import Process

SECONDS = 5
_LONGEST = 64 * 1024  # bytes of an answer about health; more is none


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, or should.

    Attributes:
        address: ``unix:PATH`` or ``HOST:PORT``.
        process: who says that it listens there, if anybody does.
    """

    address: str
    process: Process | None = None

    @property
    def unit(self) -> str:
        match = re.fullmatch(r"unix:.*/(dsgserve(?:@[^/]+)?)\.sock", self.address)
        return match[1] if match else "dsgserve"


def find_endpoints(case: Case) -> list[Endpoint]:
    """Every socket that a unit holds or a process listens on; that of DSG_PORT if there is none."""
    endpoints = {f"unix:{path}": Endpoint(f"unix:{path}") for path in sorted(case.host.sockets.glob("dsgserve*.sock"))}
    for process in process_registry.list_running(case.config.database, now=clock.seconds()):
        for address in process.listening:
            endpoints[address] = Endpoint(address, process)
    default = f"127.0.0.1:{case.config.port}"
    return list(endpoints.values()) or [Endpoint(default)]


def check_servers(case: Case) -> Checks:
    endpoints = find_endpoints(case)
    for endpoint in endpoints:
        yield _check_endpoint(endpoint, case)
        yield from _check_proxy_access(endpoint, case.host)
    for unit in _enabled(case.host, "dsgserve*.socket"):
        path = case.host.sockets / f"{unit.removesuffix('.socket')}.sock"
        if not path.exists():
            yield failed("server", f"{unit} is enabled, and {path} is not there", f"systemctl start {unit}")


def _check_endpoint(endpoint: Endpoint, case: Case) -> Check:
    where = endpoint.address
    do = f"systemctl status {endpoint.unit}; journalctl -u {endpoint.unit} -n 20"
    if not case.host.has_systemd:
        do = "start it: dsgserve"
    try:
        status, body = ask(where)
    except ConnectionRefusedError:
        kind = "its file was left by a server that has ended" if where.startswith("unix:") else "no server runs there"
        return failed("server", f"does not answer on {where}: connection refused, {kind}{_state(endpoint, case)}", do)
    except FileNotFoundError:
        return failed("server", f"does not answer on {where}: there is no such socket{_state(endpoint, case)}", do)
    except PermissionError:
        return failed("server", f"this user may not ask {where}", "run it as root: sudo dsgctl doctor")
    except TimeoutError:
        return failed(
            "server",
            f"does not answer on {where}: it took the connection and said nothing for {SECONDS} s",
            f"{do}; systemctl restart {endpoint.unit}" if case.host.has_systemd else "start it anew",
        )
    except OSError as error:
        return failed("server", f"does not answer on {where}: {error.strerror or 'it hung up'}", do)
    version = body.get("version")
    if status == 503:
        return failed(
            "server",
            f"answers 503 on {where}: it cannot use the database, or another release migrated it",
            f"dsgctl db check; systemctl restart {endpoint.unit}",
        )
    if status != 200 or version is None:
        return failed(
            "server",
            f"something else than dsgserve answers on {where} ({status or 'no HTTP'})",
            "set DSG_PORT to another, or stop what is there: ss -ltnp",
        )
    if version != __version__:
        return failed(
            "server",
            f"runs release {version} on {where}, this is {__version__}",
            f"systemctl restart {endpoint.unit}" if case.host.has_systemd else "start it anew",
        )
    return ok("server", f"answers on {where}, release {version}")


def _state(endpoint: Endpoint, case: Case) -> str:
    """What systemd says of the unit, and whether a process runs elsewhere."""
    if not case.host.has_systemd:
        return ""
    state = _systemctl("is-active", f"{endpoint.unit}.service") or "not there"
    return f"; {endpoint.unit}.service is {state}"


def ask(address: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of ``GET /health``; 0 for what is no HTTP.

    Raises:
        OSError: nobody answers.
    """
    with _connected(address) as client:
        client.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while len(answer) < _LONGEST and (part := client.recv(4096)):
            answer += part
    if not answer:
        raise ConnectionResetError
    head, _, body = answer.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    try:
        parsed = parse_object(body)
    except NotJson:
        parsed = {}
    return int(status[1]) if status else 0, parsed


def _connected(address: str) -> socket.socket:
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
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  where it listens, not we
    return socket.create_connection((everywhere.get(host, host), int(port)), timeout=SECONDS)


def _check_proxy_access(endpoint: Endpoint, host: Host) -> Checks:
    """nginx's workers are another user, who must be let through to the socket."""
    path = Path(endpoint.address.removeprefix("unix:"))
    account = find_account(host.proxy_user) if endpoint.address.startswith("unix:") and os.geteuid() == 0 else None
    if account is not None and path.exists() and not account.may(path, "w"):
        yield failed(
            "server",
            f"nginx ({host.proxy_user}) may not connect to {path} ({describe(path)})",
            f"set SocketGroup={host.proxy_user} and SocketMode=0660: systemctl edit {endpoint.unit}.socket",
        )


# What keeps them running


def check_units(case: Case) -> Checks:
    """What starts with the host, and what systemd gave up."""
    host = case.host
    dead = sorted(link.name for link in host.units.glob("*.wants/dsg*") if link.is_symlink() and not link.exists())
    for name in dead:
        yield failed("units", f"{name} is enabled, and its file is gone", f"make install, or systemctl disable {name}")
    if not host.has_systemd:
        yield warning("units", "systemd does not run here", "something else must keep dsgserve running")
        return
    if sockets := _enabled(host, "dsgserve*.socket"):
        yield ok("units", f"{', '.join(sockets)}: enabled")
    else:
        yield warning(
            "units",
            "no socket of dsgserve is enabled: nothing serves after a restart of the host",
            "systemctl enable --now dsgserve.socket dsgserve",
        )
    for name in _wanted_timers(case.config):
        if _enabled(host, name):
            yield ok("units", f"{name} is enabled")
        else:
            yield warning("units", f"{name} is not enabled", f"systemctl enable --now {name}")
    for line in _systemctl("list-units", "dsg*", "--state=failed", "--plain", "--no-legend").splitlines():
        name = line.split()[0]
        yield failed(
            "units", f"{name} failed when it last ran", f"journalctl -u {name} -n 20; systemctl restart {name}"
        )


def _wanted_timers(config: Config) -> list[str]:
    return ["dsg-prune.timer", *(["dsg-backup.timer"] if config.backup_dir is not None else [])]


def _enabled(host: Host, pattern: str) -> list[str]:
    """The units that start with the host: systemd's links, which are there whether or not it runs."""
    return sorted({link.name for link in host.units.glob(f"*.wants/{pattern}")})


def _systemctl(*words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  our own words
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
