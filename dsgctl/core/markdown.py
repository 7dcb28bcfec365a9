"""The Markdown of terms: which texts are accepted, and their HTML.

The syntax is CommonMark with tables, without HTML and images, and with links to the web and to mail only. An accepted
text can be rendered at a bounded cost. A text beyond that, from an import or the sqlite3 shell, is shown as plain text.
"""

import re
from html import escape
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from dsgctl.core import validation
from dsgctl.core.errors import Invalid

MAX_MARKS: Final = 10_000  # lines and characters with a meaning: ten times those of a usual licence
MAX_PARTS: Final = 50_000  # paragraphs, items and cells: a short table can have very many cells
MAX_HTML: Final = 1_000_000  # characters: many links can refer to one long address

_MARKS = re.compile(r"[\n\t*_\[\]!<>&|`~#=\\]")
_BLANK = re.compile(r"\n[ \t]*\n")


class _TooMuch(Exception):
    """It costs too much to render the text."""


def require(text: str, noun: str) -> str:
    """Return a text that can be rendered at a bounded cost.

    Args:
        noun: what the text is, for messages.

    Raises:
        Invalid: it is too long, has control characters, or costs too much to render.
    """
    validation.multiline(text, noun)
    try:
        _render(text, 2)
    except _TooMuch:
        raise Invalid(
            f"the {noun} has too many lines, signs of Markdown, cells of tables or links",
            f"use at most {MAX_MARKS} lines and signs such as * _ [ < and |, or divide it",
        ) from None
    return text


def render(text: str, top: int = 2) -> str:
    """Harmless HTML; a text that costs too much to render becomes plain text.

    Args:
        top: the level of the highest heading, from 1 to 6; levels below it have no gaps.
    """
    try:
        return _render(text, top)
    except _TooMuch:
        return f"<pre>{escape(text)}</pre>"


def _render(text: str, top: int) -> str:
    if len(text) > validation.MAX_TEXT or len(_MARKS.findall(text)) > MAX_MARKS:
        raise _TooMuch
    if any(_count_cells(block) > MAX_PARTS for block in _BLANK.split(text)):
        raise _TooMuch
    tokens = _MARKDOWN.parse(text)
    _set_levels(tokens, top)
    if sum(map(_estimate_size, tokens)) > MAX_HTML:
        raise _TooMuch
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _count_cells(block: str) -> int:
    """The largest number of cells that a table can have: the parser fills short rows."""
    rows = block.split("\n")
    return len(rows) * max(row.count("|") for row in rows)


def _estimate_size(token: Token) -> int:
    """The approximate number of characters of the HTML of a token."""
    own = len(token.content) + sum(len(str(value)) for value in token.attrs.values()) + 20
    return own + sum(map(_estimate_size, token.children or ()))


def _set_levels(tokens: list[Token], top: int) -> None:
    """Give headings levels without gaps, for people who navigate a page by them (WCAG 1.3.1)."""
    above: list[int] = []  # the levels in the text of the headings above the next one
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1])
            while above and above[-1] >= level:
                above.pop()
            above.append(level)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, top + len(above) - 1)}"


class _Markdown(MarkdownIt):
    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        self.enable("table").disable("image")
        self.core.ruler.after("block", "limit", _limit_parts)
        self.add_render_rule("link_open", _open_link)
        self.add_render_rule("table_open", _begin_table)
        self.add_render_rule("table_close", _end_table)

    def validateLink(self, url: str) -> bool:  # noqa: N802  the library's name
        return re.match(r"(https?://|mailto:)", url, re.IGNORECASE | re.ASCII) is not None


def _limit_parts(state: StateCore) -> None:
    if len(state.tokens) > MAX_PARTS:
        raise _TooMuch


def _open_link(renderer: RendererHTML, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    """A link opens in another tab: in the popup, there is no way back from it."""
    tokens[index].attrSet("target", "_blank")
    tokens[index].attrSet("rel", "noopener noreferrer")
    return renderer.renderToken(tokens, index, options, env)


def _begin_table(renderer: RendererHTML, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    """A wide table scrolls sideways by itself, also with the keyboard, and the page does not."""
    return '<div class="wide" role="group" aria-label="Table" tabindex="0"><table>\n'


def _end_table(renderer: RendererHTML, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


_MARKDOWN = _Markdown()
