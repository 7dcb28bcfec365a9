"""Which release it is: the commit that was written down, or that of the checkout, read without git."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsgctl import __version__
from dsgctl.release import COMMIT_FILE, VERSION, find_commit, name_release

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef" * 2 + "01234567"
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")


def git(place: Path, *words: str) -> str:
    return subprocess.run([*GIT, *words], cwd=place, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of some commits, with a file as git archive fills it in."""
    place = tmp_path / "checkout"
    (place / "dsgctl").mkdir(parents=True)
    (place / "pyproject.toml").touch()
    shutil.copy(ROOT / ".gitattributes", place)
    (place / "dsgctl" / "COMMIT").write_text("$Format:%H$\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(place))
    git(place, "add", ".")
    git(place, "commit", "--quiet", "--message=one")
    return place


def test_a_checkout_is_of_its_commit_however_git_keeps_it(checkout: Path, tmp_path: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert find_commit(checkout) == head
    git(checkout, "pack-refs", "--all")
    assert find_commit(checkout) == head
    git(checkout, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"))
    git(tmp_path / "tree", "commit", "--quiet", "--allow-empty", "--message=two")
    assert find_commit(tmp_path / "tree") == git(tmp_path / "tree", "rev-parse", "HEAD") != head
    git(checkout, "checkout", "--quiet", "--detach")
    assert find_commit(checkout) == head


def test_a_tarball_is_of_the_commit_that_it_was_made_of(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "archive", "--prefix=x/", "--output", str(tmp_path / "x.tar"), "HEAD")
    subprocess.run(["tar", "--extract", "--file", tmp_path / "x.tar"], cwd=tmp_path, check=True)
    assert find_commit(tmp_path / "x") == git(checkout, "rev-parse", "HEAD")


def test_a_wheel_is_of_the_commit_that_it_was_made_of(tmp_path: Path) -> None:
    from tests.e2e.test_install import clone, run

    place = clone(tmp_path / "clone")
    (place / "dsgctl" / "COMMIT").write_text(f"{COMMIT}\n")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", ".", cwd=place)
    (wheel,) = (place / "dist").glob(f"dsgctl-{VERSION}+g{COMMIT[:12]}-*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    assert find_commit(tmp_path / "site") == COMMIT


@pytest.mark.parametrize("content", ["", "$Format:%H$", "main", "0" * 39, "g" * 40, "../../etc/passwd"])
def test_a_release_without_a_commit_is_the_version_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "dsgctl").mkdir()
    (tmp_path / "dsgctl" / "COMMIT").write_text(content)
    (tmp_path / ".git").mkdir()  # of somebody else: it has no pyproject.toml beside it
    (tmp_path / ".git" / "HEAD").write_text(COMMIT)
    assert find_commit(tmp_path) is None
    assert name_release(None) == VERSION


def test_the_programs_print_the_release() -> None:
    assert __version__ == name_release(find_commit(COMMIT_FILE.parent.parent)) and __version__.startswith(VERSION)
    for program in ("dsgctl", "dsgserve"):
        process = subprocess.run(
            [sys.executable, "-m", program, "--version"], capture_output=True, text=True, check=True
        )
        assert process.stdout == f"{program} {__version__}\n"
