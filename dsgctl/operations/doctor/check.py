"""What one check says, and what the checks look at."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from dsgctl.config import Config
from dsgctl.env_file import SERVICE_USER
from dsgctl.operations.doctor.account import Account, find_account, find_owner
from dsgctl.settings import Settings


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the answer.

    Attributes:
        found: what is so, with its cause.
        do: the next command or setting; empty where all is well.
    """

    name: str
    status: Status
    found: str
    do: str = ""


Checks = Iterator[Check]


def ok(name: str, found: str) -> Check:
    return Check(name, Status.OK, found)


def warning(name: str, found: str, do: str) -> Check:
    return Check(name, Status.WARNING, found, do)


def failed(name: str, found: str, do: str) -> Check:
    return Check(name, Status.FAILED, found, do)


@dataclass(frozen=True, slots=True)
class Host:
    """Where the parts of an installation are on this host.

    Attributes:
        service_user, proxy_user: who runs dsgserve, and nginx's workers.
        sockets: the directory of the units' sockets.
        units: the directory of units and of the links that enable them.
        systemd: a directory that is there where systemd runs.
        secret_places: directories that are searched for age keys, beside those of the settings.
        room: bytes that should be free beside the database.
        long_journal: bytes; a checkpoint keeps it at 4 MB, unless a reader never ends.
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
    """What is examined: the settings as they are, good or bad, this host, and the time.

    Attributes:
        settings_file: from which they are read, whether or not it is there.
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
        """As whom it is tried what the service may: its user, else whom its directory belongs to; None if unknown."""
        return find_account(self.host.service_user) or find_owner(self.config.database.parent)


_HINTS = {
    errno.EACCES: "run it as root: sudo dsgctl doctor",
    errno.EPERM: "run it as root: sudo dsgctl doctor",
    errno.ENOENT: "make it, or correct the setting that names it",
    errno.ENOTDIR: "correct the setting that names it: a part of the path is a file",
    errno.EISDIR: "correct the setting that names it: it is a directory",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or raise the quota",
    errno.EROFS: "that file system is mounted read-only: see 'dmesg', and mount it for writing",
    errno.EIO: "that disk reports errors: see 'dmesg', and replace it",
    errno.ESTALE: "mount that network file system anew",
    errno.ENOTCONN: "mount that network file system anew",
    errno.ELOOP: "that symbolic link leads to itself",
    errno.EMFILE: "too many files are open: see 'ulimit -n'",
}


def explain_os_error(name: str, error: OSError) -> Check:
    """What the operating system refused, and the way out of it."""
    where = f"{error.filename}: " if error.filename else ""
    do = _HINTS.get(error.errno or 0, "look at that place with 'ls -ld', and at 'dmesg'")
    return failed(name, f"{where}{error.strerror or error}", do)
