"""``dsgctl status``"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dsgctl import __version__, processes
from dsgctl.commands.output import FORMATS, Output
from dsgctl.commands.session import Session
from dsgctl.core import overview
from dsgctl.core.clock import now

COUNTS = ("requests", "denied", "failed", "answers_kept", "answers_built", "logins", "logins_failed",
          "gcs_tokens", "gcs_tokens_refused", "calls", "calls_refused")  # fmt: skip


@click.command(epilog="\b\nExample:\n  dsgctl status -o json\n  dsgctl status -o prometheus")
@click.option("-o", "--output", "format", type=click.Choice([*FORMATS, "prometheus"]), default="table",
              help="How to print the answer; prometheus is for the node exporter's text-file collector.")  # fmt: skip
@click.pass_obj
def command(session: Session, format: str) -> None:
    """What there is, and what the servers have done since they started, on one screen."""
    at = now()
    record = _record(session, at)
    if format == "prometheus":
        for line in _prometheus(record, at):
            click.echo(line)
        return
    Output(format).one(record, value="users")


def _record(session: Session, at: datetime) -> dict[str, Any]:
    database = session.database
    running = processes.running(Path(database.path))
    return {
        "version": __version__,
        "database": database.path,
        "origin": session.config.origin,
        "servers": [
            f"{one.pid} (release {one.version}), up since {_moment(one.started):%Y-%m-%d %H:%M UTC}" for one in running
        ],
        **{name: sum(one.counts.get(name, 0) for one in running) for name in COUNTS},
        **overview.counts(database, at),
        "last_backup": _last_backup(session),
    }


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _last_backup(session: Session) -> datetime | None:
    directory = session.config.backup_dir
    if directory is None or not directory.is_dir():
        return None
    from dsgctl import backup  # only where backups are made

    return next(iter(backup.listed(directory).values()), None)


def _prometheus(record: dict[str, Any], at: datetime) -> list[str]:
    """https://prometheus.io/docs/instrumenting/exposition_formats/, text format"""
    numbers = {name: held for name, held in record.items() if isinstance(held, int)}
    numbers["servers"] = len(record["servers"])
    if record["last_backup"] is not None:
        numbers["last_backup_age_seconds"] = int((at - record["last_backup"]).total_seconds())
    lines = []
    for name, number in numbers.items():
        kind = "counter" if name in COUNTS else "gauge"
        full = f"dsg_{name}{'_total' if kind == 'counter' else ''}"
        lines += [f"# TYPE {full} {kind}", f"{full} {number}"]
    return lines
