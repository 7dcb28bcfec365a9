"""A team lead over ssh, with a real sshd, and nothing beyond it: delegation.md, "Give delegates ssh access"."""

import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsgctl.core import datasets, grants, groups, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.local import free_port, wait_until
from tests.patience import PATIENCE

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(
    not Path(SSHD).exists() or os.geteuid() != 0, reason="apt-get install openssh-server, as root"
)
PAGE = Path(__file__).parents[2] / "dsgctl" / "guide" / "delegation.md"
ADA = "ada@example.org"
Ssh = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ssh(database: Database, path: Path, tmp_path: Path) -> Iterator[Ssh]:
    """Runs ssh with ada's key, which the manual's line is for."""
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, ADA)
        users.add(change, "bo@example.org")
        groups.add(change, "lab-1")
        groups.add_member(change, "lab-1", ADA, leads=True)
        datasets.add(change, "fish2")
        grants.add(change, principal_subject(ada), Target("fish2", "manage"))
    for name in ("host", "ada", "nobody"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    program = tmp_path / "dsgctl"
    program.write_text(f'#!/bin/sh\nDATABASE_PATH={path} exec {sys.executable} -m dsgctl "$@"\n')
    program.chmod(0o755)
    line = next(line for line in PAGE.read_text().splitlines() if line.startswith('command="/opt/dsg/bin/dsgctl --as'))
    line = line.replace("/opt/dsg/bin/dsgctl", str(program)).partition(" ssh-ed25519 ")[0]
    lines = [f"{line} {(tmp_path / 'ada.pub').read_text()}"]
    lines += [f"{line.replace(ADA, chr(39) * 2)} {(tmp_path / 'nobody.pub').read_text()}"]  # a variable that is unset
    (tmp_path / "authorized_keys").write_text("".join(lines))
    port = free_port()
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized_keys\n"
        f"PidFile {tmp_path}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=subprocess.DEVNULL)
    wait_until((tmp_path / "pid").exists, event="sshd")

    def run(
        *words: str, options: tuple[str, ...] = (), input: str = "", key: str = "ada"
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [
                "ssh",
                "-F",
                "none",
                "-i",
                tmp_path / key,
                "-p",
                str(port),
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                f"UserKnownHostsFile={tmp_path}/known",
                "-o",
                "LogLevel=ERROR",
                "-o",
                "IdentitiesOnly=yes",
                *options,
                f"{getpass.getuser()}@127.0.0.1",
                "--",
                *words,
            ],
            input=input,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    yield run
    server.terminate()
    server.wait(timeout=PATIENCE)


def test_a_lead_manages_their_people_over_ssh_and_the_audit_log_records_it(ssh: Ssh, database: Database) -> None:
    command = ssh("group member add lab-1 bo@example.org")
    assert (command.returncode, command.stdout) == (0, "made bo@example.org a member of group lab-1\n"), command
    assert ssh("grant add fish2 view --user bo@example.org --scope lab-1").returncode == 0
    answer = json.loads(ssh("access check", ADA, "fish2 manage -o json").stdout)
    assert answer == {"allowed": True, "reason": "granted"}
    several = ssh(input=f"access check {ADA} fish2 manage\nuser list\naccess check {ADA} fish2 view\n")
    assert (several.stdout, several.returncode) == ("yes\n", 5)  # the first that fails ends it


@pytest.mark.parametrize("words", ["user list", "db info", "", f"user show {ADA}"])
def test_an_empty_name_in_the_forced_command_lets_nobody_in(ssh: Ssh, words: str) -> None:
    command = ssh(*filter(None, [words]), key="nobody", input="user list\n")
    assert (command.returncode, command.stdout) == (5, ""), command


def test_grants_made_by_a_lead_end_with_the_permission_of_the_lead(ssh: Ssh, database: Database) -> None:
    assert ssh("group member add lab-1 bo@example.org").returncode == 0
    assert ssh("grant add fish2 view --user bo@example.org --scope lab-1").returncode == 0
    with begin_change(database, "os:test") as change:
        grants.revoke(change, principal_subject(users.find(database, ADA)), Target("fish2", "manage"))
    assert list(grants.list_grants(database, dataset="fish2")) == []
    assert ssh("grant add fish2 view --user bo@example.org --scope lab-1").returncode == 5


@pytest.mark.parametrize(
    "words",
    [
        "user list",
        "db info",
        "--as bo@example.org access show bo@example.org",
        "sh",
        "-c id",
        "access show x; id",
        "$(id)",
        "dsgctl --env-file /etc/passwd status",
    ],
)
def test_a_lead_cannot_run_other_commands_over_ssh(ssh: Ssh, words: str) -> None:
    command = ssh(words)
    assert command.returncode in (2, 5) and command.stdout == "", command
    assert "uid=" not in command.stderr


def test_ssh_refuses_tunnels_and_other_environments(ssh: Ssh) -> None:
    port = free_port()
    command = ssh(
        "access check", ADA, "fish2 manage", options=("-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:1")
    )
    assert command.returncode != 0 and command.stdout == ""
    command = ssh(f"access check {ADA} fish2 manage", options=("-o", "SetEnv=DATABASE_PATH=/nowhere PYTHONSTARTUP=/x"))
    assert command.stdout == "yes\n"
