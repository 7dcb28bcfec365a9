"""``dsgctl shell``: commands one after the other; over ssh, all that somebody gets (README, "Those who lead")."""

import os
import shlex
import sys

import click

from dsgctl.commands.session import Session
from dsgctl.core.errors import Invalid

PROMPT = "dsgctl> "


@click.command(epilog="\b\nExample:\n  dsgctl shell < commands.txt")
@click.pass_obj
def command(session: Session) -> int:
    """Read commands and run them, until 'exit' or Ctrl-D; whatever is said with --as holds for each.

    As the forced command of an ssh key it runs the one that ssh was given, or asks for several.
    """
    given = os.environ.get("SSH_ORIGINAL_COMMAND")
    if given is not None:
        if not given.strip():
            raise Invalid("the command is empty", "ssh HOST COMMAND, or ssh -t HOST to be asked for several")
        return _run(session, given)
    if sys.stdin.isatty():
        import readline  # noqa: F401  so that arrow keys work
    code = 0
    while (line := _read()) is not None:
        if line in ("exit", "quit"):
            break
        if line:
            code = _run(session, line)
    return code


def _read() -> str | None:
    """What was typed; None at its end."""
    try:
        return input(PROMPT if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None
    except KeyboardInterrupt:
        click.echo("", err=True)
        return ""


def _run(session: Session, line: str) -> int:
    from dsgctl.commands import run_once

    try:
        words = shlex.split(line)
    except ValueError as error:
        click.echo(f"dsgctl: {error}; check the quotes", err=True)
        return 2
    words = words[1:] if words[:1] == ["dsgctl"] else words
    if not words:
        return 0
    # Options before the noun say for whom and with which settings: those of this shell stay.
    if (words[0].startswith("-") and words[0] not in ("-h", "--help")) or words[0] == "shell":
        click.echo(f"dsgctl: {words[0]!a} has no place here; begin with what it is about, such as 'access'", err=True)
        return 2
    fixed = ["--env-file", session.env_file] if session.env_file is not None else []
    fixed += ["--as", session.on_behalf] if session.on_behalf is not None else []
    return run_once([*fixed, *words])
