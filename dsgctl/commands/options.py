"""Declares commands: the decorator of every verb, and shared options."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from dsgctl.commands.invocation import INVOCATION
from dsgctl.commands.output import FORMATS, Output
from dsgctl.commands.parameters import ID
from dsgctl.commands.session import Session
from dsgctl.core.errors import DsgError

Function = TypeVar("Function", bound=Callable[..., Any])


class _Once(click.Command):
    """Refuses an option that occurs twice: of two ``--user``, click would silently drop the first."""

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
                ctx.fail(f"{'/'.join(param.opts[-1:] + param.secondary_opts)} occurs twice; use it once")
        return super().parse_args(ctx, args)

    def get_short_help_str(self, limit: int = 0) -> str:
        """The whole first sentence, which lists of commands wrap. Click cuts it off at ``limit``."""
        return super().get_short_help_str(limit=1000)


def subcommand(group: click.Group, name: str, *, example: str, **settings: Any) -> Callable[[Function], click.Command]:
    """Declare a verb of a noun. It gets the option ``-o``, and its help shows an example."""

    def decorate(function: Function) -> click.Command:
        function = _require_allowed(function)
        epilog = "\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines())
        return group.command(name, cls=_Once, epilog=epilog, **settings)(output_option(click.pass_obj(function)))

    return decorate


def _require_allowed(function: Function) -> Function:
    """Check first, with ``--as``, whether this person may run this command (delegated.py)."""

    @wraps(function)
    def run(session: Session, /, *arguments: Any, **options: Any) -> Any:
        if session.on_behalf is None:
            return function(session, *arguments, **options)
        from dsgctl.commands import delegated  # only with --as

        delegate = session.find_delegate()
        session.delegate = None if delegate.manages_gateway else delegate
        delegated.require_command(delegate, click.get_current_context())
        try:
            return function(session, *arguments, **options)
        except DsgError as error:
            if session.delegate is not None:
                error.hint = delegated.hint_for(session.delegate, error.hint)
            raise

    return run  # type: ignore[return-value]


def choose_output(ctx: click.Context, param: click.Parameter, value: str) -> None:
    """Choose the format of the answer and of errors."""
    if INVOCATION in ctx.meta:
        ctx.meta[INVOCATION].format = value
    ctx.obj.output = Output(value)


output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    default="table",
    expose_value=False,
    is_eager=True,  # an error in another option is reported in this format too
    callback=choose_output,
    help="Format of the answer. table is for people; the others are stable.",
)

dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
last_admin_option = click.option("--last-admin", is_flag=True, help="Allow it although no admin remains.")
LIMIT = click.option("--limit", metavar="NUMBER", type=ID, help="List at most this many.")
