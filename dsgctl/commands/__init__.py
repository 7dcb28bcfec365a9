"""The command line: a module for each noun, which is imported only when its noun is typed."""

import importlib
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from dsgctl import __version__
from dsgctl.commands import streams
from dsgctl.commands.invocation import INVOCATION, Invocation, run_once

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Noun -> its module, and its line in `dsgctl --help`, which imports none of them.
NOUNS = {
    "user": ("users", "People and their accounts."),
    "group": ("groups", "Groups of people, and their leads."),
    "dataset": ("datasets", "Datasets, their versions and their locations."),
    "bucket": ("buckets", "Buckets, and the Google credential for each."),
    "grant": ("grants", "Permissions of users, groups and service accounts on datasets."),
    "terms": ("terms", "Terms of service, and who has accepted them."),
    "service": ("services", "Services that use the gateway, CAVE's tables, public roots."),
    "service-account": ("service_accounts", "Accounts of programs."),
    "token": ("tokens", "Tokens: mint, rotate, revoke, inspect."),
    "access": ("access", "Who has which permission, and why."),
    "iam": ("iam", "Bucket policies, for people who read with their own Google accounts."),
    "import": ("imports", "Import people, permissions and datasets from other systems."),
    "export": ("exports", "Export everything as one document, or grants as a list."),
    "apply": ("policy", "Apply a policy file: groups, datasets, terms and grants."),
    "diff": ("policy", "Show what 'dsgctl apply' would change."),
    "audit": ("audit", "The audit log: who changed what, and when."),
    "db": ("db", "The database: create, upgrade, check, back up, restore."),
    "backup": ("backups", "Backups: list and check the bundles of 'dsgctl db backup'."),
    "setup": ("setup", "Set up a new gateway: settings, database, first admin."),
    "config": ("settings", "The settings: their values, sources and errors."),
    "status": ("status", "The state of the gateway, on one screen."),
    "doctor": ("doctor", "Check the whole installation, and say what to do."),
    "demo": ("demo", "Try a populated gateway in a temporary directory."),
    "help": ("help", "The manual: a page for each task."),
    "completion": ("completion", "Completion of commands and names in your shell."),
    "shell": ("shell", "Run several commands without typing dsgctl."),
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
_COMMANDS = {"apply": "apply_", "diff": "diff"}  # in a module with more than one noun


class _Nouns(click.Group):
    """Finds the command of a noun in `NOUNS`, so that a start imports one module only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:
            return None
        module = importlib.import_module(f"dsgctl.commands.{NOUNS[cmd_name][0]}")
        command: click.Command = getattr(module, _COMMANDS.get(cmd_name, "command"))
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
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict, 5 not allowed.",
)
@click.option("--env-file", metavar="FILE", help="Read settings from here, not from $DSG_ENV_FILE or /etc/dsg/dsg.env.")
@click.option("--as", "on_behalf", metavar="EMAIL", help="Allow only what this person may see and change.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(__version__, message="dsgctl %(version)s")
@click.pass_context
def cli(ctx: click.Context, env_file: str | None, on_behalf: str | None, debug: bool) -> None:
    """Manage who may see which datasets."""
    # Not at the top: `dsgctl --version` and `--help` do not need it.
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
    streams.replace_closed()
    streams.use_utf8()
    sys.exit(run_once(cli, sys.argv[1:]))
