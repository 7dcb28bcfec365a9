"""``dsgctl db``"""

from pathlib import Path

import click

from dsgctl.commands.session import Session
from dsgctl.commands.session import command as subcommand
from dsgctl.core import audit
from dsgctl.core.change import now
from dsgctl.core.errors import DsgError
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST, migrate, schema_number
from dsgctl.store.models import utc_text


@click.group()
def command() -> None:
    """The database file: create, upgrade, check."""


@subcommand(command, "migrate", example="dsgctl db migrate")
def migrate_(session: Session) -> None:
    """Create the database, or bring it to the schema of this release. Safe to run again."""
    path = session.config.database
    ran = migrate(path, now=utc_text(now()))
    sentence = f"{path} has schema {LATEST}" + (f" now ({len(ran)} migrations ran)" if ran else " already")
    session.output.done(sentence, value="schema", path=str(path), schema=LATEST, changed=bool(ran))


@subcommand(command, "check", example="dsgctl db check")
def check(session: Session) -> None:
    """Look for damage: the file, its references, the chain of audit records."""
    problems = session.database.integrity_problems()
    broken = audit.verify(session.database)
    if broken is not None:
        problems.append(f"audit record {broken} does not follow from the one before it: somebody changed the log")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DsgError(f"{session.database.path}: {'; '.join(problems[:3])}{more}", "restore a backup")
    session.output.done(f"{session.database.path} is sound", value="sound", path=session.database.path, sound=True)


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
        "owner": path.owner(),
        "mode": f"{path.stat().st_mode & 0o777:04o}",
    }
    session.output.one(record, value="schema")
