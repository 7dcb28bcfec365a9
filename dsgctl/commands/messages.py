"""Messages to people: lines, warnings and questions. No text can control the terminal that shows it."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from dsgctl.core.hidden_characters import escape


def printable(text: str, *, lines: bool = False) -> str:
    """Escape what moves the cursor, changes colours or looks like something else.

    Args:
        lines: leave line ends and tabs.
    """
    return escape(text, allowed="\n\t" if lines else "")


def echo(text: str, *, err: bool = False, colour: str | None = None, bold: bool = False, styled: int = 0) -> None:
    """Print lines for people, escaped.

    Args:
        err: print to standard error.
        styled: the number of characters at the beginning that are styled; 0 for all.
    """
    stream = sys.stderr if err else sys.stdout
    text = printable(text, lines=True)
    if (colour or bold) and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        size = styled or len(text)
        text = click.style(text[:size], fg=colour, bold=bold or None) + text[size:]
    stream.write(text + "\n")
    stream.flush()


def write_line(text: str) -> None:
    """Print one of many lines: unlike `echo` and click.echo, without a system call for each. The text is escaped."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """Print a warning about a command that succeeded, in one line on standard error."""
    echo(f"warning: {text}", err=True)


def ask(question: str, **settings: Any) -> str:
    """Ask at the terminal, and return the answer.

    Args:
        settings: those of click.prompt.
    """
    return str(click.prompt(printable(question), err=True, **settings))


def ask_yes(question: str) -> None:
    """Ask whether to go on.

    Raises:
        click.Abort: the answer is no.
    """
    click.confirm(printable(question), abort=True, err=True)


def format_holdings(holdings: Mapping[str, Any]) -> str:
    """``3 grants and 1 token``: numbers with their nouns.

    Args:
        holdings: by plural noun, a number or a list, as `list_holdings` of the modules of core returns them.
    """
    counts = {key: len(value) if isinstance(value, list) else value for key, value in holdings.items()}
    words = [
        f"{count} {key.replace('_', ' ').removesuffix('s') if count == 1 else key.replace('_', ' ')}"
        for key, count in counts.items()
        if count
    ]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing else"
