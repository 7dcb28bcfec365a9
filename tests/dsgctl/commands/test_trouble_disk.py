"""A disk that is full, or refuses: an error, and nothing is lost."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World
from tests.patience import PATIENCE

# A full disk


def test_a_full_disk_loses_nothing(filled: World) -> None:
    """On a small file system of our own, where the kernel lets us make one."""
    mount = ["unshare", "--map-root-user", "--mount"] if os.geteuid() else ["unshare", "--mount"]
    small = filled.directory / "small"
    small.mkdir()
    try_it = f"mount -t tmpfs -o size=2m none {small}"
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    if subprocess.run([*mount, "sh", "-c", try_it], capture_output=True, check=False).returncode:
        pytest.skip("no file systems can be mounted here")
    filled.run.shell("true")  # puts dsgctl on a path
    script = f"""
        {try_it} && cd {small} && cp {filled.database} dsg.sqlite3 || exit 99
        export DATABASE_PATH={small}/dsg.sqlite3
        dsgctl user list -o value > before
        head -c 60000 /dev/zero > spare
        cat /dev/zero > filler 2> /dev/null
        dsgctl group add lab-9; echo "no room to begin: $?"
        rm spare
        dsgctl user set ada@example.org --note {"n" * 99_000}; echo "no room to end: $?"
        rm filler
        dsgctl user list -o value | cmp - before && echo "the same as before"
        dsgctl db check
        dsgctl group add lab-9; echo "again: $?"
    """
    process = subprocess.run(
        [*mount, "bash", "-c", script],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        cwd=filled.directory,
        env=filled.run.environment(PATH=f"{filled.directory}/bin:{os.environ['PATH']}"),
    )
    out, err = process.stdout.decode(), process.stderr.decode()
    assert "no room to begin: 1" in out, (out, err)
    assert "no room to end: 1" in out, (out, err)
    first, second = err.splitlines()
    assert first.startswith("dsgctl: ")
    assert "space" in first
    assert "cannot grow: the disk is full; free some space, then try again; nothing was changed" in second
    assert "the same as before" in out
    assert "is sound" in out
    assert "added group lab-9" in out
    assert "again: 0" in out


def test_a_file_that_may_not_grow_loses_nothing(filled: World) -> None:
    before = dump(filled.database)
    blocks = filled.database.stat().st_size // 1024
    note = "n" * 99_000
    write = f"dsgctl user set ada@example.org --note ${{i}}{note} > /dev/null"
    result = filled.run.shell(f"ulimit -f {blocks}; for i in 1 2 3 4 5 6 7 8 9; do {write} || exit; done")
    assert result.code == 1
    assert is_one_line(result), result
    assert str(filled.database) in result.err
    filled.quick("db", "check").ok()
    assert dump(filled.database)["grants"] == before["grants"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "line",
    [
        "user list",
        "user list -o json",
        "user list -o csv",
        "user show ada@example.org",
        "export",
        "--help",
        "completion bash",
        "--version",
    ],
)
def test_an_answer_that_cannot_be_written_is_an_error(filled: World, line: str) -> None:
    result = filled.run.shell(f"dsgctl {line} > /dev/full")
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1, result
    assert "No space left on device" in result.err
