"""``dsgctl status``"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dsgctl import __version__
from dsgctl.commands.output import FORMATS, Output, echo
from dsgctl.commands.session import Session
from dsgctl.core import clock, statistics
from dsgctl.core.clock import now
from dsgctl.store import process_registry
from dsgctl.store.process_registry import Process

# What the servers count (dsgserve/process/metrics.py), added up over those that run, and what it means.
COUNTS = {
    "requests": "Requests that were answered.",
    "denied": "Answers of 401 and 403.",
    "failed": "Answers of 500 and above.",
    "answers_kept": "Answers of user/cache that were kept from before.",
    "answers_built": "Answers of user/cache that were made anew.",
    "logins": "People who signed in.",
    "logins_failed": "Logins that were refused or broke off.",
    "gcs_tokens": "Google tokens that were handed out.",
    "gcs_tokens_refused": "Google tokens refused for want of a token, a permission or terms.",
    "calls": "Calls to the provider and to Google.",
    "calls_refused": "Calls for which there was no place.",
}
# What there is (core/statistics.py).
NUMBERS = {
    "revision": "Moves with every change to the facts that decide access.",
    "users": "People with an account.",
    "disabled_users": "Of these, disabled ones.",
    "admins": "Active people who manage the gateway.",
    "service_accounts": "Accounts of programs.",
    "groups": "Groups of people.",
    "datasets": "Datasets.",
    "grants": "Grants.",
    "grants_ending_within_30_days": "Grants that end within 30 days.",
    "tokens": "Tokens that are good now.",
    "terms": "Documents of terms.",
    "audit_records": "Records in the audit log.",
    "pending_terms": "Pairs of a person and terms that they have not accepted.",
}


@click.command(epilog="\b\nExample:\n  dsgctl status -o json\n  dsgctl status -o prometheus")
@click.option(
    "-o",
    "--output",
    "format",
    type=click.Choice([*FORMATS, "prometheus"]),
    default="table",
    help="How to print the answer; value prints NAME=VALUE lines, prometheus is for the node exporter's "
    "text-file collector.",
)
@click.pass_obj
def command(session: Session, format: str) -> None:
    """What there is, and what the servers have done since they started, on one screen."""
    at = now()
    running = process_registry.list_running(Path(session.database.path), now=clock.seconds())
    record = _record(session, running, at)
    if format == "prometheus":
        for line in _prometheus(record, running, at):
            echo(line)
        return
    output = Output(format)
    if format == "value":
        for name in record:
            Output("value").one({name: _pair(name, record[name])}, value=name)
    elif format == "table":
        output.one(record | {"servers": [_sentence(one) for one in running]}, value="users")
    else:
        output.one(record, value="users")


def _record(session: Session, running: list[Process], at: datetime) -> dict[str, Any]:
    database = session.database
    return {
        "version": __version__,
        "database": database.path,
        "origin": session.config.origin,
        "servers": [
            {
                "pid": one.pid,
                "version": one.version,
                "started": _moment(one.started),
                "seen": _moment(one.reported_at),
                "listening": list(one.listening),
            }
            for one in running
        ],
        **{name: sum(one.counts.get(name, 0) for one in running) for name in COUNTS},
        **statistics.count_all(database, at),
        "last_backup": _last_backup(session),
    }


def _sentence(one: Process) -> str:
    where = f" on {', '.join(one.listening)}" if one.listening else ""
    return f"{one.pid} (release {one.version}){where}, up since {_moment(one.started):%Y-%m-%d %H:%M UTC}"


def _pair(name: str, held: Any) -> str:
    """A line for shells; of the servers their numbers of processes."""
    if name == "servers":
        held = " ".join(str(one["pid"]) for one in held)
    elif isinstance(held, datetime):
        held = f"{held:%Y-%m-%dT%H:%M:%SZ}"
    return f"{name}={'' if held is None else held}"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _last_backup(session: Session) -> datetime | None:
    directory = session.config.backup_dir
    if directory is None or not directory.is_dir():
        return None
    from dsgctl.operations.backup.bundles import list_bundles  # only where backups are made

    return next(iter(list_bundles(directory).values()), None)


def _prometheus(record: dict[str, Any], running: list[Process], at: datetime) -> Iterator[str]:
    """https://prometheus.io/docs/instrumenting/exposition_formats/, text format.

    Moments rather than ages: an age in a file stands still when the timer that writes it does not run.
    """
    yield from _metric("info", "gauge", "The release of dsgctl that wrote this.", 1, version=record["version"])
    yield from _metric("status_timestamp_seconds", "gauge", "When this was written.", int(at.timestamp()))
    yield from _metric("servers", "gauge", "Processes of dsgserve that run.", len(running))
    for number, one in enumerate(running):
        lines = _metric(
            "server_start_timestamp_seconds",
            "gauge",
            "When a process of dsgserve started.",
            int(one.started),
            pid=str(one.pid),
            version=one.version,
        )
        yield from lines[-1:] if number else lines
    for name, meaning in COUNTS.items():
        yield from _metric(f"{name}_total", "counter", f"{meaning} Since the servers started.", record[name])
    for name, meaning in NUMBERS.items():
        # Prometheus' checker takes a name with "days" for one that is not in seconds.
        yield from _metric(name.replace("within_30_days", "soon"), "gauge", meaning, record[name])
    if record["last_backup"] is not None:
        yield from _metric(
            "last_backup_timestamp_seconds",
            "gauge",
            "When the last backup was made.",
            int(record["last_backup"].timestamp()),
        )


def _metric(name: str, kind: str, meaning: str, value: int, **labels: str) -> list[str]:
    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())  # numbers and releases: nothing to escape
    sample = f"dsg_{name}{{{inside}}} {value}" if inside else f"dsg_{name} {value}"
    return [f"# HELP dsg_{name} {meaning}", f"# TYPE dsg_{name} {kind}", sample]
