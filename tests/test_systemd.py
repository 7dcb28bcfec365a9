"""The units are what systemd accepts."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="apt-get install systemd")
def test_systemd_has_nothing_to_say_of_the_unit(tmp_path: Path) -> None:
    """Only the path of the program is replaced: it is installed on no machine that tests."""
    unit = (ROOT / "systemd" / "dsgserve.service").read_text()
    assert "/opt/dsg/bin/dsgserve" in unit
    (tmp_path / "dsgserve.service").write_text(unit.replace("/opt/dsg/bin/dsgserve", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "dsgserve.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "dsgserve" in line]
    assert done.returncode == 0 and not said, done.stderr
