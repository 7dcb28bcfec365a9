"""The manual: one Markdown page for each topic, in this directory. ``dsgctl help`` shows them.

A page begins with its title and a line that says what it is for, and ends with the section "Read next".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parent

# In the order in which an operator meets them.
TOPICS = (
    "install",
    "first-dataset",
    "sign-in",
    "people-and-groups",
    "terms",
    "tokens",
    "neuroglancer",
    "gate",
    "buckets",
    "cave",
    "neuprint-and-clio",
    "policy-files",
    "delegation",
    "backup-and-restore",
    "import",
    "export",
    "operate-and-upgrade",
    "scaling",
    "speed",
    "troubleshooting",
    "security",
    "settings",
    "commands",
    "architecture",
    "developing",
)


@dataclass(frozen=True, slots=True)
class Match:
    """A line of the manual that contains the word of a search.

    Attributes:
        topic: the page.
        heading: the nearest heading above the line, or the line itself.
        line: the line, without the marks of a heading.
    """

    topic: str
    heading: str
    line: str


def read_page(topic: str) -> str:
    """The Markdown text of a page.

    Args:
        topic: one of `TOPICS`.
    """
    return (DIRECTORY / f"{topic}.md").read_text(encoding="utf-8")


def read_purpose(topic: str) -> str:
    """The line below a page's title, which says what the page is for."""
    return read_page(topic).splitlines()[2]


def search_pages(word: str) -> Iterator[Match]:
    """The lines of the manual that contain a word, in any case, page by page."""
    for topic in TOPICS:
        for heading, line in _lines_with_headings(read_page(topic)):
            if word.casefold() in line.casefold():
                yield Match(topic, heading, line)


def list_headings(text: str) -> list[str]:
    """The headings of a Markdown text, in order."""
    return list(dict.fromkeys(heading for heading, _ in _lines_with_headings(text)))


def _lines_with_headings(text: str) -> Iterator[tuple[str, str]]:
    heading = ""
    in_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif line.startswith("#") and not in_code:
            heading = line.lstrip("#").strip()
            yield heading, heading
        elif line.strip() and not line.startswith("<!--"):
            yield heading, line.strip()
