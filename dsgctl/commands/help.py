"""``dsgctl help``: the manual, on a terminal or as Markdown in a pipe."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from difflib import get_close_matches
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from dsgctl import guide
from dsgctl.commands.messages import echo
from dsgctl.core.errors import Invalid, NotFound

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_EXAMPLE = """\b
Example:
  dsgctl help
  dsgctl help troubleshooting
  dsgctl help --search clock"""
_WIDEST = 100  # columns of a page on a terminal: longer lines are hard to read
_PAGE_LINK = re.compile(r"\[([^\]]+)\]\(([a-z-]+)\.md(?:#[a-z-]+)?\)")


class Topic(click.ParamType[str]):
    """A topic of the manual, or a word of a command."""

    name = "topic"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        # Only needed when a shell asks.
        from click.shell_completion import CompletionItem

        topics = [topic for topic in guide.TOPICS if topic.startswith(incomplete)]
        return [CompletionItem(topic, help=guide.read_purpose(topic)) for topic in topics]


@click.command(epilog=_EXAMPLE)
@click.argument("topic", nargs=-1, type=Topic())
@click.option("--search", metavar="WORD", help="Show the lines of the manual that contain this word.")
@click.pass_context
def command(ctx: click.Context, topic: tuple[str, ...], search: str | None) -> None:
    """Show a page of the manual, or the help of a command; without a topic, list the topics."""
    if search is not None:
        if topic:
            raise Invalid("a topic and --search exclude each other", "leave out one of them")
        _print_matches(search)
    elif not topic:
        _print_topics()
    elif topic[0] in guide.TOPICS and len(topic) == 1:
        show_page(topic[0], page=ctx.obj.on_behalf is None)
    else:
        echo(_command_help(ctx.find_root(), topic))


def _print_topics() -> None:
    width = max(map(len, guide.TOPICS))
    columns = _count_columns() if sys.stdout.isatty() else sys.maxsize
    for topic in guide.TOPICS:
        purpose = textwrap.wrap(guide.read_purpose(topic), max(columns - width - 2, width), break_on_hyphens=False)
        for name, line in zip_longest([topic], purpose, fillvalue=""):
            echo(f"{name:<{width}}  {line}")
    echo("'dsgctl help TOPIC' shows a page, 'dsgctl help --search WORD' finds one.", err=True)


def _count_columns() -> int:
    """The width of text on this terminal."""
    return min(shutil.get_terminal_size().columns, _WIDEST)


def _print_matches(word: str) -> None:
    place = ("", "")
    for match in guide.search_pages(word):
        if place != (match.topic, match.heading):
            place = (match.topic, match.heading)
            echo(f"{match.topic}: {match.heading}", bold=True)
        if match.line != match.heading:
            echo(f"    {match.line}")
    if place == ("", ""):
        raise NotFound(f"the manual does not contain {word!r}", "'dsgctl help' lists the topics")


def _command_help(root: click.Context, words: tuple[str, ...]) -> str:
    """The ``--help`` of a command.

    Raises:
        NotFound: the words name neither a topic nor a command.
    """
    context = root
    for word in words:
        group = context.command
        inner = group.get_command(context, word) if isinstance(group, click.Group) else None
        if inner is None:
            names = group.list_commands(context) if isinstance(group, click.Group) else []
            near = get_close_matches(word, [*names, *(guide.TOPICS if context is root else ())], 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise NotFound(f"there is no topic or command {' '.join(words)!r}", f"{hint}'dsgctl help' lists the topics")
        context = click.Context(inner, parent=context, info_name=word)
    return context.get_help()


def show_page(topic: str, *, page: bool) -> None:
    """Print a page: rendered on a terminal, as Markdown elsewhere.

    Args:
        topic: one of `guide.TOPICS`.
        page: whether a pager may run. A pager can start programs, so people who are limited by ``--as`` get none.
    """
    text = guide.read_page(topic)
    if not sys.stdout.isatty():
        echo(text.rstrip("\n"))
        return
    rendered = _render(text)
    less = shutil.which("less") if page else None
    if less is None or os.environ.get("TERM") == "dumb":
        sys.stdout.write(rendered)
        return
    # Operators run dsgctl as another user (systemd/dsg.sudoers). LESSSECURE keeps less from starting a shell as
    # that user, or opening its files; other pagers have no such mode, so $PAGER is not used.
    environment = {**os.environ, "LESS": "FRX", "LESSSECURE": "1"}
    subprocess.run([less], input=rendered.encode(), env=environment, check=False)  # noqa: S603


def _render(text: str) -> str:
    """A page as text for this terminal, in colours if it has any."""
    # Not at the top: slow to import, and only a terminal needs it.
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

    class FoldedTable(TableElement):
        """A table whose long words, such as paths, continue on the next line; rich cuts them off."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                if isinstance(table, Table):
                    for column in table.columns:
                        column.overflow = "fold"
                yield table

    class Page(Markdown):
        elements = {**Markdown.elements, "table_open": FoldedTable}  # noqa: RUF012

    text = re.sub(r"<!--.*?-->\n", "", text)
    text = _PAGE_LINK.sub(r"\1 (`dsgctl help \2`)", text)
    console = Console(width=_count_columns())
    with console.capture() as capture:
        console.print(Page(text, hyperlinks=False, code_theme="ansi_dark"))
    return capture.get()
