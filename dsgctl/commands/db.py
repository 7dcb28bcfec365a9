"""``dsgctl db``"""

import sys
from pathlib import Path

import click

from dsgctl.commands.messages import echo, printable
from dsgctl.commands.options import subcommand, yes_option
from dsgctl.commands.session import Session
from dsgctl.core import audit
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid
from dsgctl.core.transaction import accept_clock, require_clock
from dsgctl.operations import maintenance
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgctl.store.sqlite.shell import BadStatement, is_complete
from dsgctl.wording import format_count


@click.group()
def command() -> None:
    """The database: create, upgrade, check, back up, restore."""


@subcommand(command, "migrate", example="dsgctl db migrate")
def migrate_(session: Session) -> None:
    """Create the database, or upgrade it to the schema of this release. The former database is kept as a copy.

    The upgrade is one transaction, and safe to repeat. Servers of the former release answer 503 afterwards.
    """
    path = session.config.database
    upgrade = maintenance.upgrade_database(path, now())
    ran = f" now ({format_count(upgrade.migrations, 'migration')} ran)" if upgrade.migrations else " already"
    sentence = f"{path} has schema {LATEST}{ran}"
    if upgrade.former:
        sentence += f"; to go back, stop the servers and: mv {upgrade.former} {path}"
    session.output.print_result(
        sentence,
        value="schema",
        path=str(path),
        schema=LATEST,
        changed=bool(upgrade.migrations),
        former=str(upgrade.former) if upgrade.former else None,
    )


@subcommand(command, "check", example="dsgctl db check\ndsgctl db check --mend")
@click.option("--mend", is_flag=True, help="Delete rows that refer to rows which the sqlite3 shell deleted.")
def check(session: Session, mend: bool) -> None:
    """Check the file, its schema, its references, and the chain of audit records."""
    maintenance.require_sound(session.database, session.change, mend=mend)
    session.output.print_result(
        f"{session.database.path} is sound", value="sound", path=session.database.path, sound=True
    )


@subcommand(command, "clock", example="dsgctl db clock\ndsgctl db clock --accept")
@click.option("--accept", is_flag=True, help="The clock is right now; it was wrong when the later changes were made.")
def clock(session: Session, accept: bool) -> None:
    """Show whether this host's clock is behind the latest change in the database.

    If it is, no server starts and every change is refused: tokens and grants that have ended would be valid again.
    """
    if accept:
        with session.change(any_clock=True) as change:
            accept_clock(change)
    at, latest = now(), audit.find_latest_change(session.database)
    if not accept:
        require_clock(session.database, at)
    session.output.print_result(
        f"the clock says {at:%Y-%m-%d %H:%M} UTC; the latest change was made at {latest:%Y-%m-%d %H:%M} UTC"
        if latest
        else f"the clock says {at:%Y-%m-%d %H:%M} UTC; nothing was changed here yet",
        value="now",
        now=at,
        latest_change=latest,
        changed=accept,
    )


@subcommand(command, "info", example="dsgctl db info")
def info(session: Session) -> None:
    """Show the path of the database, its schema, its size, and the engine."""
    session.output.print_record(maintenance.describe_database(session.config.database), value="schema")


@subcommand(
    command,
    "shell",
    example="dsgctl db shell 'SELECT email FROM principals WHERE admin'\n"
    """dsgctl db shell --write "UPDATE principals SET pi = 'Bo' WHERE email = 'ada@example.org'\"""",
)
@click.argument("statements", metavar="[SQL]...", nargs=-1)
@click.option("--write", is_flag=True, help="Allow changes, in one transaction with an audit record.")
def shell(session: Session, statements: tuple[str, ...], write: bool) -> None:
    """Run SQL from the arguments or standard input with dsgctl's own SQLite. Without --write it only reads.

    Do not change rows with the host's sqlite3: versions before 3.51.3 can corrupt the file while a server writes to
    it. Foreign keys are enforced here, other rules of 'dsgctl' are not.
    """
    database = session.database if write else SqliteDatabase(session.config.database, read_only=True)
    if statements or not sys.stdin.isatty():
        _run_sql(session, database, ";\n".join(statements) if statements else sys.stdin.read(), write=write)
        return
    import readline  # noqa: F401  so that arrow keys work

    sql = ""
    while (line := _ask("sql> " if not sql else "...> ")) is not None:
        sql = f"{sql}\n{line}" if line else ""
        if not is_complete(sql):
            continue
        try:
            _run_sql(session, database, sql, write=write)
        except BadStatement as error:
            echo(f"dsgctl: {printable(error.message)}; {error.hint}", err=True)
        sql = ""


