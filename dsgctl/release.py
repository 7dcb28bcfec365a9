"""The release: its version, and the commit that it was built from, which tells two builds of a version apart."""

from pathlib import Path

VERSION = "0.1.0"
# The commit, which setup.py writes into a wheel, and git into a tarball (.gitattributes, export-subst).
COMMIT_FILE = Path(__file__).with_name("COMMIT")


def find_commit(root: Path = COMMIT_FILE.parent.parent) -> str | None:
    """The commit of the programs below ``root``; None if it is not recorded.

    It is read without git, which a server need not have, and which refuses another user's checkout.
    """
    try:
        commit = (root / "dsgctl" / "COMMIT").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commit = ""
    if _is_commit(commit):
        return commit
    try:
        return _read_head(root / ".git") if (root / "pyproject.toml").exists() else None
    except (OSError, ValueError):
        return None


def _is_commit(text: str) -> bool:
    """Whether a text is a SHA-1 or a SHA-256. Not a pattern, which each start would compile."""
    return len(text) in (40, 64) and set(text) <= set("0123456789abcdef")


def _read_head(git: Path) -> str | None:
    """The commit that HEAD names (https://git-scm.com/docs/gitrepository-layout), in a worktree too."""
    if git.is_file():
        git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    head = (git / "HEAD").read_text().strip()
    if _is_commit(head):
        return head
    name = head.removeprefix("ref:").strip()
    common = git / "commondir"
    directories = [git, *([(git / common.read_text().strip()).resolve()] if common.exists() else [])]
    for directory in directories:
        if (directory / name).exists():
            return (directory / name).read_text().strip()
        packed = directory / "packed-refs"
        for line in packed.read_text().splitlines() if packed.exists() else []:
            if line.endswith(f" {name}"):
                return line.split()[0]
    return None


def name_release(commit: str | None) -> str:
    """``0.1.0+g0f373b9abc12``, a local version (https://packaging.python.org/specifications/version-specifiers)."""
    return f"{VERSION}+g{commit[:12]}" if commit else VERSION


RELEASE = name_release(find_commit())
