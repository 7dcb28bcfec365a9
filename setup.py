"""Writes into a wheel of which commit it is (dsgctl/release.py). All else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()
sys.path.insert(0, str(ROOT))

from dsgctl.release import find_commit  # noqa: E402  from here, and not from what may be installed


class BuildPy(build_py):
    """Copies the packages, then writes the commit."""

    def run(self) -> None:
        super().run()
        commit = find_commit(ROOT)
        if commit and not self.editable_mode:
            (Path(self.build_lib) / "dsgctl" / "COMMIT").write_text(f"{commit}\n", encoding="ascii")


setup(cmdclass={"build_py": BuildPy})
