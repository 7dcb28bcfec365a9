"""Access of the service user to files, as the kernel decides it."""

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
    """A user of this host, with the ids of all groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    def may(self, path: Path, access: Access) -> bool:
        """Whether the kernel allows this user the access: owner, mode, ACLs and read-only mounts count.

        As root, a process of that user tries it. Other users can only check their own access.
        """
        if os.geteuid() != 0 or self.uid == 0:
            return os.access(path, _FLAG[access], effective_ids=True)
        result = subprocess.run(  # noqa: S603  constant words, and a path as one argument
            [shutil.which("test", path=os.defpath) or "test", f"-{access}", str(path.absolute())],
            user=self.uid,
            group=self.gid,
            extra_groups=self.groups,
            cwd="/",
            env={},
            check=False,
        )
        return result.returncode == 0


def find_account(name: str) -> Account | None:
    """The user of that name, if this process is root's; otherwise its own user, whatever the name."""
    try:
        user = pwd.getpwnam(name) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    except KeyError:
        return None
    return Account(user.pw_name, user.pw_uid, user.pw_gid, tuple(os.getgrouplist(user.pw_name, user.pw_gid)))


def find_owner(path: Path) -> Account | None:
    """The owner of a file or directory, by number if it has no name; None for root, and if the path does not exist."""
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
    """``dsg:dsg, mode 0640``; an id without a name is a number."""
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
    """Whether others than owner and group have any access to a file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o007)


def is_writable_to_all(path: Path) -> bool:
    """Whether others than owner and group may change a file, or add files to a directory."""
    return bool(path.stat().st_mode & stat.S_IWOTH)


def explain_closed(account: Account | None, path: Path) -> tuple[str, str] | None:
    """A directory above a path that an account may not enter, and the command that permits it; None if there is none.

    Call it first: from outside, the account cannot see whether the path exists.
    """
    if account is None:
        return None
    parents = [parent for parent in path.absolute().parents if parent.exists()]
    if account.may(parents[0], "x"):  # so it may enter all above: each check is a process
        return None
    for parent in reversed(parents):
        if not account.may(parent, "x"):
            problem = f"{account.name} may not enter {parent} ({describe(parent)}), so not use {path}"
            return problem, _advise(f"put it elsewhere, or: chmod o+x {parent}")
    return None


def explain_refusal(account: Account | None, path: Path, access: Access) -> tuple[str, str] | None:
    """Why an account may not read, write or enter a path, and the command that permits it; None if it may."""
    path = path.absolute()
    if account is None or account.may(path, access):
        return None
    if closed := explain_closed(account, path):
        return closed
    verb = {"r": "read", "w": "write", "x": "enter"}[access]
    problem = f"{account.name} may not {verb} {path} ({describe(path)})"
    if os.geteuid() == 0 and not os.access(path, _FLAG[access]):  # not even root may
        return problem, f"findmnt --target {path}: is it mounted read-only?"
    if access == "r" and path.is_file():
        return problem, _advise(f"chgrp {account.name} {path}; chmod 640 {path}")
    return problem, _advise(f"chown {account.name}: {path}; chmod u+rw{'x' if path.is_dir() else ''} {path}")


def _advise(command: str) -> str:
    """The command; without root, the cause may be the user who runs doctor rather than the file."""
    return command if os.geteuid() == 0 else f"run it as root: sudo dsgctl doctor; or {command}"
