"""``dsgctl import``"""

from collections.abc import Callable, Iterator
from pathlib import Path

import click

from dsgctl.commands.options import dry_run_option, subcommand
from dsgctl.commands.output import echo, format_holdings, printable
from dsgctl.commands.parameters import DATASET
from dsgctl.commands.progress import progress
from dsgctl.commands.session import Session
from dsgctl.core import users
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.importers import clio, csv, datasetgateway, middle_auth, neuprint
from dsgctl.importers.engine.report import Report
from dsgctl.wording import counted


@click.group()
def command() -> None:
    """Take over people and facts from other systems, in one transaction.

    \b
    Exit codes: 0 done, 2 the source cannot be read or has bad rows, 4 something stands against it,
    or was left out. What is left out is named, and the rest is done. An error means that nothing was.
    """


def _print_report(session: Session, report: Report, source: str) -> None:
    added = format_holdings(report.added)
    session.output.done(
        f"{source}: added {added}" if report.changed else f"{source}: nothing to do, all of it is here already",
        source=source,
        changed=report.changed,
        added=report.added,
        unchanged=report.unchanged,
        skipped=report.skipped,
    )


LEFT_OUT = Conflict.exit_code  # something stood against a part of it


_MOST_TWINS = 20


def _new_twins(before: list[list[str]], after: list[list[str]]) -> Iterator[str]:
    """Addresses that most likely reach one person and are two accounts since this import."""
    known = set(map(frozenset, before))
    new = [addresses for addresses in after if frozenset(addresses) not in known]
    for addresses in new[:_MOST_TWINS]:
        accounts = counted(len(addresses), "account")
        yield f"{' and '.join(addresses)} most likely reach the same person, and are {accounts}"
    if len(new) > _MOST_TWINS:
        yield f"and {len(new) - _MOST_TWINS} more such people: dsgctl doctor"


def _run(session: Session, source: str, dry_run: bool, work: Callable[..., Report]) -> int:
    """Import and tell what came of it.

    Args:
        source: as messages and the log name it; no secret is in it.

    Returns:
        The exit code: not 0 if something of the source was left out, also in a dry run.
    """
    actor = f"import:{source if '://' in source else Path(source).name} by {session.actor}"
    try:
        with progress(source) as told, session.change(dry_run=dry_run, actor=actor) as change:
            before = users.list_twins(change.database)
            report = work(change, told)
            if report.added["users"]:
                report.remarks.extend(_new_twins(before, users.list_twins(change.database)))
    except (Invalid, Conflict) as error:
        problems = getattr(error, "problems", ())
        if len(problems) > 1 and not session.output.is_json:  # whose error is one object
            for line in problems:
                echo(printable(line), err=True)
        raise
    for line in report.left_out:
        echo(printable(f"left out: {line}"), err=True)
    for line in report.noted:
        echo(printable(f"not taken over: {line}"), err=True)
    for line in report.remarks:
        echo(printable(f"note: {line}"), err=True)
    if not dry_run:
        _print_report(session, report, source)
    return LEFT_OUT if report.left_out else 0


skip_conflicts_option = click.option(
    "--skip-conflicts", is_flag=True, help="Leave out what stands against what is here or against itself, and say so."
)


@subcommand(command, "datasetgateway", example="dsgctl import datasetgateway db.sqlite3 --dry-run")
@click.argument("file", metavar="DB.sqlite3")
@skip_conflicts_option
@dry_run_option
def datasetgateway_(session: Session, file: str, skip_conflicts: bool, dry_run: bool) -> int:
    """Take over a database of the original DatasetGateway: ids and tokens stay good."""
    return _run(
        session,
        file,
        dry_run,
        lambda change, progress: datasetgateway.run(
            change, Path(file), skip_conflicts=skip_conflicts, progress=progress
        ),
    )


@subcommand(command, "csv", example="dsgctl import csv people.csv --dataset fish2 --dry-run")
@click.argument("file", metavar="FILE")
@click.option("--dataset", type=DATASET, metavar="NAME", required=True, help="On which everybody gets 'view'.")
@dry_run_option
def csv_(session: Session, file: str, dataset: str, dry_run: bool) -> int:
    """Add people from a CSV file with columns email, name, affiliation, notes.

    They join the group 'user' and may view the dataset; what is known of people is only added to.
    """
    return _run(
        session, file, dry_run, lambda change, progress: csv.run(change, Path(file), dataset, progress=progress)
    )


@subcommand(command, "middle-auth", example="dsgctl import middle-auth dumps --dry-run")
@click.argument("source", metavar="SOURCE")
@skip_conflicts_option
@dry_run_option
def middle_auth_(session: Session, source: str, skip_conflicts: bool, dry_run: bool) -> int:
    """Take over CAVE's own server, middle_auth: ids and tokens stay good.

    SOURCE is a directory with a CSV dump of each of its tables (PostgreSQL's COPY, with header), or the URL of its
    database, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE, which is only read. Keep the password out
    of the URL: PGPASSWORD, ~/.pgpass or MYSQL_PWD.
    """
    return _run(
        session,
        middle_auth.label(source),
        dry_run,
        lambda change, progress: middle_auth.run(change, source, skip_conflicts=skip_conflicts, progress=progress),
    )


@subcommand(command, "clio", example="dsgctl import clio clio.json --dry-run")
@click.argument("file", metavar="FILE")
@skip_conflicts_option
@dry_run_option
def clio_(session: Session, file: str, skip_conflicts: bool, dry_run: bool) -> int:
    """Take over the JSON of clio-store's export: users with their roles and groups, and datasets.

    A global role 'admin' makes an admin; clio_general and clio_write give 'view' and 'edit' on all datasets of the
    file. On one dataset, clio_read and clio_general give 'view', clio_write 'edit', dataset_admin 'admin'. Everybody
    joins the group 'user', which may view the public datasets. Other roles are left out and named.
    """
    return _run(
        session,
        file,
        dry_run,
        lambda change, progress: clio.run(change, Path(file), skip_conflicts=skip_conflicts, progress=progress),
    )


@subcommand(command, "neuprint", example="dsgctl import neuprint authorized.json --dataset fish2 --dry-run")
@click.argument("file", metavar="FILE")
@click.option(
    "--dataset",
    "names",
    type=DATASET,
    metavar="NAME",
    required=True,
    multiple=True,
    help="On which the levels count; may be given several times.",
)
@skip_conflicts_option
@dry_run_option
def neuprint_(session: Session, file: str, names: tuple[str, ...], skip_conflicts: bool, dry_run: bool) -> int:
    """Take over neuPrint's authorized.json: who may read or write there.

    'readonly' gives 'view' on the datasets, 'readwrite' 'edit', and 'admin' makes an admin of the gateway. Any other
    level is left out and named.
    """
    return _run(
        session,
        file,
        dry_run,
        lambda change, progress: neuprint.run(
            change, Path(file), names, skip_conflicts=skip_conflicts, progress=progress
        ),
    )


@subcommand(command, "export", example="dsgctl import export dsg.json --dry-run")
@click.argument("file", metavar="FILE")
@dry_run_option
def export_(session: Session, file: str, dry_run: bool) -> int:
    """Put a document of 'dsgctl export' into an empty database, id for id."""
    # Not at the top: of the sources only this one needs to know every table.
    from dsgctl.importers import export

    return _run(session, file, dry_run, lambda change, progress: export.run(change, Path(file), progress=progress))
