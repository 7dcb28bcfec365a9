"""Which release this is: the version, and the commit that it was made of, so that no two are taken for one."""

import re
from pathlib import Path

VERSION = "0.1.0"
# The commit of a wheel, which setup.py writes, and of a tarball, where git puts it in (.gitattributes, export-subst).
COMMIT_FILE = Path(__file__).with_name("COMMIT")
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def find_commit(root: Path = COMMIT_FILE.parent.parent) -> str | None:
    """The commit of the programs below ``root``; None where nobody wrote it down.

    Read without git, which a server need not have, and which refuses a checkout of another user.
    """
    try:
        written = (root / "dsgctl" / "COMMIT").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        written = ""
    if _COMMIT.fullmatch(written):
        return written
    try:
        return _head(root / ".git") if (root / "pyproject.toml").exists() else None
    except (OSError, ValueError):
        return None


def _head(git: Path) -> str | None:
    """https://git-scm.com/docs/gitrepository-layout: HEAD, also of a worktree, whose refs are kept elsewhere."""
    if git.is_file():
        git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    head = (git / "HEAD").read_text().strip()
    if _COMMIT.fullmatch(head):
        return head
    name = head.removeprefix("ref:").strip()
    common = git / "commondir"
    places = [git, *([(git / common.read_text().strip()).resolve()] if common.exists() else [])]
    for place in places:
        if (place / name).exists():
            return (place / name).read_text().strip()
        packed = place / "packed-refs"
        for line in packed.read_text().splitlines() if packed.exists() else []:
            if line.endswith(f" {name}"):
                return line.split()[0]
    return None


def name_release(commit: str | None) -> str:
    """``0.1.0+g0f373b9abc12``, a local version (https://packaging.python.org/specifications/version-specifiers)."""
    return f"{VERSION}+g{commit[:12]}" if commit else VERSION


RELEASE = name_release(find_commit())
