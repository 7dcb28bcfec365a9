"""README is short, its first steps run, and it leads to every page of the manual."""

import re
from pathlib import Path

from dsgctl import guide
from tests.guide_run import PROGRAMS, run_script, shell_blocks

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_first_steps_run_as_written(tmp_path: Path) -> None:
    """Everything but the installation, which `make` has done for the tests."""
    script = "\n".join(shell_blocks(README.partition("## First steps")[2].partition("\n## ")[0]))
    script = re.sub(r"^python3 -m venv .*$", "", script, flags=re.MULTILINE)
    script = script.replace("$PWD/.venv/bin", str(PROGRAMS)).replace(":8200", ":$DSG_PORT")
    printed = run_script(script, tmp_path)
    assert '"permissions_v2":{"fish2":["view"]}' in printed
    assert "ada@example.org may not edit fish2" in printed
    assert "group.member.add" in printed


def test_it_fits_two_screens() -> None:
    assert len(README.splitlines()) <= 100


def test_it_links_to_every_page_of_the_manual() -> None:
    linked = set(re.findall(r"\(dsgctl/guide/([a-z-]+)\.md\)", README))
    assert linked == set(guide.TOPICS)