def _ask(prompt: str) -> str | None:
    """A line from the terminal; empty after Ctrl-C, None at the end of the input."""
    try:
        return input(prompt)
    except EOFError:
        return None
    except KeyboardInterrupt:
        echo("", err=True)
        return ""


def _run_sql(session: Session, database: Database, sql: str, *, write: bool) -> None:
    answers = maintenance.run_sql(database, sql, session.change if write else None)
    if write and not answers:
        session.output.print_result("done; the statements are in the audit log", changed=True)
    for answer in answers:
        rows = (dict(zip(answer.columns, row, strict=True)) for row in answer.rows)
        session.output.print_rows(rows, answer.columns, value=answer.columns[0])


@subcommand(command, "backup", example="dsgctl db backup\ndsgctl db backup --to-stdout > dsg.tar.gz.age")
@click.option(
    "--to", metavar="DIRECTORY", type=click.Path(path_type=Path), help="Write the bundle here, not to DSG_BACKUP_DIR."
)
@click.option("--to-stdout", is_flag=True, help="Write the bundle to standard output, for a pipe over ssh.")
@click.option("--in-clear", is_flag=True, help="Do not encrypt. The bundle shows who has which permissions.")
@click.option("--no-prune", is_flag=True, help="Do not delete older bundles.")
def backup_(session: Session, to: Path | None, *, to_stdout: bool, in_clear: bool, no_prune: bool) -> None:
    """Back up the database while it is in use: copy, verify and encrypt it, and prune older bundles."""
    from dsgctl.operations.backup.create import create_backup  # tar, gzip and age, which few commands need

    if to and to_stdout:
        raise Invalid("--to and --to-stdout exclude each other", "leave out one of them")
    stdout = sys.stdout.buffer if to_stdout else None
    if to_stdout and sys.stdout.isatty():
        raise Invalid("a bundle cannot be written to a terminal", "pipe it: dsgctl db backup --to-stdout > FILE")
    result = create_backup(
        session.config,
        now(),
        to=to,
        stream=stdout,
        env_file=session.settings_file,
        in_clear=in_clear,
        prune=not no_prune,
    )
    rows = sum(result.manifest.rows.values())
    if result.path is None:
        echo(f"wrote {result.size} bytes, {rows} rows, SHA-256 {result.sha256}", err=True)
        return
    pruned = f"; deleted {format_count(len(result.pruned), 'older bundle')}" if result.pruned else ""
    session.output.print_result(
        f"{result.path}: {result.size} bytes, {rows} rows, verified{pruned}",
        value="path",
        path=str(result.path),
        bytes=result.size,
        sha256=result.sha256,
        rows=result.manifest.rows,
        pruned=result.pruned,
    )


@subcommand(command, "restore", example="dsgctl db restore dsg-backup-20261123T010000Z.tar.gz.age")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--identity",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read the secret age keys from here, not from DSG_BACKUP_AGE_IDENTITY_FILE.",
)
@click.option(
    "--apply", "apply_", is_flag=True, help="Replace the database. Without this option the bundle is only verified."
)
@click.option(
    "--secrets-to",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    help="Write settings, OAuth client and age recipients there: on a new host, /etc/dsg.",
)
@yes_option
def restore(
    session: Session, bundle: Path, identity: Path | None, *, apply_: bool, secrets_to: Path | None, yes: bool
) -> None:
    """Verify a bundle, or restore it: --apply replaces the database and keeps the former one beside it."""
    from dsgctl.operations.backup import restore as operation  # as above

    path = session.config.database
    with operation.open_bundle(bundle, session.config, identity=identity) as (files, manifest):
        rows = sum(manifest.rows.values())
        sentence = f"{bundle.name} is sound: made {manifest.created} by {manifest.version}, {rows} rows"
        former, written = None, []
        if secrets_to is not None:  # before the database: it is refused where such files exist
            written = operation.restore_settings(files, manifest, secrets_to)
            for file in written:
                echo(printable(f"wrote {file}"), err=True)
            for problem in operation.list_misplaced_settings(secrets_to, path):
                echo(printable(f"note: {problem}"), err=True)
        if apply_:
            session.confirm(
                f"all changes since {manifest.created} will be undone, including revocations of tokens and of access",
                yes=yes,
            )
            former = operation.restore_database(files, manifest, path, now(), session.change)
            sentence = f"restored {path} to its state of {manifest.created}"
            sentence += "; run 'dsgctl db migrate' next" if manifest.schema < LATEST else ""
            sentence += f"; the former database is {former}" if former else ""
    session.output.print_result(
        sentence,
        value="created",
        bundle=str(bundle),
        created=manifest.created,
        version=manifest.version,
        schema=manifest.schema,
        rows=manifest.rows,
        applied=apply_,
        former=str(former) if former else None,
        written=[str(file) for file in written],
    )
