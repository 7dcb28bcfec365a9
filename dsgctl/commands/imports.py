"""``dsgctl import``"""

from collections.abc import Callable
from pathlib import Path

import click

from dsgctl.commands.output import printable, wants_json
from dsgctl.commands.progress import progress
from dsgctl.commands.session import DATASET, Session, dry_run_option
from dsgctl.commands.session import command as subcommand
from dsgctl.core.errors import Invalid
from dsgctl.importers import Report, csv_file, datasetgateway


@click.group()
def command() -> None:
    """Take over people and facts from other systems. All of a source or nothing."""


def _print_report(session: Session, report: Report, source: str) -> None:
    added = ", ".join(f"{count} {kind}" for kind, count in report.added.items() if count)
    session.output.done(
        f"{source}: added {added}" if added else f"{source}: nothing to do, all of it is here already",
        source=source, changed=report.changed, added=report.added, unchanged=report.unchanged, skipped=report.skipped,
    )  # fmt: skip


def _run(session: Session, source: str, dry_run: bool, work: Callable[..., Report]) -> None:
    actor = f"import:{Path(source).name} by {session.actor}"
    try:
        with progress(source) as told, session.change(dry_run=dry_run, actor=actor) as change:
            report = work(change, told)
    except Invalid as error:
        problems = getattr(error, "problems", ())
        if len(problems) > 1 and not wants_json():  # whose error is one object
            for line in problems:
                click.echo(printable(line), err=True)
        raise
    for line in report.skipped:
        click.echo(printable(f"not taken over: {line}"), err=True)
    if not dry_run:
        _print_report(session, report, source)


@subcommand(command, "datasetgateway", example="dsgctl import datasetgateway db.sqlite3 --dry-run")
@click.argument("file", metavar="DB.sqlite3")
@dry_run_option
def datasetgateway_(session: Session, file: str, dry_run: bool) -> None:
    """Take over a database of the original DatasetGateway: ids and tokens stay good."""
    _run(session, file, dry_run, lambda change, progress: datasetgateway.run(change, Path(file), progress=progress))


@subcommand(command, "csv", example="dsgctl import csv people.csv --dataset fish2 --dry-run")
@click.argument("file", metavar="FILE")
@click.option("--dataset", type=DATASET, metavar="NAME", required=True, help="On which everybody gets 'view'.")
@dry_run_option
def csv_(session: Session, file: str, dataset: str, dry_run: bool) -> None:
    """Add people from a CSV file with columns email, name, affiliation, notes.

    They join the group 'user' and may view the dataset; what is known of people is only added to.
    """
    _run(session, file, dry_run, lambda change, progress: csv_file.run(change, Path(file), dataset, progress=progress))


@subcommand(command, "export", example="dsgctl import export dsg.json --dry-run")
@click.argument("file", metavar="FILE")
@dry_run_option
def export_(session: Session, file: str, dry_run: bool) -> None:
    """Put a document of 'dsgctl export' into an empty database, id for id."""
    # Not at the top: of the sources only this one needs to know every table.
    from dsgctl.importers import export_file

    _run(session, file, dry_run, lambda change, progress: export_file.run(change, Path(file), progress=progress))
