"""The command line: a module for each noun, which is imported only when its noun is typed."""

import importlib
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click

from dsgctl import __version__
from dsgctl.commands import streams
from dsgctl.commands.invocation import INVOCATION, Invocation, run_once

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Noun(NamedTuple):
    """The first word of a command.

    Attributes:
        module: the module of dsgctl/commands that has its click command.
        help: its line in ``dsgctl --help``, which imports no module of a noun.
        topic: the page of the manual (dsgctl/guide) that its help names.
        attribute: the name of the click command in the module.
    """

    module: str
    help: str
    topic: str | None = None
    attribute: str = "command"


NOUNS = {
    "user": Noun("users", "People and their accounts.", topic="people-and-groups"),
    "group": Noun("groups", "Groups of people, and their leads.", topic="people-and-groups"),
    "dataset": Noun("datasets", "Datasets, their versions and their locations.", topic="first-dataset"),
    "bucket": Noun("buckets", "Buckets, and the Google credential for each.", topic="neuroglancer"),
    "grant": Noun("grants", "Permissions of users, groups and service accounts on datasets.", topic="first-dataset"),
    "terms": Noun("terms", "Terms of service, and who has accepted them.", topic="terms"),
    "service": Noun("services", "Services that use the gateway, CAVE's tables, public roots.", topic="cave"),
    "service-account": Noun("service_accounts", "Accounts of programs.", topic="tokens"),
    "client": Noun("clients", "Web applications that may be handed a key of a person.", topic="neuroglancer"),
    "token": Noun("tokens", "Tokens: mint, rotate, revoke, inspect.", topic="tokens"),
    "access": Noun("access", "Who has which permission, and why.", topic="troubleshooting"),
    "iam": Noun("iam", "Bucket policies, for people who read with their own Google accounts.", topic="buckets"),
    "import": Noun("imports", "Import people, permissions and datasets from other systems.", topic="import"),
    "export": Noun("exports", "Export everything as one document, or grants as a list."),
    "apply": Noun("policy", "Apply a policy file: groups, datasets, terms and grants.", attribute="apply_"),
    "diff": Noun("policy", "Show what 'dsgctl apply' would change.", attribute="diff"),
    "audit": Noun("audit", "The audit log: who changed what, and when.", topic="operate-and-upgrade"),
    "db": Noun("db", "The database: create, upgrade, check, back up, restore.", topic="operate-and-upgrade"),
    "backup": Noun("backups", "Backups: list and check the bundles of 'dsgctl db backup'.", topic="backup-and-restore"),
    "setup": Noun("setup", "Set up a new gateway: settings, database, first admin."),
    "config": Noun("settings", "The settings: their values, sources and errors.", topic="settings"),
    "status": Noun("status", "The state of the gateway, on one screen."),
    "doctor": Noun("doctor", "Check the whole installation, and suggest what to do."),
    "demo": Noun("demo", "Try a populated gateway in a temporary directory."),
    "help": Noun("help", "The manual: a page for each task."),
    "completion": Noun("completion", "Completion of commands and names in your shell."),
    "shell": Noun("shell", "Run several commands without typing dsgctl."),
}


class _Nouns(click.Group):
    """Finds the command of a noun in `NOUNS`, so that a start imports one module only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:
            return None
        noun = NOUNS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"dsgctl.commands.{noun.module}"), noun.attribute)
        if noun.topic is not None:
            command.epilog = f"Manual: dsgctl help {noun.topic}"
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

        nouns = [CompletionItem(name, help=noun.help) for name, noun in NOUNS.items() if name.startswith(incomplete)]
        return nouns + click.Command.shell_complete(self, ctx, incomplete)  # its options

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, noun.help) for name, noun in NOUNS.items()])


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
