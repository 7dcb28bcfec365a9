"""The status that each server process reports, in a small file beside the database."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dsgctl.files import write_file
from dsgctl.json_text import NotJson, parse, read_member

SILENT = 60.0  # seconds after which a server that reports nothing has ended, and its pid may be another process's


@dataclass(frozen=True, slots=True)
class Process:
    """One running dsgserve.

    Attributes:
        version: its release; see release.py.
        started, reported_at: seconds since 1970.
        counts: numbers by name, since it started; see dsgserve/process/metrics.py.
        listening: its sockets, ``unix:PATH`` or ``HOST:PORT``.
    """

    pid: int
    version: str
    started: float
    reported_at: float
    counts: dict[str, int] = field(default_factory=dict)
    listening: tuple[str, ...] = ()


def report(database: Path, process: Process) -> None:
    """Write the status of a process, replacing its former one. A reader sees one of the two, never a part."""
    content = json.dumps(asdict(process)).encode()
    write_file(_path(database, process.pid), content, mode=0o644, replace=True, durable=False)


def forget(database: Path, pid: int) -> None:
    """Remove the status of a process that ends."""
    _path(database, pid).unlink(missing_ok=True)


def list_running(database: Path, *, now: float) -> list[Process]:
    """The latest reports of the processes that run now, in the order of their starts.

    Args:
        now: seconds since 1970.
    """
    running = []
    for path in database.parent.glob(f"{database.name}.server-*.json"):
        try:
            process = _read(path)
        except (OSError, NotJson):
            continue  # the process is ending, or has another release
        if now - process.reported_at < SILENT and _is_alive(process.pid):
            running.append(process)
    return sorted(running, key=lambda process: process.started)


def _read(path: Path) -> Process:
    """Raises:
    OSError, NotJson: there is no such file, or it is not of this form.
    """
    report = parse(path.read_bytes())
    counts = {name: count for name, count in read_member(report, "counts", dict).items() if type(count) is int}
    listening = report.get("listening") or []  # an older release, which does not report it, may still run
    return Process(
        pid=read_member(report, "pid", int),
        version=read_member(report, "version", str),
        started=read_member(report, "started", float),
        reported_at=read_member(report, "reported_at", float),
        counts=counts,
        listening=tuple(address for address in listening if isinstance(address, str)),
    )


def _path(database: Path, pid: int) -> Path:
    return database.with_name(f"{database.name}.server-{pid}.json")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
