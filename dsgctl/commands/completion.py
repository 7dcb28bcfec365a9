"""``dsgctl completion``"""

import click
from click.shell_completion import get_completion_class

from dsgctl.commands.messages import echo

_EXAMPLE = """\b
Example:
  dsgctl completion bash > ~/.local/share/bash-completion/completions/dsgctl
  dsgctl completion zsh > ~/.zfunc/_dsgctl
  dsgctl completion fish > ~/.config/fish/completions/dsgctl.fish"""


@click.command(epilog=_EXAMPLE)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, and names in the database, in your shell."""
    shell_class = get_completion_class(shell)
    if shell_class is None:
        raise click.UsageError(f"there is no completion for {shell}")
    echo(shell_class(ctx.find_root().command, {}, "dsgctl", "_DSGCTL_COMPLETE").source())
