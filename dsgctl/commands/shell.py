"""``dsgctl shell``: several commands, one after another. Over ssh, a delegate gets nothing else.

See delegation.md, "Give delegates ssh access".
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator

import click

from dsgctl import guide
from dsgctl.commands.help import show_page
from dsgctl.commands.invocation import run_once
from dsgctl.commands.messages import echo
from dsgctl.commands.session import Session
from dsgctl.core.errors import Invalid

PROMPT = "dsgctl> "
_OWN = ("help", "exit")  # words of this shell
# Keys of readline that show users and files of this host.
_UNBOUND = (r"\e&", r"\e~", r"\C-x\C-r", r"\e\C-j", r"\e\C-m")


@click.command(epilog="\b\nExample:\n  dsgctl shell < commands.txt")
@click.pass_context
def command(ctx: click.Context) -> int:
    """Read commands and run them, until 'exit' or Ctrl-D. The option --as applies to each.

    At a terminal, 'help' lists the commands and TAB completes. From a file or a pipe, the first command that fails
    ends the shell, with its exit code. As the forced command of an ssh key, it runs the command of the ssh client.
    """
    shell = Shell(ctx.find_root().command, ctx.obj)
    ssh_command = os.environ.get("SSH_ORIGINAL_COMMAND")
    if ssh_command is not None:
        if not ssh_command.strip():
            raise Invalid("the command is empty", "ssh HOST COMMAND, or ssh -t HOST for several")
        return shell.run(ssh_command)
    asks = sys.stdin.isatty()
    if asks:
        _prepare_terminal(shell)
    code = 0
    while (line := _read(asks)) is not None:
        if line in ("exit", "quit"):
            break
        if line and not line.startswith("#"):
            code = shell.run(line)
            if code and not asks:
                break
    return code


def _read(asks: bool) -> str | None:
    """One line of the input; empty after Ctrl-C, None at the end."""
    try:
        return input(PROMPT if asks else "").strip()
    except EOFError:
        return None
    except KeyboardInterrupt:
        echo("", err=True)
        return ""


class Shell:
    """Runs commands, and lists those that a person may run.

    Attributes:
        delegate: the person for whom commands are run (``--as``); None for an operator.
    """

    def __init__(self, root: click.Command, session: Session) -> None:
        """
        Raises:
            NotAllowed: with ``--as``, there is no such account, or it is disabled.
        """
        self.delegate = session.find_delegate() if session.on_behalf is not None else None
        self._root = root
        # The options before the noun are those of this shell.
        self._options = ["--env-file", session.env_file] if session.env_file is not None else []
        self._options += ["--as", session.on_behalf] if session.on_behalf is not None else []

    def run(self, line: str) -> int:
        """Run one line and return its exit code."""
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
                self._print_commands()
                return 0
            if len(words) == 2 and words[1] in guide.TOPICS and self._find(words[1:]) is None:
                show_page(words[1], page=self.delegate is None)
                return 0
            words = [*words[1:], "--help"]
        if words[0].startswith("-") or words[0] == "shell":
            echo(f"dsgctl: {words[0]!a} cannot begin a line; begin with a noun, such as 'access'", err=True)
            return 2
        return run_once(self._root, [*self._options, *words])

    def complete(self, line: str, text: str) -> list[str]:
        """Complete ``text``, typed after ``line``, to words of commands that this person may run."""
        from click.shell_completion import ShellComplete  # only needed at a terminal

        try:
            words = shlex.split(line)
        except ValueError:
            return []  # an open quote
        words = words[1:] if words[:1] == ["dsgctl"] else words
        topics: list[str] = []
        if words[:1] == ["help"]:
            words = words[1:]
            topics = [topic for topic in guide.TOPICS if not words and topic.startswith(text)]
        items = ShellComplete(self._root, {}, "dsgctl", "").get_completions([*self._options, *words], text)
        # Items of other types stand for files and directories.
        plain = [item.value for item in items if item.type == "plain" and (words or item.value not in _OWN)]
        if any(word.startswith("-") for word in (*words, text)) or not isinstance(self._find(words), click.Group):
            return [f"{word} " for word in plain if words and self._may_type(words)]
        own = [word for word in _OWN if not words and word.startswith(text)]
        allowed = [word for word in plain if self._may_type([*words, word])]
        return [f"{word} " for word in dict.fromkeys((*own, *allowed, *topics))]

    def _may_type(self, words: list[str]) -> bool:
        if self.delegate is None:
            return True
        from dsgctl.commands import delegated  # only with --as

        return delegated.may_type(self.delegate, words)

    def _find(self, words: list[str]) -> click.Command | None:
        """The command or the group of commands that these words name."""
        command: click.Command | None = self._root
        for word in words:
            if not isinstance(command, click.Group):
                return None
            command = command.get_command(click.Context(command), word)
        return command

    def _print_commands(self) -> None:
        """Print every command that this person may run, with its short help."""
        rows = [
            (" ".join(words), command.get_short_help_str(80))
            for words, command in _walk([], self._root)
            if words not in (["shell"], ["help"]) and self._may_type(words)
        ]
        width = max(len(name) for name, _ in rows)
        for name, summary in rows:
            echo(f"{name:<{width}}  {summary}")
        echo("'help COMMAND' shows the help of a command; 'exit' ends the shell.")


def _walk(words: list[str], group: click.Command) -> Iterator[tuple[list[str], click.Command]]:
    if not isinstance(group, click.Group):
        yield words, group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        if (command := group.get_command(context, name)) is not None:
            yield from _walk([*words, name], command)


def _prepare_terminal(shell: Shell) -> None:
    """Let TAB complete words of dsgctl only: by default, readline lists files and users of this host."""
    import readline  # only needed at a terminal

    readline.set_completer(_completer(shell))
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("tab: complete")
    for keys in _UNBOUND:
        readline.parse_and_bind(f'"{keys}": abort')


def _completer(shell: Shell) -> Callable[[str, int], str | None]:
    """A function that readline calls with 0, 1, … for each word that fits."""
    import readline  # only needed at a terminal

    words: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            line = readline.get_line_buffer()[: readline.get_begidx()]
            words[:] = shell.complete(line, text)
        return words[state] if state < len(words) else None

    return complete
