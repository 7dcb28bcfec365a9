"""The result of a check, and the case that the checks examine."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypedDict

from dsgctl.config import Config
from dsgctl.env_file import SERVICE_USER
from dsgctl.operations.doctor.account import Account, find_account, find_owner
from dsgctl.settings import Settings

# Names of sections to which several modules or rows of `SECTIONS` contribute.
DATABASE = "database"
ORIGIN = "origin"


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Attributes:
        finding: with its cause; ``found`` in the JSON.
        advice: the next command or setting; empty if all is well; ``do`` in the JSON.
    """

    name: str
    status: Status
    finding: str
    advice: str = ""


class CheckRow(TypedDict):
    """A check as ``-o json`` prints it; ``state`` is ``ok``, ``warning`` or ``failed``."""

    check: str
    state: str
    found: str
    do: str


def row_of(check: Check) -> CheckRow:
    return {"check": check.name, "state": str(check.status), "found": check.finding, "do": check.advice}


Checks = Iterator[Check]


def ok(name: str, finding: str) -> Check:
    return Check(name, Status.OK, finding)


def warning(name: str, finding: str, advice: str) -> Check:
    return Check(name, Status.WARNING, finding, advice)


def failure(name: str, finding: str, advice: str) -> Check:
    return Check(name, Status.FAILED, finding, advice)


@dataclass(frozen=True, slots=True)
class Host:
    """The paths and users of an installation on this host.

    Attributes:
        service_user, proxy_user: run dsgserve, and nginx's workers.
        sockets: the directory of the units' sockets.
        units: the directory of units and of the links that enable them.
        systemd: a directory that exists where systemd runs.
        secret_places: directories that are searched for age keys, beside those of the settings.
        room: bytes that should be free beside the database.
        long_journal: bytes; a checkpoint keeps the journal at 4 MB, unless a reader never ends.
    """

    service_user: str = SERVICE_USER
    proxy_user: str = "www-data"
    sockets: Path = Path("/run/dsg")
    units: Path = Path("/etc/systemd/system")
    systemd: Path = Path("/run/systemd/system")
    secret_places: tuple[Path, ...] = (Path("/etc/dsg"), Path("/root"))
    room: int = 1024**3
    long_journal: int = 256 * 1024**2

    @property
    def has_systemd(self) -> bool:
        return self.systemd.is_dir()


@dataclass(frozen=True, slots=True)
class Case:
    """The subject of an examination: the settings, good or bad, this host, and the time.

    Attributes:
        settings_file: the file of the settings; it may not exist.
    """

    settings: Settings
    settings_file: Path
    at: datetime
    host: Host = field(default_factory=Host)

    @property
    def config(self) -> Config:
        return self.settings.config

    @property
    def account(self) -> Account | None:
        """The user whose access is checked: the service user, or the owner of the database's directory."""
        return find_account(self.host.service_user) or find_owner(self.config.database.parent)


_HINTS = {
    errno.EACCES: "run it as root: sudo dsgctl doctor",
    errno.EPERM: "run it as root: sudo dsgctl doctor",
    errno.ENOENT: "create it, or correct the setting that names it",
    errno.ENOTDIR: "correct the setting that names it: a part of the path is a file",
    errno.EISDIR: "correct the setting that names it: it is a directory",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or raise the quota",
    errno.EROFS: "that file system is mounted read-only: see 'dmesg', and mount it for writing",
    errno.EIO: "that disk reports errors: see 'dmesg', and replace it",
    errno.ESTALE: "mount that network file system again",
    errno.ENOTCONN: "mount that network file system again",
    errno.ELOOP: "that symbolic link leads to itself",
    errno.EMFILE: "too many files are open: see 'ulimit -n'",
}


def explain_os_error(name: str, error: OSError) -> Check:
    """A refusal of the operating system, and how to resolve it."""
    where = f"{error.filename}: " if error.filename else ""
    advice = _HINTS.get(error.errno or 0, "look at that place with 'ls -ld', and at 'dmesg'")
    return failure(name, f"{where}{error.strerror or error}", advice)
