"""``dsgctl shell``: commands one after the other; over ssh, all that a delegate gets.

See delegation.md, "Give delegates ssh access".
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from dsgctl import guide
from dsgctl.commands.help import show_page
from dsgctl.commands.output import echo
from dsgctl.commands.session import Session
from dsgctl.core.errors import Invalid

if TYPE_CHECKING:
    from dsgctl.core.delegation import Delegate

PROMPT = "dsgctl> "
_OWN = ("help", "exit")  # words of the shell itself
# Keys of readline that show what is on this host: its users' homes, and files to read settings from.
_UNBOUND = (r"\e&", r"\e~", r"\C-x\C-r", r"\e\C-j", r"\e\C-m")


@click.command(epilog="\b\nExample:\n  dsgctl shell < commands.txt")
@click.pass_obj
def command(session: Session) -> int:
    """Read commands and run them, until 'exit' or Ctrl-D; whatever is said with --as holds for each.

    At a terminal, 'help' lists the commands and TAB completes. From a file or a pipe, the first that fails ends it,
    with its exit code. As the forced command of an ssh key it runs the one that ssh was given, or asks for several.
    """
    delegate = _delegate(session)
    given = os.environ.get("SSH_ORIGINAL_COMMAND")
    if given is not None:
        if not given.strip():
            raise Invalid("the command is empty", "ssh HOST COMMAND, or ssh -t HOST to be asked for several")
        return _run(session, delegate, given)
    asks = sys.stdin.isatty()
    if asks:
        _prepare_terminal(session, delegate)
    code = 0
    while (line := _read(asks)) is not None:
        if line in ("exit", "quit"):
            break
        if line and not line.startswith("#"):
            code = _run(session, delegate, line)
            if code and not asks:
                break
    return code


def _delegate(session: Session) -> "Delegate | None":
    """Raises:
    NotAllowed: the person for whom it is run has no account that counts.
    """
    if session.on_behalf is None:
        return None
    from dsgctl.commands import delegated  # only with --as

    return delegated.require_person(session)


def _read(asks: bool) -> str | None:
    """What was typed; None at its end."""
    try:
        return input(PROMPT if asks else "").strip()
    except EOFError:
        return None
    except KeyboardInterrupt:
        echo("", err=True)
        return ""


def _fixed(session: Session) -> list[str]:
    """The options before the noun, which say for whom and with which settings: they stay those of this shell."""
    fixed = ["--env-file", session.env_file] if session.env_file is not None else []
    return fixed + (["--as", session.on_behalf] if session.on_behalf is not None else [])


def _run(session: Session, delegate: "Delegate | None", line: str) -> int:
    from dsgctl.commands import NOUNS, run_once  # which imports this module

    try:
        words = shlex.split(line)
    except ValueError as error:
        echo(f"dsgctl: {error}; check the quotes", err=True)
        return 2
    words = words[1:] if words[:1] == ["dsgctl"] else words
    if not words:
        return 0
    if words[0] in ("help", "?", "-h", "--help"):
        if len(words) == 1:
            _print_commands(delegate)
            return 0
        if len(words) == 2 and words[1] in guide.TOPICS and words[1] not in NOUNS:
            show_page(words[1], page=delegate is None)
            return 0
        words = [*words[1:], "--help"]
    if words[0].startswith("-") or words[0] == "shell":
        echo(f"dsgctl: {words[0]!a} has no place here; begin with what it is about, such as 'access'", err=True)
        return 2
    return run_once([*_fixed(session), *words])


def _commands(delegate: "Delegate | None") -> Iterator[tuple[str, str]]:
    """Every command that this person may run, with what it does."""
    for words, found in _walk([], _root()):
        if words not in (["shell"], ["help"]) and _may_type(delegate, words):
            yield " ".join(words), found.get_short_help_str(80)


def _root() -> click.Group:
    from dsgctl.commands import cli

    return cli


def _walk(words: list[str], group: click.Command) -> Iterator[tuple[list[str], click.Command]]:
    if not isinstance(group, click.Group):
        yield words, group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        if (found := group.get_command(context, name)) is not None:
            yield from _walk([*words, name], found)


def _may_type(delegate: "Delegate | None", words: list[str]) -> bool:
    if delegate is None:
        return True
    from dsgctl.commands import delegated  # only with --as

    return delegated.may_type(delegate, words)


def _print_commands(delegate: "Delegate | None") -> None:
    rows = list(_commands(delegate))
    width = max(len(name) for name, _ in rows)
    for name, what in rows:
        echo(f"{name:<{width}}  {what}")
    echo("'help COMMAND' says more of one; 'exit' ends this.")


def _prepare_terminal(session: Session, delegate: "Delegate | None") -> None:
    """TAB completes the words of dsgctl, and nothing of this host: readline by itself lists files and users."""
    import readline

    readline.set_completer(_completer(session, delegate))
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("tab: complete")
    for keys in _UNBOUND:
        readline.parse_and_bind(f'"{keys}": abort')


def _completer(session: Session, delegate: "Delegate | None") -> Callable[[str, int], str | None]:
    """What readline asks for the first, second, … word that fits."""
    import readline

    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            line = readline.get_line_buffer()[: readline.get_begidx()]
            found[:] = completions(session, delegate, line, text)
        return found[state] if state < len(found) else None

    return complete


def completions(session: Session, delegate: "Delegate | None", line: str, text: str) -> list[str]:
    """The words of dsgctl that ``text``, after ``line``, may become: of commands that this person may run."""
    from click.shell_completion import ShellComplete

    try:
        words = shlex.split(line)
    except ValueError:
        return []  # within quotes
    words = words[1:] if words[:1] == ["dsgctl"] else words
    topics: list[str] = []
    if words[:1] == ["help"]:
        words = words[1:]
        topics = [topic for topic in guide.TOPICS if not words and topic.startswith(text)]
    items = ShellComplete(_root(), {}, "dsgctl", "").get_completions([*_fixed(session), *words], text)
    # Other kinds ask the shell for files and directories.
    plain = [item.value for item in items if item.type == "plain" and (words or item.value not in _OWN)]
    if any(word.startswith("-") for word in (*words, text)) or not _is_group(words):
        may = _may_type(delegate, words) and bool(words)
        return [f"{word} " for word in plain if may]
    own = [word for word in _OWN if not words and word.startswith(text)]
    allowed = [word for word in plain if _may_type(delegate, [*words, word])]
    return [f"{word} " for word in dict.fromkeys((*own, *allowed, *topics))]


def _is_group(words: list[str]) -> bool:
    """Whether what comes next is a noun or a verb."""
    group: click.Command | None = _root()
    for word in words:
        if not isinstance(group, click.Group):
            return False
        group = group.get_command(click.Context(group), word)
    return isinstance(group, click.Group)
