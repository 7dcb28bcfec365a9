"""The processes, their sockets and their units."""

import os
import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from dsgctl.store import process_registry
from tests.dsgctl.operations.doctor.installation import IS_ROOT, Installation, running_server
from tests.dsgctl.operations.doctor.listener import listening_server
from tests.dsgctl.operations.doctor.planting import Examine, Fault, each_fault, find_row, require_reported
from tests.e2e.conftest import run_server
from tests.e2e.local import free_port, wait_until

FAULTS: list[Fault] = [
    (
        "enabled unit is gone",
        lambda here: (here.units / "dsgserve.socket").unlink(),
        "units",
        "failed",
        ("dsgserve.socket is enabled, and its file is gone",),
    ),
    (
        "enabled and not there",
        lambda here: (here.units / "sockets.target.wants" / "dsgserve@2.socket").symlink_to(
            here.units / "dsgserve.socket"
        ),
        "server",
        "failed",
        ("dsgserve@2.socket is enabled, and", "systemctl start"),
    ),
]


@each_fault(FAULTS)
def test_a_planted_fault_is_reported(fault: Fault, here: Installation, examine: Examine) -> None:
    require_reported(fault, here, examine)


def test_doctor_asks_the_port_where_there_is_no_socket(here: Installation, examine: Examine, tmp_path: Path) -> None:
    host = replace(here.host, sockets=tmp_path)
    (here.units / "sockets.target.wants" / "dsgserve.socket").unlink()
    here.write(DSG_PORT=str(free_port()))
    find_row(
        examine(host=host)[1], "server", "failed", "connection refused, no server runs there", "start it: dsgserve"
    )
    for answer, part in (
        (b"SSH-2.0-x\r\n", "something other than dsgserve answers on"),
        (None, "sent nothing for 5 s"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "something other"),
        (b"", "does not answer"),
    ):
        with listening_server(answer) as port:
            here.write(DSG_PORT=str(port))
            find_row(examine(host=host)[1], "server", "failed", part, f"127.0.0.1:{port}")


def test_doctor_asks_each_of_several_processes(
    here: Installation, examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = here.place / "run"
    sockets.mkdir()
    host = replace(here.host, sockets=sockets)
    wants = here.units / "sockets.target.wants"
    (wants / "dsgserve.socket").unlink()
    with ExitStack() as stack:
        for number in (1, 2):
            stack.enter_context(running_server(sockets / f"dsgserve@{number}.sock", here.database, here.site.origin))
            (wants / f"dsgserve@{number}.socket").symlink_to(here.units / "dsgserve.socket")
        wait_until(
            lambda: len(process_registry.list_running(here.database, now=time.time())) == 2,
            event="both processes are registered",
        )
        _, rows = examine(host=host)
        for number in (1, 2):
            find_row(rows, "server", "ok", f"answers on unix:{sockets}/dsgserve@{number}.sock")
        assert len([row for row in rows if row["check"] == "server"]) == 2
        monkeypatch.setattr("dsgctl.operations.doctor.server.__version__", "0.1.0+gnew")
        find_row(examine(host=host)[1], "server", "failed", "runs release", "dsgserve@2.sock", "this is 0.1.0+gnew")
    (sockets / "dsgserve@2.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as left:  # of a server that was killed
        left.bind(str(sockets / "dsgserve@2.sock"))
    find_row(examine(host=host)[1], "server", "failed", "dsgserve@2.sock: connection refused, its file was left")


def test_doctor_finds_a_server_on_another_port_by_its_registration(
    here: Installation, examine: Examine, tmp_path: Path
) -> None:

    with run_server(here.database, tmp_path) as server:
        wait_until(
            lambda: bool(process_registry.list_running(here.database, now=time.time())),
            event="the process is registered",
        )
        _, rows = examine(host=replace(here.host, sockets=tmp_path))
        find_row(rows, "server", "ok", f"answers on {server.origin.removeprefix('http://')}")


@pytest.mark.skipif(not IS_ROOT, reason="only root may try as another user")
def test_nginx_must_be_let_through_to_the_socket(here: Installation, examine: Examine) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        path = here.place / "run" / "dsgserve.sock"
        path.parent.mkdir()
        listening.bind(str(path))
        path.chmod(0o600)
        _, rows = examine(host=replace(here.host, sockets=path.parent, proxy_user="nobody"))
        find_row(rows, "server", "failed", "nginx (nobody) may not connect to", "SocketGroup=nobody")


def test_doctor_asks_systemd_where_it_runs(
    here: Installation, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of that name stands in for systemd: it is not to be had in a test."""
    program = here.place / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$1" in is-active) echo failed;; '
        '*) echo "dsg-backup.service loaded failed failed DatasetGateway backup";; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(os, "defpath", f"{program.parent}:{os.defpath}")
    host = replace(here.host, systemd=here.place, sockets=here.place / "absent")
    here.write(DSG_PORT=str(free_port()))
    _, rows = examine(host=host)
    find_row(rows, "server", "failed", "connection refused", "dsgserve.service is failed", "journalctl -u dsgserve")
    find_row(rows, "units", "failed", "dsg-backup.service failed when it last ran", "journalctl -u dsg-backup.service")
    find_row(rows, "units", "ok", "dsgserve.socket: enabled")
    find_row(rows, "units", "warning", "dsg-prune.timer is not enabled", "systemctl enable --now dsg-prune.timer")
    for link in (here.units / "sockets.target.wants").iterdir():
        link.unlink()
    find_row(examine(host=host)[1], "units", "warning", "no socket of dsgserve is enabled")
