"""What each server process tells of itself: a small file beside the database, written now and then."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dsgctl.files import write_file
from dsgctl.json_text import NotJson, parse, read_member

SILENT = 60.0  # seconds after which a server that tells nothing more is gone, and another has its number


@dataclass(frozen=True, slots=True)
class Process:
    """One running dsgserve.

    Attributes:
        started, told: seconds since 1970.
        version: the release that it runs; see release.py.
        listening: its sockets, ``unix:PATH`` or ``HOST:PORT``.
        counts: by name, since it started; see dsgserve/process/metrics.py.
    """

    pid: int
    version: str
    started: float
    reported_at: float
    counts: dict[str, int] = field(default_factory=dict)
    listening: tuple[str, ...] = ()


def report(database: Path, process: Process) -> None:
    """Write what a process tells; whoever reads meanwhile sees the former or the new."""
    content = json.dumps(asdict(process)).encode()
    write_file(_path(database, process.pid), content, mode=0o644, replace=True, durable=False)


def forget(database: Path, pid: int) -> None:
    """A process that ended well tells nothing more."""
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
            continue  # it ends, or is of another release
        if now - process.reported_at < SILENT and _is_alive(process.pid):
            running.append(process)
    return sorted(running, key=lambda process: process.started)


def _read(path: Path) -> Process:
    """Raises:
    OSError, NotJson: there is no such file, or it is not of this form.
    """
    told = parse(path.read_bytes())
    counts = {name: count for name, count in read_member(told, "counts", dict).items() if type(count) is int}
    listening = told.get("listening") or []  # a release that does not tell it may run beside this one
    return Process(
        pid=read_member(told, "pid", int),
        version=read_member(told, "version", str),
        started=read_member(told, "started", float),
        reported_at=read_member(told, "reported_at", float),
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
