"""``dsgctl db``"""

import sys
from pathlib import Path

import click

from dsgctl.commands.output import echo, printable
from dsgctl.commands.session import Session, yes_option
from dsgctl.commands.session import command as subcommand
from dsgctl.core import audit, delegated_grants
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError, Invalid
from dsgctl.core.transaction import accept_clock, require_clock
from dsgctl.core.validation import MAX_TEXT
from dsgctl.store import Database
from dsgctl.store.database import owner_name
from dsgctl.store.migrations import LATEST, copy_before_migration, migrate, schema_number, schema_problems
from dsgctl.store.models import utc_text
from dsgctl.store.shell import BadStatement, is_complete
from dsgctl.store.shell import run as run_sql
from dsgctl.wording import counted


@click.group()
def command() -> None:
    """The database file: create, upgrade, check."""


@subcommand(command, "migrate", example="dsgctl db migrate")
def migrate_(session: Session) -> None:
    """Create the database, or bring it to the schema of this release; a copy of the former one is kept.

    All or nothing, and safe to run again. Meanwhile servers of the release before answer what they can
    read, and 503 once the schema is another.
    """
    path, at = session.config.database, utc_text(now())
    former = copy_before_migration(path, at)
    ran = migrate(path, now=at)
    sentence = f"{path} has schema {LATEST}" + (f" now ({counted(len(ran), 'migration')} ran)" if ran else " already")
    if former:
        sentence += f"; to go back, stop the servers and: mv {former} {path}"
    session.output.done(
        sentence,
        value="schema",
        path=str(path),
        schema=LATEST,
        changed=bool(ran),
        former=str(former) if former else None,
    )


@subcommand(command, "check", example="dsgctl db check\ndsgctl db check --mend")
@click.option("--mend", is_flag=True, help="Delete what the sqlite3 shell left of deleted rows.")
def check(session: Session, mend: bool) -> None:
    """Look for damage: the file, its schema, its references, the chain of audit records."""
    foreign = schema_problems(session.database)
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise DsgError(
            f"{session.database.path}: {'; '.join(foreign[:3])}{more}",
            "a trigger or view can undo any rule: find out who did it, and restore a backup",
        )
    problems = session.database.integrity_problems()
    dangling = session.database.dangling()
    if dangling and mend and not problems:
        with session.change() as change:
            session.database.mend_dangling()
            change.record("db.mend", f"database:{session.database.path}", before={"rows": dangling[:1000]})
        dangling = session.database.dangling()
    if dangling and not problems:
        more = f" and {len(dangling) - 1} more such" if len(dangling) > 1 else ""
        raise DsgError(f"{session.database.path}: {dangling[0]}{more}", "dsgctl db check --mend deletes what is left")
    unsupported = delegated_grants.unsupported(session.database) if not problems else 0
    if unsupported and mend:
        with session.change():
            pass  # every change takes back what is no longer supported
    elif unsupported:
        raise DsgError(
            f"{session.database.path}: what was given with --as reaches further than what its givers hold: "
            f"{unsupported} to take back or shorten",
            "the next change does it, or dsgctl db check --mend",
        )
    broken = audit.verify(session.database)
    if broken is not None:
        problems.append(f"audit record {broken} does not follow from the one before it: somebody changed the log")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DsgError(f"{session.database.path}: {'; '.join(problems[:3])}{more}", "restore a backup")
    session.output.done(f"{session.database.path} is sound", value="sound", path=session.database.path, sound=True)


@subcommand(command, "clock", example="dsgctl db clock\ndsgctl db clock --accept")
@click.option("--accept", is_flag=True, help="The clock is right now; it was the later changes that had a wrong one.")
def clock(session: Session, accept: bool) -> None:
    """Show whether this host's clock is behind the latest change that was ever made here.

    If it is, no server starts and nothing is changed: tokens and grants that have ended would count again.
    """
    if accept:
        with session.change(any_clock=True) as change:
            accept_clock(change)
    at, latest = now(), audit.latest(session.database)
    if not accept:
        require_clock(session.database, at)
    session.output.done(
        f"the clock says {at:%Y-%m-%d %H:%M} UTC; the latest change is of {latest:%Y-%m-%d %H:%M} UTC"
        if latest
        else f"the clock says {at:%Y-%m-%d %H:%M} UTC; nothing was changed here yet",
        value="now",
        now=at,
        latest_change=latest,
        changed=accept,
    )


@subcommand(command, "info", example="dsgctl db info")
def info(session: Session) -> None:
    """Where the database is, its schema, its size, and the engine."""
    path = Path(session.config.database)
    database = Database(path)
    record = {
        "path": str(path),
        "schema": schema_number(database),
        "schema_of_this_release": LATEST,
        "engine": database.engine(),
        "bytes": path.stat().st_size,
        "owner": owner_name(path),
        "mode": f"{path.stat().st_mode & 0o777:04o}",
    }
    session.output.one(record, value="schema")


