"""``dsgctl status``"""

from datetime import datetime

import click

from dsgctl.commands.messages import echo
from dsgctl.commands.output import FORMATS, Output
from dsgctl.commands.session import Session
from dsgctl.core.clock import now
from dsgctl.operations.status_report import StatusReport, build_report, format_prometheus, to_datetime
from dsgctl.store.process_registry import Process


@click.command(epilog="\b\nExample:\n  dsgctl status -o json\n  dsgctl status -o prometheus")
@click.option(
    "-o",
    "--output",
    "format",
    type=click.Choice([*FORMATS, "prometheus"]),
    default="table",
    help="Format of the answer. value prints lines of NAME=VALUE; prometheus is for the text-file collector of the "
    "node exporter.",
)
@click.pass_obj
def command(session: Session, format: str) -> None:
    """Show the state of the gateway on one screen: the content of the database, and the servers' work."""
    config = session.config
    report = build_report(session.database, now(), origin=config.origin, backup_dir=config.backup_dir, apis=config.apis)
    if format == "prometheus":
        for line in format_prometheus(report):
            echo(line)
        return
    record = _build_record(report)
    if format == "value":
        pids = " ".join(str(server.pid) for server in report.servers)
        for name, value in {**record, "apis": " ".join(report.apis), "servers": pids}.items():
            Output("value").print_record({name: f"{name}={_format_value(value)}"}, value=name)
    elif format == "table":
        record["servers"] = [_describe_server(server) for server in report.servers]
        Output(format).print_record(record, value="users")
    else:
        Output(format).print_record(record, value="users")


def _build_record(report: StatusReport) -> dict[str, object]:
    """The report as programs read it."""
    return {
        "version": report.version,
        "database": report.database,
        "origin": report.origin,
        "apis": list(report.apis),
        "servers": [
            {
                "pid": server.pid,
                "version": server.version,
                "started": to_datetime(server.started),
                "seen": to_datetime(server.reported_at),
                "listening": list(server.listening),
            }
            for server in report.servers
        ],
        **report.counts,
        **report.statistics,
        "last_backup": report.last_backup,
    }


def _describe_server(server: Process) -> str:
    sockets = f" on {', '.join(server.listening)}" if server.listening else ""
    started = to_datetime(server.started)
    return f"{server.pid} (release {server.version}){sockets}, up since {started:%Y-%m-%d %H:%M UTC}"


def _format_value(value: object) -> str:
    """A value in a line of ``-o value``."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return "" if value is None else str(value)
