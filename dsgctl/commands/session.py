"""The session of a command: settings, database, actor and output."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dsgctl.commands.actor import os_actor
from dsgctl.commands.imports_on_use import imports_on_use
from dsgctl.commands.messages import ask_yes, echo
from dsgctl.commands.output import Output
from dsgctl.config import Config
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid
from dsgctl.memory import forbid_core_dumps
from dsgctl.settings import Settings, find_settings_file, load_from_environment, read_settings
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgctl.wording import format_count

if TYPE_CHECKING:
    from dsgctl.core.audit import Record
    from dsgctl.core.change import Change
    from dsgctl.core.delegation import Delegate

with imports_on_use():
    from dsgctl.core import delegation, transaction


class Session:
    """One run of ``dsgctl``. Settings and database are read when they are first used."""

    def __init__(self, env_file: str | None, *, debug: bool, on_behalf: str | None = None) -> None:
        """
        Args:
            on_behalf: the email of the person for whom the command is run (``--as``); None for an operator.
        """
        forbid_core_dumps()
        self.env_file = env_file
        self.debug = debug
        self.on_behalf = on_behalf
        self.delegate: Delegate | None = None  # set with --as, unless that person manages the gateway
        self.output = Output("table")
        self._config: Config | None = None
        self._database: Database | None = None

    @property
    def config(self) -> Config:
        if self._config is None:
            self._config = load_from_environment(self.env_file)
        return self._config

    @property
    def settings(self) -> Settings:
        """The settings with their errors, for commands that examine them."""
        return read_settings(os.environ, self.env_file)

    @property
    def settings_file(self) -> Path:
        """The file that settings are read from; it may not exist."""
        return Path(find_settings_file(os.environ, self.env_file)[0])

    @property
    def database(self) -> Database:
        if self._database is None:
            self._database = open_current(self.config.database)
        return self._database

    @property
    def actor(self) -> str:
        return f"user:{self.on_behalf} by {os_actor()}" if self.on_behalf is not None else os_actor()

    def find_delegate(self) -> "Delegate":
        """The person for whom the commands of this session are run. Sets `on_behalf` to their email as stored.

        Raises:
            NotAllowed: there is no such account, or it is disabled.
        """
        delegate = delegation.find_delegate(self.on_behalf or "", self.database, now())
        self.on_behalf = delegate.email
        return delegate

    @contextmanager
    def change(
        self,
        *,
        dry_run: bool = False,
        actor: str | None = None,
        watch: "Callable[[Record], None] | None" = None,
        any_clock: bool = False,
    ) -> "Iterator[Change]":
        """Change the database as the person who typed the command; a dry run prints what it would change.

        Args:
            watch: called with each audit record; nothing is printed then.
            any_clock: allow the change although the host's clock is behind the newest change.

        Raises:
            DsgError: the host's clock is behind.
        """
        if not any_clock:
            transaction.require_clock(self.database, now())
        delegate = partial(delegation.find_delegate, self.on_behalf) if self.on_behalf is not None else None
        plan: list[Record] = []
        prints_plan = dry_run and watch is None
        if prints_plan:
            watch = plan.append
        with transaction.begin_change(
            self.database, actor or self.actor, dry_run=dry_run, watch=watch, delegate=delegate
        ) as change:
            yield change
        if prints_plan:
            self.print_plan(plan)
        elif not dry_run:
            self._print_consequences(change.consequences)

    def _print_consequences(self, count: int) -> None:
        """Print how many grants and memberships a change ended or shortened besides its own, if any."""
        if count and self.output.format == "table":
            hint = "" if self.on_behalf is not None else "; 'dsgctl audit list' names each"
            echo(f"grants and memberships that depended on this and ended, or now end sooner: {count}{hint}", err=True)

    def print_plan(self, records: "list[Record]") -> None:
        """Print what a run would change."""
        if self.output.format == "table":
            echo(f"dry run, nothing was changed; a run would make {format_count(len(records), 'change')}", err=True)
        rows = [
            {"action": record.action, "target": record.target, "before": record.before, "after": record.after}
            for record in records
        ]
        self.output.print_rows(rows, ["action", "target", "before", "after"], value="action")

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before a change that cannot be undone, unless ``yes`` is set.

        Raises:
            Invalid: standard input or standard error is not a terminal.
            click.Abort: the answer was no.
        """
        if yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise Invalid(f"not confirmed: {question}", "use -y to skip the question")
        ask_yes(f"{question}; go on?")
