"""The settings file of a new gateway: what ``dsgctl setup`` asks, checks and writes."""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dsgctl.config import Config, load
from dsgctl.core import names, users
from dsgctl.core.change import change
from dsgctl.core.errors import DsgError, Invalid
from dsgctl.doctor.check import Status
from dsgctl.doctor.sign_in import check_provider
from dsgctl.doctor.viewers import check_viewers
from dsgctl.files import SETTINGS_MODE, write_file
from dsgctl.oauth_client import read_client
from dsgctl.store import StoreError
from dsgctl.store.migrations import keep_former, migrate, open_current
from dsgctl.store.models import utc_text

CALLBACK = "/accounts/google/login/callback/"  # contract.md, Login


@dataclass(frozen=True, slots=True)
class Question:
    """One setting that somebody must decide.

    Attributes:
        option: of the command line; ``why``: one line for whoever is asked.
        needed: there is no gateway without it.
    """

    setting: str
    option: str
    why: str
    needed: bool = False


QUESTIONS = (
    Question("DSG_ORIGIN", "origin", "The address under which browsers reach this gateway: https://auth.example.org.",
             needed=True),
    Question("CLIENT_CREDENTIALS_PATH", "client",
             "The OAuth client that signs people in: the JSON file that Google offers for download."),
    Question("NGAUTH_ALLOWED_ORIGINS", "viewers",
             r"Which Neuroglancers may ask for data, as a regular expression: https://viewer\.example\.org."),
    Question("DSG_BACKUP_DIR", "backup-dir", "A directory for encrypted backups, best on another machine's disk."),
)  # fmt: skip


def known(path: Path) -> dict[str, str]:
    """The settings that a file has already; empty if it is not there."""
    if not path.exists():
        return {}
    load({}, str(path))  # says what is wrong with it, before anything is added to it
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if setting := re.fullmatch(r"\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*", line):
            found[setting[1]] = setting[2].strip("'\"")
    return found


def checked(settings: Mapping[str, str], *, offline: bool) -> Config:
    """The settings, held against reality.

    Raises:
        Invalid: a value is not of its form, the pattern lets look-alikes in, the client's file is none,
            or the provider does not answer.
    """
    config = load({**settings}, os.devnull)
    if config.client_credentials is not None:
        read_client(config.client_credentials)
    findings = [*check_viewers(config)] if config.ngauth_origins.pattern else []
    if config.client_credentials is not None and not offline:
        findings += check_provider(config, None)
    for finding in findings:
        if finding.status is Status.FAILED:
            raise Invalid(finding.found, finding.do + (", or --offline" if finding.name == "provider" else ""))
    return config


def write(path: Path, settings: Mapping[str, str]) -> bool:
    """Put settings into a file and leave every other line of it as it is. Returns whether anything changed.

    Raises:
        DsgError: it cannot be written.
    """
    odd = next((name for name, value in settings.items() if names.has_control(value)), None)
    if odd is not None:
        raise Invalid(f"{odd}: {names.shown(settings[odd])} is not one line", "say it again without control characters")
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    left = dict(settings)
    lines = []
    for line in old.splitlines():
        name = line.partition("=")[0].strip()
        lines.append(f"{name}={left.pop(name)}" if name in left and known_line(line) != left[name] else line)
        left.pop(name, None)
    new = "".join(f"{line}\n" for line in [*lines, *(f"{name}={value}" for name, value in left.items())])
    if new == old:
        return False
    try:
        write_file(path, new.encode(), mode=SETTINGS_MODE, owner=_owner(path.parent), replace=True)
    except OSError as error:
        raise DsgError(f"cannot write {path}: {error.strerror}", "run it as root: sudo dsgctl setup") from error
    return True


def known_line(line: str) -> str:
    return line.partition("=")[2].strip().strip("'\"")


def _owner(directory: Path) -> tuple[int, int] | None:
    """Root, and the group of the directory: the service's user is in it, others are not."""
    return (0, directory.stat().st_gid) if os.geteuid() == 0 else None


def keep_client(source: Path, directory: Path) -> Path:
    """Copy the OAuth client's file beside the settings, where the service may read it. Returns the copy."""
    read_client(source)
    target = directory / "client_credentials.json"
    if source.resolve() != target.resolve():
        try:
            with source.open("rb") as file:
                write_file(target, file, mode=SETTINGS_MODE, owner=_owner(directory), replace=True)
        except OSError as error:
            raise DsgError(f"cannot write {target}: {error.strerror}", "run it as root: sudo dsgctl setup") from error
    return target


def has_admin(path: Path) -> bool:
    """Whether there is a database in which somebody manages the gateway."""
    if not path.exists():
        return False
    try:
        database = open_current(path, read_only=True)
    except StoreError:
        return True  # what is wrong with it is said later, and is no reason to ask
    try:
        return next(users.listed(database, admin=True, limit=1), None) is not None
    finally:
        database.close()


def new_key() -> str:
    return secrets.token_urlsafe(32)


def prepare(config: Config, admin: str | None, actor: str, at: datetime) -> bool:
    """Make or upgrade the database, and the first admin. Returns whether there was something to do."""
    moment = utc_text(at)
    keep_former(config.database, moment)
    done = bool(migrate(config.database, now=moment))
    if admin is None:
        return done
    database = open_current(config.database)
    try:
        with change(database, actor) as opened:
            if users.by_email(database, admin) is None:
                users.add(opened, admin, admin=True)
                return True
            return users.set_attributes(opened, admin, admin=True) or done
    finally:
        database.close()
