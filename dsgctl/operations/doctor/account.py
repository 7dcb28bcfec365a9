"""Who may read and write what: asked of the kernel, as the user that the service runs as."""

import grp
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Access = Literal["r", "w", "x"]
_FLAG = {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this host with all groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    def may(self, path: Path, access: Access) -> bool:
        """Whether the kernel lets this user: owner, mode, ACLs and read-only mounts count.

        As root it is tried by a process of that user; anybody else can only ask for themselves.
        """
        if os.geteuid() != 0 or self.uid == 0:
            return os.access(path, _FLAG[access], effective_ids=True)
        done = subprocess.run(  # noqa: S603  our own words, and a path as one argument
            [shutil.which("test", path=os.defpath) or "test", f"-{access}", str(path.absolute())],
            user=self.uid,
            group=self.gid,
            extra_groups=self.groups,
            cwd="/",
            env={},
            check=False,
        )
        return done.returncode == 0


def find_account(name: str) -> Account | None:
    """The user of that name; as anybody but root oneself, since nobody else can be asked for."""
    try:
        user = pwd.getpwnam(name) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    except KeyError:
        return None
    return Account(user.pw_name, user.pw_uid, user.pw_gid, tuple(os.getgrouplist(user.pw_name, user.pw_gid)))


def find_owner(path: Path) -> Account | None:
    """To whom a file or directory belongs, known by name or not; None for root, and for what is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_uid == 0:
        return None
    try:
        return find_account(pwd.getpwuid(status.st_uid).pw_name)
    except KeyError:
        return Account(str(status.st_uid), status.st_uid, status.st_gid, (status.st_gid,))


def describe(path: Path) -> str:
    """``dsg:dsg, mode 0640``; numbers where nobody has that one."""
    status = path.stat()
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return f"{owner}:{group}, mode {stat.S_IMODE(status.st_mode):04o}"


def is_open_to_all(path: Path) -> bool:
    """Whether everybody on this host may do something with a file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o007)


def is_writable_to_all(path: Path) -> bool:
    """Whether everybody on this host may change a file, or put others into a directory."""
    return bool(path.stat().st_mode & stat.S_IWOTH)


def explain_closed(account: Account | None, path: Path) -> tuple[str, str] | None:
    """Which directory above a path somebody may not enter, and the command that lets them; None if they may.

    To be asked first: whether the path itself is there cannot be known from outside.
    """
    if account is None:
        return None
    for parent in reversed(path.absolute().parents):
        if parent.exists() and not account.may(parent, "x"):
            what = f"{account.name} may not enter {parent} ({describe(parent)}), so not use {path}"
            return what, _as_root(f"put it elsewhere, or: chmod o+x {parent}")
    return None


def explain_refusal(account: Account | None, path: Path, access: Access) -> tuple[str, str] | None:
    """Why somebody may not read, write or enter a path, and the command that lets them; None if they may."""
    if account is None:
        return None
    if closed := explain_closed(account, path):
        return closed
    path = path.absolute()
    if account.may(path, access):
        return None
    verb = {"r": "read", "w": "write", "x": "enter"}[access]
    what = f"{account.name} may not {verb} {path} ({describe(path)})"
    if os.geteuid() == 0 and not os.access(path, _FLAG[access]):  # not even root may
        return what, f"findmnt --target {path}: is it mounted read-only?"
    if access == "r" and path.is_file():
        return what, _as_root(f"chgrp {account.name} {path}; chmod 640 {path}")
    return what, _as_root(f"chown {account.name}: {path}; chmod u+rw{'x' if path.is_dir() else ''} {path}")


def _as_root(do: str) -> str:
    """Whoever examines as themselves may be the wrong user, rather than the file wrong."""
    return do if os.geteuid() == 0 else f"run it as root: sudo dsgctl doctor; or {do}"