@subcommand(
    command,
    "shell",
    example="dsgctl db shell 'SELECT email FROM principals WHERE admin'\n"
    """dsgctl db shell --write "UPDATE principals SET pi = 'Bo' WHERE email = 'ada@example.org'\"""",
)
@click.argument("statements", metavar="[SQL]...", nargs=-1)
@click.option("--write", is_flag=True, help="Change rows too: all of it or nothing, with an audit record.")
def shell(session: Session, statements: tuple[str, ...], write: bool) -> None:
    """Run SQL by our own SQLite, from the arguments or from standard input. It reads, unless it is told to --write.

    Use this and not the host's sqlite3 to change rows: versions before 3.51.3 can corrupt the file while a server
    writes to it. Foreign keys count here, and rules of 'dsgctl' do not.
    """
    database = session.database if write else Database(session.config.database, read_only=True)
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
    """A line that somebody typed; empty after Ctrl-C, None at the end."""
    try:
        return input(prompt)
    except EOFError:
        return None
    except KeyboardInterrupt:
        echo("", err=True)
        return ""


def _run_sql(session: Session, database: Database, sql: str, *, write: bool) -> None:
    if write:
        with session.change() as change:
            answers = run_sql(database, sql, write=True)
            change.record("db.shell", f"database:{database.path}", after={"sql": sql[:MAX_TEXT]})
    else:
        answers = run_sql(database, sql, write=False)
    if write and not answers:
        session.output.done("done; the statements are in the audit log", changed=True)
    for answer in answers:
        rows = (dict(zip(answer.columns, row, strict=True)) for row in answer.rows)
        session.output.rows(rows, answer.columns, value=answer.columns[0])


@subcommand(command, "backup", example="dsgctl db backup\ndsgctl db backup --to-stdout > dsg.tar.gz.age")
@click.option("--to", metavar="DIRECTORY", type=click.Path(path_type=Path), help="Instead of DSG_BACKUP_DIR.")
@click.option("--to-stdout", is_flag=True, help="Write the bundle to standard output, for a pipe over ssh.")
@click.option("--in-clear", is_flag=True, help="Do not encrypt: whoever reads it knows who may see what.")
@click.option("--no-prune", is_flag=True, help="Keep the older bundles, whatever their age.")
def backup_(session: Session, to: Path | None, *, to_stdout: bool, in_clear: bool, no_prune: bool) -> None:
    """Copy the database while it is in use; verify, encrypt and ship the copy, and prune older ones."""
    from dsgctl.operations import backup  # tar, gzip and age, which no other command needs

    if to and to_stdout:
        raise Invalid("--to and --to-stdout are two places", "say one")
    stdout = sys.stdout.buffer if to_stdout else None
    if to_stdout and sys.stdout.isatty():
        raise Invalid("a bundle is not for a terminal", "pipe it: dsgctl db backup --to-stdout > FILE")
    made = backup.make_backup(
        session.config,
        now(),
        to=to,
        stream=stdout,
        env_file=session.settings_file,
        in_clear=in_clear,
        prune=not no_prune,
    )
    rows = sum(made.manifest.rows.values())
    if made.path is None:
        echo(f"wrote {made.size} bytes, {rows} rows, SHA-256 {made.sha256}", err=True)
        return
    pruned = f"; deleted {counted(len(made.pruned), 'older bundle')}" if made.pruned else ""
    session.output.done(
        f"{made.path}: {made.size} bytes, {rows} rows, verified{pruned}",
        value="path",
        path=str(made.path),
        bytes=made.size,
        sha256=made.sha256,
        rows=made.manifest.rows,
        pruned=made.pruned,
    )


@subcommand(command, "restore", example="dsgctl db restore dsg-backup-20261123T010000Z.tar.gz.age")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--identity",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Secret age keys, instead of DSG_BACKUP_AGE_IDENTITY_FILE.",
)
@click.option("--apply", "apply_", is_flag=True, help="Put it into place; without this the bundle is only verified.")
@click.option(
    "--secrets-to",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    help="Write settings, OAuth client and recipients there: on a new host, /etc/dsg.",
)
@yes_option
def restore(
    session: Session, bundle: Path, identity: Path | None, *, apply_: bool, secrets_to: Path | None, yes: bool
) -> None:
    """Verify a bundle, and with --apply put its database into place; the one that is there is kept beside it."""
    from dsgctl.operations import backup

    path = Path(session.config.database)
    with backup.open_bundle(bundle, session.config, identity=identity) as (files, manifest):
        rows = sum(manifest.rows.values())
        sentence = f"{bundle.name} is sound: made {manifest.created} by {manifest.version}, {rows} rows"
        aside, written = None, []
        if secrets_to is not None:  # before the database: it says no where such files are already
            written = backup.give_secrets(files, manifest, secrets_to)
            for file in written:
                echo(printable(f"wrote {file}"), err=True)
            for problem in backup.list_misplaced_settings(secrets_to, path):
                echo(printable(f"note: {problem}"), err=True)
        if apply_:
            session.confirm(
                f"all changes since {manifest.created} are undone, revocations of tokens and access too", yes=yes
            )
            aside = backup.apply(files, manifest, path, now())
            sentence = f"{path} is as it was at {manifest.created}"
            if manifest.schema < LATEST:
                sentence += "; run 'dsgctl db migrate' next"
            else:
                with session.change() as opened:
                    opened.record("db.restore", f"database:{path}", after={"created": manifest.created})
            if aside:
                sentence += f"; the former one is {aside}"
    session.output.done(
        sentence,
        value="created",
        bundle=str(bundle),
        created=manifest.created,
        version=manifest.version,
        schema=manifest.schema,
        rows=manifest.rows,
        applied=apply_,
        former=str(aside) if aside else None,
        written=[str(file) for file in written],
    )
