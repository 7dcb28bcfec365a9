"""What a command works with: settings, database, actor, output; and the options that commands share."""

import os
import pwd
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dsgctl.commands import RUN
from dsgctl.commands.output import FORMATS, Output, ask_yes, echo
from dsgctl.config import Config, Settings, from_environment, read, settings_file
from dsgctl.core.audit import Record
from dsgctl.core.change import Change
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError, Invalid
from dsgctl.core.transaction import begin_change, require_clock
from dsgctl.core.validation import quoted
from dsgctl.memory import forbid_core_dumps
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgctl.wording import counted

if TYPE_CHECKING:
    from dsgctl.core.delegation import Delegate

Function = TypeVar("Function", bound=Callable[..., Any])


class Session:
    """One run of ``dsgctl``. Settings and database are read when first asked for."""

    def __init__(self, env_file: str | None, *, debug: bool, on_behalf: str | None = None) -> None:
        """
        Args:
            on_behalf: the email of the person for whom the command is run (``--as``); None for an operator.
        """
        forbid_core_dumps()
        self.env_file = env_file
        self.debug = debug
        self.on_behalf = on_behalf
        self.delegate: Delegate | None = None  # of a command that is run for somebody who does not manage the gateway
        self.output = Output("table")
        self._config: Config | None = None
        self._database: Database | None = None

    @property
    def config(self) -> Config:
        if self._config is None:
            self._config = from_environment(self.env_file)
        return self._config

    @property
    def settings(self) -> Settings:
        """The settings with all that is wrong with them, for those who examine them."""
        return read(os.environ, self.env_file)

    @property
    def settings_file(self) -> Path:
        """The file that settings are read from, whether or not it is there."""
        return Path(settings_file(os.environ, self.env_file)[0])

    @property
    def database(self) -> Database:
        if self._database is None:
            self._database = open_current(self.config.database)
        return self._database

    @property
    def actor(self) -> str:
        return f"user:{self.on_behalf} by {os_actor()}" if self.on_behalf is not None else os_actor()

    @contextmanager
    def change(
        self,
        *,
        dry_run: bool = False,
        actor: str | None = None,
        watch: Callable[[Record], None] | None = None,
        any_clock: bool = False,
    ) -> Iterator[Change]:
        """Change facts as the person who typed the command; a dry run prints what it would have changed.

        Args:
            watch: is told each record instead, and nothing is printed.
            any_clock: also while the host's clock is behind what was changed before.

        Raises:
            DsgError: the host's clock is behind.
        """
        if not any_clock:
            require_clock(self.database, now())
        seen: list[Record] = []
        if dry_run and watch is None:
            watch, prints = seen.append, True
        else:
            prints = False
        delegate = None
        if self.on_behalf is not None:
            from dsgctl.core.delegation import find_delegate  # only with --as

            delegate = partial(find_delegate, self.on_behalf)
        with begin_change(
            self.database, actor or self.actor, dry_run=dry_run, watch=watch, delegate=delegate
        ) as opened:
            yield opened
        if prints:
            self.print_plan(seen)
        elif opened.consequences and not dry_run and self.output.format == "table":
            see = "" if self.on_behalf is not None else "; 'dsgctl audit list' names each"
            what = "grants and memberships that rested on this and ended, or end sooner now"
            echo(f"{what}: {opened.consequences}{see}", err=True)

    def print_plan(self, records: list[Record]) -> None:
        """What a dry run would have done."""
        if self.output.format == "table":
            echo(f"dry run, nothing was changed; a run would make {counted(len(records), 'change')}", err=True)
        rows = [
            {"action": record.action, "target": record.target, "before": record.before, "after": record.after}
            for record in records
        ]
        self.output.rows(rows, ["action", "target", "before", "after"], value="action")

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something that cannot be undone. Never asks without a terminal.

        Raises:
            Invalid: there is nobody to ask.
            click.Abort: the answer was no.
        """
        if yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise Invalid(question, "say -y to do it without being asked")
        ask_yes(f"{question}; go on?")


def os_actor() -> str:
    """``os:NAME``: the operating-system user, and who they were before sudo.

    SUDO_USER is only what the environment says, so the user that the kernel knows stands beside it.
    """
    user = _user_name(os.getuid())
    through_sudo = os.environ.get("SUDO_USER")
    if through_sudo and through_sudo != user and through_sudo.isprintable():
        return f"os:{through_sudo} as {user}"
    return f"os:{user}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class _Once(click.Command):
    """Refuses an option that is given twice: the first of two --user would silently be dropped."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if extra.get("resilient_parsing"):
            from dsgctl.commands.completing import let_complete  # only needed when a shell asks

            let_complete(self, (parent.info_name if parent else None) or "")
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for param in self.params:
            harmless = param.multiple or (getattr(param, "is_flag", False) and not param.secondary_opts)
            if not harmless and order.count(param) > 1 and not ctx.resilient_parsing:
                ctx.fail(f"{'/'.join(param.opts[-1:] + param.secondary_opts)} is given twice; say it once")
        return super().parse_args(ctx, args)


