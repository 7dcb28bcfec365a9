"""Runs the commands of a Markdown page, as a reader would: all its ```sh blocks, in one shell."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.patience import PATIENCE

PROGRAMS = Path(sys.executable).parent
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```", re.DOTALL | re.MULTILINE)

# What a test machine does not have, and what the first-steps page leaves behind.
PRELUDE = """set -euo pipefail
set -m
systemctl() { true; }
journalctl() { true; }
"""
FIRST_DATASET = """dsgctl db migrate
dsgctl group add lab-1
dsgctl dataset add fish2 --description 'A zebrafish brain'
dsgctl grant add fish2 view --group lab-1
dsgctl user add ada@example.org --name 'Ada Lovelace'
dsgctl group member add lab-1 ada@example.org --lead
"""


def shell_blocks(text: str) -> list[str]:
    """The commands that a page marks as runnable, block by block."""
    return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in _BLOCK.findall(text)]


def run_script(script: str, directory: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a script in a directory, with a database there that does not exist yet.

    Returns:
        What it printed. Each of its commands must succeed.
    """
    settings = {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "HOME": str(directory),
        "DATABASE_PATH": str(directory / "dsg.sqlite3"),
        "DSG_PORT": str(find_free_port()),
        **(environment or {}),
    }
    result = subprocess.run(
        ["bash", "-c", PRELUDE + script],
        cwd=directory,
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def find_free_port() -> int:
    """A port of this machine that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
