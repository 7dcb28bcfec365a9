"""The state of the gateway at one moment: its servers, their counts, what is in the database, and the last backup."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dsgctl import __version__
from dsgctl.core import statistics
from dsgctl.core.statistics import Statistics
from dsgctl.store import Database, process_registry
from dsgctl.store.process_registry import Process

# What the servers count (dsgserve/process/metrics.py), and what it means.
COUNTS = {
    "requests": "Requests that were answered.",
    "denied": "Answers of 401 and 403.",
    "failed": "Answers of 500 and above.",
    "answers_kept": "Answers of user/cache from the cache.",
    "answers_built": "Answers of user/cache that were built.",
    "logins": "People who signed in.",
    "logins_failed": "Logins that were refused or not completed.",
    "gcs_tokens": "Google tokens that were issued.",
    "gcs_tokens_refused": "Google tokens refused because of the token, a permission or terms.",
    "calls": "Calls to the provider and to Google.",
    "calls_refused": "Calls that were refused because too many were running.",
}
# What is in the database (core/statistics.py), and what it means.
NUMBERS = {
    "revision": "Advances with every change that can affect a decision about access.",
    "users": "People with an account.",
    "disabled_users": "People whose account is disabled.",
    "admins": "Active people who manage the gateway.",
    "service_accounts": "Accounts of programs.",
    "groups": "Groups of people.",
    "datasets": "Datasets.",
    "grants": "Grants.",
    "grants_ending_within_30_days": "Grants that end within 30 days.",
    "tokens": "Tokens that are valid now.",
    "clients": "Web applications that may be handed keys.",
    "terms": "Documents of terms.",
    "audit_records": "Records in the audit log.",
    "pending_terms": "Pairs of a person and terms that they have not accepted.",
}


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The state of the gateway.

    Attributes:
        at: the time of the report.
        version: the release of dsgctl.
        database: the path; ``origin``: the setting.
        apis: the setting.
        servers: the processes of dsgserve that run, in the order of their starts.
        counts: the sums of their counts, by the names in `COUNTS`.
        last_backup: the time of the newest backup in DSG_BACKUP_DIR, if there is one.
    """

    at: datetime
    version: str
    database: str
    origin: str
    apis: tuple[str, ...]
    servers: tuple[Process, ...]
    counts: Mapping[str, int]
    statistics: Statistics
    last_backup: datetime | None


def build_report(
    database: Database, at: datetime, *, origin: str, backup_dir: Path | None, apis: tuple[str, ...] = ()
) -> StatusReport:
    """
    Args:
        at: the present time.
    """
    servers = process_registry.list_running(Path(database.path), now=at.timestamp())
    return StatusReport(
        at=at,
        version=__version__,
        database=database.path,
        origin=origin,
        apis=apis,
        servers=tuple(servers),
        counts={name: sum(server.counts.get(name, 0) for server in servers) for name in COUNTS},
        statistics=statistics.count_all(database, at),
        last_backup=_find_last_backup(backup_dir),
    )


def _find_last_backup(directory: Path | None) -> datetime | None:
    if directory is None or not directory.is_dir():
        return None
    from dsgctl.operations.backup.bundles import list_bundles  # only where backups are made

    return next(iter(list_bundles(directory).values()), None)


def to_datetime(seconds: float) -> datetime:
    """A time in a `Process`, which is in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def format_prometheus(report: StatusReport) -> Iterator[str]:
    """The report as lines for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/, text format.

    It has times instead of ages: an age in a file stands still when the timer that writes the file does not run.
    """
    yield from _format_metric("info", "gauge", "The release of dsgctl that wrote this.", 1, version=report.version)
    yield from _format_metric("status_timestamp_seconds", "gauge", "When this was written.", int(report.at.timestamp()))
    yield from _format_metric("servers", "gauge", "Processes of dsgserve that run.", len(report.servers))
    for index, server in enumerate(report.servers):
        lines = _format_metric(
            "server_start_timestamp_seconds",
            "gauge",
            "When a process of dsgserve started.",
            int(server.started),
            pid=str(server.pid),
            version=server.version,
        )
        yield from lines[-1:] if index else lines
    for name, count in report.counts.items():
        yield from _format_metric(f"{name}_total", "counter", f"{COUNTS[name]} Since the servers started.", count)
    for name, number in report.statistics.items():
        # Prometheus' checker takes a name with "days" for one that is not in seconds.
        yield from _format_metric(name.replace("within_30_days", "soon"), "gauge", NUMBERS[name], number)
    if report.last_backup is not None:
        seconds = int(report.last_backup.timestamp())
        yield from _format_metric("last_backup_timestamp_seconds", "gauge", "When the last backup was made.", seconds)


def _format_metric(name: str, kind: str, meaning: str, value: object, **labels: str) -> list[str]:
    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())  # numbers and releases: nothing to escape
    sample = f"dsg_{name}{{{inside}}} {value}" if inside else f"dsg_{name} {value}"
    return [f"# HELP dsg_{name} {meaning}", f"# TYPE dsg_{name} {kind}", sample]
