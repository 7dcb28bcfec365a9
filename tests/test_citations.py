"""A reader of the source can look up what it cites: a page of this repository with that heading, or a public URL."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

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


def _find_fault(path: Path, page: str, heading: str) -> str | None:
    """Why a citation cannot be looked up; None if it can."""
    if page in SAMPLES or (path.suffix == ".md" and page not in PAGES):
        return None  # a file that the commands of the page write
    if page not in PAGES:
        return "is not in this repository"
    needs_heading = path.suffix in (".py", ".sql") and page not in ("README.md", "CHANGELOG.md")
    if needs_heading and not heading:
        return "which heading?"
    if heading and heading not in guide.list_headings(PAGES[page].read_text(encoding="utf-8")):
        return "has no such heading"
    return None


def test_what_a_file_cites_can_be_looked_up() -> None:
    faults = [
        (path.relative_to(ROOT).as_posix(), page, heading, fault)
        for path in SOURCES
        for page, heading in citations(path)
        if (fault := _find_fault(path, page, heading))
    ]
    assert not faults


def test_a_topic_of_the_manual_that_is_named_exists() -> None:
    unknown = [
        (path.relative_to(ROOT).as_posix(), topic)
        for path in SOURCES
        if not (path.suffix == ".py" and "tests" in path.parts)
        for topic in re.findall(r"dsgctl help ([a-z][a-z-]+)", path.read_text(encoding="utf-8"))
        if topic not in guide.TOPICS
    ]
    assert not unknown


def test_a_message_points_to_the_manual_that_is_installed() -> None:
    """And not to README, which only those who have a checkout can read."""
    paths = (ROOT / "dsgctl").rglob("*.py")
    assert not [path.name for path in paths if "README" in path.read_text(encoding="utf-8")]
