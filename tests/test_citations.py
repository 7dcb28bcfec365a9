"""A reader of the source can look up what it cites: a page of this repository with that heading, or a public URL."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsgctl import guide

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": ROOT / "README.md",
    "CHANGELOG.md": ROOT / "CHANGELOG.md",
    "contract.md": ROOT / "dsgserve" / "contract.md",
    "contract-services.md": ROOT / "dsgserve" / "contract-services.md",
    **{f"{topic}.md": guide.DIRECTORY / f"{topic}.md" for topic in guide.TOPICS},
}
_FILES = ("dsgctl/**/*", "dsgserve/**/*", "tests/**/*.py", "systemd/*", "nginx/*", "Makefile", "*.toml", "*.md")
_SUFFIXES = {".py", ".sql", ".md", ".toml", ".conf", ".service", ".socket", ".timer", ".tpl", ".css", ".js"}
SOURCES = [
    path
    for pattern in _FILES
    for path in sorted(ROOT.glob(pattern))
    if (path.suffix in _SUFFIXES or path.name == "Makefile") and "node_modules" not in path.parts
]
SAMPLES = {"fish2.md"}  # of examples, which write it
# A page, and the heading in it: contract.md, "The token on a request". A line may end between the two.
_CITATION = re.compile(r'(?<![\w/.-])(?P<page>[\w.-]+\.md)\b(?P<heading>,\s+"[^"]+")?')


def prose(path: Path) -> str:
    """The comments and docstrings of a Python file, and the whole of any other, on one line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        text = "\n".join(token.string for token in tokens if _is_prose(token))
    return re.sub(r"\s*\n\s*(?:#|--|//)?\s*", " ", text)


def _is_prose(token: tokenize.TokenInfo) -> bool:
    is_docstring = token.type == tokenize.STRING and token.string.startswith('"""')
    return token.type == tokenize.COMMENT or is_docstring


def citations(path: Path) -> Iterator[tuple[str, str]]:
    """The pages that a file cites, each with the heading; empty if it names none."""
    text = re.sub(r"https?://\S+", "", prose(path))
    for match in _CITATION.finditer(text):
        yield match["page"], (match["heading"] or "").strip(', "')


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_file_cites_can_be_looked_up(path: Path) -> None:
    for page, heading in citations(path):
        if page in SAMPLES or (path.suffix == ".md" and page not in PAGES):
            continue  # a file that the commands of the page write
        assert page in PAGES, f"{page} is not in this repository"
        needs_heading = path.suffix in (".py", ".sql") and page not in ("README.md", "CHANGELOG.md")
        assert heading or not needs_heading, f"which heading of {page}?"
        assert not heading or heading in guide.list_headings(PAGES[page].read_text(encoding="utf-8")), (page, heading)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_topic_of_the_manual_that_is_named_exists(path: Path) -> None:
    if path.suffix == ".py" and "tests" in path.parts:
        return
    for topic in re.findall(r"dsgctl help ([a-z][a-z-]+)", path.read_text(encoding="utf-8")):
        assert topic in guide.TOPICS, topic


@pytest.mark.parametrize("path", sorted((ROOT / "dsgctl").rglob("*.py")), ids=lambda path: path.name)
def test_a_message_points_to_the_manual_that_is_installed(path: Path) -> None:
    """And not to README, which only those who have a checkout can read."""
    assert "README" not in path.read_text(encoding="utf-8")
