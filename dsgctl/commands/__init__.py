"""The command line: one module a noun, each loaded only when its noun is typed."""

import importlib
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from dsgctl import __version__
from dsgctl.commands import streams
from dsgctl.commands.invocation import INVOCATION, Invocation, run_once

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Noun -> its module, and what `dsgctl --help` says of it without loading it.
NOUNS = {
    "user": ("users", "People: who they are, and their accounts."),
    "group": ("groups", "Groups of people, and who leads them."),
    "dataset": ("datasets", "Datasets, their versions, and where they lie."),
    "bucket": ("buckets", "Buckets, and the Google credential for each."),
    "grant": ("grants", "Permissions on datasets: to users, groups and service accounts."),
    "terms": ("terms", "Terms of service, and who has accepted them."),
    "service": ("services", "Services that ask, CAVE's tables, public roots."),
    "service-account": ("service_accounts", "Accounts of programs."),
    "token": ("tokens", "Tokens: mint, rotate, revoke, inspect."),
    "access": ("access", "Who may what, and why."),
    "iam": ("iam", "Buckets that people also read with their own Google accounts."),
    "import": ("imports", "Take over people and facts from other systems."),
    "export": ("exports", "Everything as one document, to move out; grants as a list."),
    "apply": ("policy", "Bring the facts up to a file that people review."),
    "diff": ("policy", "What 'dsgctl apply' would change."),
    "audit": ("audit", "Who changed what, when."),
    "db": ("db", "The database file: create, upgrade, check."),
    "backup": ("backups", "The bundles that 'dsgctl db backup' has made: list, check."),
    "setup": ("setup", "Settings, database and first admin of a new gateway."),
    "config": ("settings", "The settings: what each is, where it comes from, what is wrong."),
    "status": ("status", "What there is, on one screen."),
    "doctor": ("doctor", "Everything that could be wrong, and what to do."),
    "demo": ("demo", "A populated gateway in a temporary place, to try out."),
    "help": ("help", "The manual: a page for each task."),
    "completion": ("completion", "Completion of commands and names, for your shell."),
    "shell": ("shell", "One command after the other, without typing dsgctl."),
}


# Noun -> the page of the manual (dsgctl/guide) that its help names.
TOPICS = {
    "user": "people-and-groups",
    "group": "people-and-groups",
    "dataset": "first-dataset",
    "bucket": "neuroglancer",
    "grant": "first-dataset",
    "terms": "terms",
    "service": "cave",
    "service-account": "tokens",
    "token": "tokens",
    "access": "troubleshooting",
    "iam": "buckets",
    "import": "import",
    "audit": "operate-and-upgrade",
    "db": "operate-and-upgrade",
    "backup": "backup-and-restore",
    "config": "settings",
}
_SEVERAL = {"apply": "apply_", "diff": "diff"}  # of a module with more than one command


class _Nouns(click.Group):
    """Finds the command of a noun in `NOUNS`, so that a start imports one module and not all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:
            return None
        module = importlib.import_module(f"dsgctl.commands.{NOUNS[cmd_name][0]}")
        command: click.Command = getattr(module, _SEVERAL.get(cmd_name, "command"))
        if cmd_name in TOPICS:
            command.epilog = f"Manual: dsgctl help {TOPICS[cmd_name]}"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in NOUNS and not args[0].startswith("-") and not ctx.resilient_parsing:
            # Only needed to word an error.
            from difflib import get_close_matches

            near = get_close_matches(args[0], NOUNS, 1)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        # Only needed when a shell asks.
        from click.shell_completion import CompletionItem

        nouns = [CompletionItem(noun, help=text) for noun, (_, text) in NOUNS.items() if noun.startswith(incomplete)]
        return nouns + click.Command.shell_complete(self, ctx, incomplete)  # its options

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(noun, text) for noun, (_, text) in NOUNS.items()])


@click.group(
    cls=_Nouns,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflicts with what is there, 5 not allowed.",
)
@click.option("--env-file", metavar="FILE", help="Settings, instead of $DSG_ENV_FILE or /etc/dsg/dsg.env.")
@click.option("--as", "on_behalf", metavar="EMAIL", help="Only what this person may see and change.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(__version__, message="dsgctl %(version)s")
@click.pass_context
def cli(ctx: click.Context, env_file: str | None, on_behalf: str | None, debug: bool) -> None:
    """Manage who may see which datasets."""
    # Not at the top: `dsgctl --version` and `--help` need none of it.
    from dsgctl.commands.session import Session

    if isinstance(ctx.obj, Invocation):
        ctx.obj.debug = debug
        ctx.meta[INVOCATION] = ctx.obj
    ctx.obj = Session(env_file, debug=debug, on_behalf=on_behalf)
    if on_behalf is not None:
        from dsgctl.commands import delegated

        delegated.require_noun(on_behalf, ctx.invoked_subcommand or "")


def main() -> NoReturn:
    """Run one command and exit with its code."""
    streams.open_closed()
    streams.use_utf8()
    sys.exit(run_once(cli, sys.argv[1:]))