# Options that many commands share. One decorator each.


def command(group: click.Group, name: str, *, example: str, **settings: Any) -> Callable[[Function], click.Command]:
    """A command of a noun, which prints an answer (``-o``) and shows an example in its help."""

    def decorate(function: Function) -> click.Command:
        function = _allowed_only(function)
        epilog = "\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines())
        return group.command(name, cls=_Once, epilog=epilog, **settings)(output_option(click.pass_obj(function)))

    return decorate


def _allowed_only(function: Function) -> Function:
    """With ``--as``, ask first whether this person may run this command (delegated.py)."""

    @wraps(function)
    def run(session: Session, /, *arguments: Any, **options: Any) -> Any:
        if session.on_behalf is None:
            return function(session, *arguments, **options)
        from dsgctl.commands import delegated  # only with --as

        delegated.require(session, click.get_current_context())
        try:
            return function(session, *arguments, **options)
        except DsgError as error:
            if session.delegate is not None:
                error.hint = delegated.hint_for(session.delegate, error.hint)
            raise

    return run  # type: ignore[return-value]


def choose_output(ctx: click.Context, param: click.Parameter, value: str) -> None:
    if RUN in ctx.meta:
        ctx.meta[RUN].format = value
    ctx.obj.output = Output(value)


output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    default="table",
    expose_value=False,
    is_eager=True,  # what is wrong with the other options is said in this format too
    callback=choose_output,
    help="How to print the answer; table is for people, the others are stable.",
)

dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
last_admin_option = click.option("--last-admin", is_flag=True, help="Do it even to the last admin.")


class Number(click.ParamType[int]):
    """A whole number that the database can hold."""

    name = "number"

    def __init__(self, least: int = 1) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not re.fullmatch("[0-9]{1,19}", text) or not self._least <= int(text) < 2**63:
            self.fail(f"{quoted(text)} is not a whole number from {self._least} on", param, ctx)
        return int(text)


ID = Number()
LIMIT = click.option("--limit", metavar="NUMBER", type=ID, help="At most so many.")


class Name(click.ParamType[str]):
    """The name of something in the database, which the shell can complete."""

    def __init__(self, name: str, list_names: Callable[[Database], Iterator[str]]) -> None:
        self.name = name
        self._list_names = list_names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        # Only needed when a shell asks.
        from click.shell_completion import CompletionItem

        try:
            given = ctx.find_root().params or {}
            session = Session(given.get("env_file"), debug=False, on_behalf=given.get("on_behalf"))
            names = [name for name in self._list_names(session.database) if name.startswith(incomplete)]
            if session.on_behalf is not None:
                from dsgctl.commands import delegated  # only with --as

                delegate = delegated.require_person(session)
                known = {"dataset": delegate.knows, "group": delegate.facts.groups.__contains__}.get(self.name)
                names = [name for name in names if delegate.manages_gateway or (known is not None and known(name))]
            return [CompletionItem(_in_bash(name)) for name in names]
        except Exception:
            return []  # a shell that completes must never show an error


def _in_bash(name: str) -> str:
    """A name as bash must find it on the line: it puts there what it is given, unlike zsh and fish, which quote it.

    Within quotes that were begun already, nothing in the name may end them, or be run.
    """
    if not os.environ.get("_DSGCTL_COMPLETE", "").startswith("bash"):
        return name
    words, at = os.environ.get("COMP_WORDS", "").split("\n"), os.environ.get("COMP_CWORD", "")
    begun = words[int(at)] if at.isdecimal() and int(at) < len(words) else ""
    if begun.startswith('"'):
        # no backslash keeps an interactive bash from replacing a "!" between such quotes by a former command
        name = re.sub(r'(["\\`$])', r"\\\1", name).replace("!", "\"'!'\"")
    elif begun.startswith("'"):
        name = name.replace("'", "'\"'\"'")
    else:
        name = shlex.quote(name)
    return name.replace("\\", "\\\\")  # click's script reads it with `read`, which takes one of two away


def _dataset_names(database: Database) -> Iterator[str]:
    from dsgctl.core import datasets

    return (row["name"] for row in datasets.list_datasets(database))


def _group_names(database: Database) -> Iterator[str]:
    from dsgctl.core import groups

    return (row["name"] for row in groups.list_groups(database))


def _service_account_names(database: Database) -> Iterator[str]:
    from dsgctl.core import service_accounts

    return (row["name"] for row in service_accounts.list_service_accounts(database))


DATASET = Name("dataset", _dataset_names)
GROUP = Name("group", _group_names)
SERVICE_ACCOUNT = Name("service account", _service_account_names)
