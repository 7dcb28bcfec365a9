"""``dsgctl import``: one command for each importer in dsgctl/importers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dsgctl.commands.messages import echo, format_holdings, printable
from dsgctl.commands.options import dry_run_option, subcommand
from dsgctl.commands.parameters import DATASET, GROUP
from dsgctl.commands.progress import progress
from dsgctl.commands.session import Session
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.importers.engine.importer import BaseImporter, list_names, load
from dsgctl.importers.engine.report import Report
from dsgctl.operations.imports import run_import

_LEFT_OUT = Conflict.exit_code  # rows conflict, and the others were imported
_TYPES = {"dataset": DATASET, "group": GROUP}  # of an importer's option


class _Importers(click.Group):
    """Imports the module of an importer only when its command is typed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(list_names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands and (importer := load(cmd_name)):
            _add_command(cmd_name, importer)
        return self.commands.get(cmd_name)


@click.group(cls=_Importers)
def command() -> None:
    """Import people, permissions and datasets from other systems, in one transaction.

    Exit codes: 0 done, 2 the source cannot be read or has bad rows, 4 rows conflict or were left out. Rows that are
    left out are listed, and the others are imported. After an error, nothing is imported.
    """


_skip_conflicts_option = click.option(
    "--skip-conflicts",
    is_flag=True,
    help="Leave out rows that conflict with each other or with what exists here, and list them.",
)


def _add_command(name: str, importer: type[BaseImporter]) -> None:
    function: Callable[..., int] = dry_run_option(_import_with(importer))
    if importer.can_skip_conflicts:
        function = _skip_conflicts_option(function)
    for field, option in reversed(importer.options().items()):
        function = click.option(
            f"--{field.removesuffix('s') if option.multiple else field}",
            field,
            type=_TYPES[option.completes],
            metavar="NAME",
            required=True,
            multiple=option.multiple,
            help=option.help,
        )(function)
    function = click.argument("source", metavar=importer.metavar)(function)
    subcommand(command, name, example=importer.example, help=importer.__doc__)(function)


def _import_with(importer: type[BaseImporter]) -> Callable[..., int]:
    def run(session: Session, source: str, dry_run: bool, skip_conflicts: bool = False, **options: Any) -> int:
        """
        Args:
            options: as `BaseImporter.options` names them, each with its text or texts.

        Returns:
            The exit code: not 0 if rows were left out, also in a dry run.
        """
        return _import(session, importer(**options), source, dry_run=dry_run, skip_conflicts=skip_conflicts)

    return run


def _import(session: Session, importer: BaseImporter, source: str, *, dry_run: bool, skip_conflicts: bool) -> int:
    label = importer.label(source)
    actor = f"import:{label if '://' in label else Path(label).name} by {session.actor}"
    try:
        with progress(label) as show_progress, session.change(dry_run=dry_run, actor=actor) as change:
            report = run_import(importer, change, source, skip_conflicts=skip_conflicts, progress=show_progress)
    except (Invalid, Conflict) as error:
        problems = getattr(error, "problems", ())
        if len(problems) > 1 and not session.output.is_json:  # as JSON, an error is one object
            for line in problems:
                echo(printable(line), err=True)
        raise
    for line in report.left_out:
        echo(printable(f"left out: {line}"), err=True)
    for line in report.noted:
        echo(printable(f"not imported: {line}"), err=True)
    for line in report.remarks:
        echo(printable(f"note: {line}"), err=True)
    if not dry_run:
        _print_report(session, report, label)
    return _LEFT_OUT if report.left_out else 0


def _print_report(session: Session, report: Report, label: str) -> None:
    added = format_holdings(report.added)
    session.output.print_result(
        f"{label}: added {added}" if report.changed else f"{label}: nothing to do, all of it exists already",
        source=label,
        changed=report.changed,
        added=report.added,
        unchanged=report.unchanged,
        skipped=report.skipped,
    )
