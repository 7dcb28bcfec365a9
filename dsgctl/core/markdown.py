"""The Markdown of terms: which text may be kept, and the HTML that it becomes.

CommonMark and tables; no HTML, no images, links to the web and to mail only. What is kept can be shown at a bounded
cost; what another system or the sqlite3 shell brought beyond that is shown as it was typed.
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

MAX_MARKS: Final = 10_000  # lines and characters that mean something: ten times those of a usual licence
MAX_PARTS: Final = 50_000  # paragraphs, items and cells: a table of a few characters can have very many cells
MAX_HTML: Final = 1_000_000  # characters: one long address can be referred to very often

_MARKS = re.compile(r"[\n\t*_\[\]!<>&|`~#=\\]")
_BLANK = re.compile(r"\n[ \t]*\n")


class _TooMuch(Exception):
    """The text costs more to show than is allowed."""


def require(text: str, what: str) -> str:
    """A text that can be shown at a bounded cost.

    Raises:
        Invalid: it is too long, has control characters, or costs too much.
    """
    validation.multiline(text, what)
    try:
        _html(text, 2)
    except _TooMuch:
        raise Invalid(
            f"the {what} has too many lines, signs of Markdown, cells of tables or links",
            f"use at most {MAX_MARKS} lines and signs such as * _ [ < and |, or divide it",
        ) from None
    return text


def render(text: str, top: int = 2) -> str:
    """Harmless HTML; text that costs too much is shown as it was typed.

    Args:
        top: the level of its highest heading, from 1 to 6; none is left out below it.
    """
    try:
        return _html(text, top)
    except _TooMuch:
        return f"<pre>{escape(text)}</pre>"


def _html(text: str, top: int) -> str:
    if len(text) > validation.MAX_TEXT or len(_MARKS.findall(text)) > MAX_MARKS:
        raise _TooMuch
    if any(_cells(block) > MAX_PARTS for block in _BLANK.split(text)):
        raise _TooMuch
    tokens = _MARKDOWN.parse(text)
    _set_levels(tokens, top)
    if sum(map(_size, tokens)) > MAX_HTML:
        raise _TooMuch
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _cells(block: str) -> int:
    """At most how many cells a table has: a short row gets the cells that it lacks."""
    rows = block.split("\n")
    return len(rows) * max(row.count("|") for row in rows)


def _size(token: Token) -> int:
    """About how many characters of HTML a token becomes."""
    own = len(token.content) + sum(len(str(value)) for value in token.attrs.values()) + 20
    return own + sum(map(_size, token.children or ()))


def _set_levels(tokens: list[Token], top: int) -> None:
    """Give headings levels without gaps: whoever hears a page finds the way by them (WCAG 1.3.1)."""
    above: list[int] = []  # the levels, as they were typed, of the headings that the next one may stand below
    for token in tokens:
        if token.type == "heading_open":
            typed = int(token.tag[1])
            while above and above[-1] >= typed:
                above.pop()
            above.append(typed)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, top + len(above) - 1)}"


class _Markdown(MarkdownIt):
    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        self.enable("table").disable("image")
        self.core.ruler.after("block", "bound", _bound)
        self.add_render_rule("link_open", _outside)
        self.add_render_rule("table_open", _begin_table)
        self.add_render_rule("table_close", _end_table)

    def validateLink(self, url: str) -> bool:  # noqa: N802  the library's name
        return re.match(r"(https?://|mailto:)", url, re.IGNORECASE | re.ASCII) is not None


def _bound(state: StateCore) -> None:
    if len(state.tokens) > MAX_PARTS:
        raise _TooMuch


def _outside(renderer: RendererHTML, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    """A link opens beside the page: in the popup, following it would lose the way back."""
    tokens[index].attrSet("target", "_blank")
    tokens[index].attrSet("rel", "noopener noreferrer")
    return renderer.renderToken(tokens, index, options, env)


def _begin_table(renderer: RendererHTML, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    """A wide table is moved sideways by itself, also with the keyboard; the page is not."""
    return '<div class="wide" role="group" aria-label="Table" tabindex="0"><table>\n'


def _end_table(renderer: RendererHTML, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


_MARKDOWN = _Markdown()
