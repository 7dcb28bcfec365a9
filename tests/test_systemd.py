"""The units are what systemd accepts, and leave a server little that it could break."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).parent.parent
UNITS = [file for file in sorted((ROOT / "systemd").iterdir()) if file.suffix != ".sudoers"]

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="apt-get install systemd")


def analyze_units(place: Path, *words: str) -> str:
    """What ``systemd-analyze`` says of the units; only the paths of programs are replaced: none is installed."""
    for unit in UNITS:
        # A template is tried as its first instance too.
        for name in {unit.name, unit.name.replace("@", "@1")}:
            text = unit.read_text()
            (place / name).write_text(re.sub(r"/opt/dsg/bin/\w+", "/bin/true", text))
    process = subprocess.run(
        ["systemd-analyze", *words], cwd=place, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert process.returncode == 0, process.stderr
    return process.stdout + "".join(line for line in process.stderr.splitlines(True) if "dsg" in line)


def test_systemd_has_nothing_to_say_of_the_units(tmp_path: Path) -> None:
    names = [f"./{unit.name.replace('@', '@1')}" for unit in UNITS]
    assert analyze_units(tmp_path, "verify", "--man=no", *names) == ""


@pytest.mark.parametrize("unit", [unit.name for unit in UNITS if unit.suffix == ".service"])
def test_a_service_may_do_little(tmp_path: Path, unit: str) -> None:
    report = analyze_units(tmp_path, "security", "--offline=true", "--no-pager", f"./{unit.replace('@', '@1')}")
    rated = re.search(r"Overall exposure level for \S+ (\d+\.\d)", report)
    assert rated is not None and float(rated[1]) <= 1.5, report


def test_the_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "bad.service").write_text("[Service]\nExecStart=/bin/true\nProtectSystm=yes\n")
    process = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "./bad.service"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ProtectSystm" in process.stderr


def test_several_processes_are_each_as_the_one() -> None:
    for name in ("dsgserve@.service", "dsgserve@.socket"):
        assert (ROOT / "systemd" / name).read_text() == (ROOT / "systemd" / name.replace("@", "")).read_text()
